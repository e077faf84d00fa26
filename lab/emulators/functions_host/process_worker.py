"""`Worker` that runs the app in a process of its own, as the real host does, and starts it again when it dies."""

import asyncio
import contextlib
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from lab.emulators.functions_host.errors import StartError
from lab.emulators.functions_host.worker import AppLoadError, Failure, FunctionMetadata, Invocation, InvocationResult
from lab.emulators.functions_host.worker_link import Done, Loaded, LoadFailed, packed, receive

_log = logging.getLogger("lab.emulators.functions_host")

_REPOSITORY = Path(__file__).resolve().parents[3]
_RESTART_SECONDS = 0.5
# A worker that dies twice within this time takes the host with it.
_SHORT_WHILE_SECONDS = 60.0


class ProcessWorker:
    """One app in one child process. `on_lost` is called when it has died for good."""

    def __init__(self, name: str, on_lost: Callable[[], None]) -> None:
        self._name = name
        self._on_lost = on_lost
        self._root = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: dict[str, asyncio.Future[InvocationResult]] = {}
        self._ready = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._died_at: float | None = None
        self._is_closed = False

    async def load(self, app_directory: Path) -> Sequence[FunctionMetadata]:
        self._root = app_directory
        functions, reader = await self._start()
        self._watching = asyncio.create_task(self._watch(reader))
        return functions

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        await self._ready.wait()
        assert self._writer is not None
        done: asyncio.Future[InvocationResult] = asyncio.get_running_loop().create_future()
        self._waiting[invocation.invocation_id] = done
        try:
            self._writer.write(packed(invocation))
            return await done
        finally:
            self._waiting.pop(invocation.invocation_id, None)

    def invocation_id(self) -> str | None:
        return None  # no function runs in the host's own process

    def close(self) -> None:
        """End the process, and what still runs in it."""
        self._is_closed = True
        if self._watching:
            self._watching.cancel()
        if self._process:
            self._process.kill()
            self._process.wait()
        if self._writer:
            self._writer.close()

    async def _start(self) -> tuple[Sequence[FunctionMetadata], asyncio.StreamReader]:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = self._spawn(theirs.fileno())
        reader, self._writer = await asyncio.open_connection(sock=ours)
        try:
            message = await receive(reader)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise StartError(f"the worker ended with status {self._process.wait()} while it loaded the app") from error
        match message:
            case Loaded(functions):
                self._ready.set()
                return functions, reader
            case LoadFailed(sentence, stack_trace):
                self._process.wait()
                raise AppLoadError(sentence, stack_trace)
        raise StartError(f"the worker answered {type(message).__name__} to its start")

    def _spawn(self, connection: int) -> "subprocess.Popen[bytes]":
        module = "lab.emulators.functions_host.worker_process"
        return subprocess.Popen(
            [sys.executable, "-m", module, str(connection), self._name, str(self._root)],
            cwd=_REPOSITORY,
            env={name: value for name, value in os.environ.items() if name != "AIOHTTP_NO_EXTENSIONS"},
            stdin=subprocess.DEVNULL,
            pass_fds=(connection,),
        )

    async def _watch(self, reader: asyncio.StreamReader) -> None:
        while True:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await self._take_results(reader)
            if self._is_closed:
                return
            self._fail_all()
            now = time.monotonic()
            if self._died_at is not None and now - self._died_at < _SHORT_WHILE_SECONDS:
                _log.critical("The worker ended again within a short while: the host ends too")
                self._on_lost()
                return
            self._died_at = now
            await asyncio.sleep(_RESTART_SECONDS)
            try:
                _, reader = await self._start()
            except (StartError, AppLoadError) as error:
                _log.critical("The worker cannot be started again: %s", error)
                self._on_lost()
                return

    async def _take_results(self, reader: asyncio.StreamReader) -> None:
        while True:
            message = await receive(reader)
            waiting = self._waiting.get(message.invocation_id) if isinstance(message, Done) else None
            if isinstance(message, Done) and waiting and not waiting.done():
                waiting.set_result(message.result)

    def _fail_all(self) -> None:
        """Everything inside a worker that died has failed."""
        assert self._process is not None
        self._ready.clear()
        status = self._process.wait()
        _log.error("The worker ended with status %s; %s invocations were inside", status, len(self._waiting))
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result(InvocationResult(Failure(f"the worker ended with status {status}")))
