"""The host itself: puts the parts together, starts them in order and stops them in order."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from lab.emulators.functions_host import process
from lab.emulators.functions_host.admin import Admin, url_path
from lab.emulators.functions_host.configuration import HostConfiguration, load_configuration
from lab.emulators.functions_host.errors import StartError
from lab.emulators.functions_host.functions import App, HttpTrigger, QueueTrigger, TimerTrigger, host_app
from lab.emulators.functions_host.invoker import Invoker
from lab.emulators.functions_host.keys import Keys, load_keys
from lab.emulators.functions_host.logs import say, set_up_logging
from lab.emulators.functions_host.process_worker import ProcessWorker
from lab.emulators.functions_host.queue_store import QueueStore
from lab.emulators.functions_host.queues import LEASE, QueueListener
from lab.emulators.functions_host.server import Server, open_port
from lab.emulators.functions_host.settings import load_local_settings, put_into
from lab.emulators.functions_host.timers import Timers
from lab.emulators.functions_host.worker import Worker

ADDRESS = "127.0.0.1"
DEFAULT_PORT = 7071
STARTED = "Host started"


@dataclass(frozen=True)
class Options:
    """How to start. `port` None takes that of the settings file, then 7071; 0 takes any free one."""

    root: Path
    port: int | None = None
    settings: Path | None = None
    keys: Path | None = None
    data: Path = Path(".lab/host")
    worker: str | None = None
    lease: timedelta = LEASE
    stop_seconds: float = 30.0
    stop_with_stdin: bool = False


def choose_worker(name: str | None) -> str:
    """ "runtime" or "library"; None takes Microsoft's runtime where it is to be had. Raises StartError."""
    has_runtime = sys.version_info >= (3, 13)
    if name == "runtime" and not has_runtime:
        raise StartError("azure-functions-runtime needs Python 3.13 or later: use --worker library")
    return name or ("runtime" if has_runtime else "library")


async def run(options: Options) -> bool:
    """Run until SIGINT or SIGTERM. Whether all work had ended by then.

    Raises StartError, or AppLoadError when the app cannot be imported.
    """
    root = options.root.resolve()
    settings = (options.settings or root / "local.settings.json").resolve()
    keys_file = options.keys.resolve() if options.keys else None
    data = options.data.resolve()
    if options.settings and not settings.is_file():
        raise StartError(f"there is no settings file {settings}")
    local = load_local_settings(settings)
    put_into(os.environ, local)
    configuration = load_configuration(root)
    keys = load_keys(keys_file)
    port = next(each for each in (options.port, local.http_port, DEFAULT_PORT) if each is not None)
    listening = open_port(port, ADDRESS)
    address = f"{ADDRESS}:{listening.getsockname()[1]}"
    os.environ.setdefault("WEBSITE_HOSTNAME", address)
    os.environ.setdefault("FUNCTIONS_WORKER_RUNTIME", "python")
    os.environ.setdefault("PYTHON_THREADPOOL_THREAD_COUNT", "1000")
    os.environ.setdefault("AZURE_FUNCTIONS_ENVIRONMENT", "Development")
    with contextlib.closing(ProcessWorker(choose_worker(options.worker), on_lost=_go_down)) as worker:
        set_up_logging(worker.invocation_id, {})
        found = await worker.load(root)
        if not found:
            raise StartError(f"no functions were found in {root}: is there a function_app.py with decorated functions?")
        app = host_app(found, configuration)
        return await Host(app, configuration, keys, worker, data, f"http://{address}", options).run(listening)


def _go_down() -> None:
    """The worker has died for good, and the host with it."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(process.WORKER_LOST)


class Host:
    """A loaded app being served."""

    def __init__(
        self,
        app: App,
        configuration: HostConfiguration,
        keys: Keys,
        worker: Worker,
        data: Path,
        url: str,
        options: Options,
    ) -> None:
        self._app = app
        self._prefix = configuration.route_prefix
        self._url = url
        self._options = options
        self._worker = worker
        self._store = QueueStore(is_base64=configuration.queues.is_base64)
        self._invoker = Invoker(worker, self._store, configuration)
        self._timers = Timers(app.functions, self._invoker, data / "timers")
        admin = Admin(app, keys, self._invoker, self._timers, url, self._prefix)
        self._server = Server(app, configuration, keys, self._invoker, admin.answer)
        self._listeners = [
            QueueListener(each, self._store, self._invoker, configuration.queues, options.lease)
            for each in app.functions
            if isinstance(each.trigger, QueueTrigger)
        ]
        self._asked_to_stop = asyncio.Event()

    async def run(self, listening: socket.socket) -> bool:
        """Serve until asked to stop. Whether all work had ended by then."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._ask_to_stop)
        if self._options.stop_with_stdin:
            threading.Thread(target=_wait_for_end_of_stdin, args=(loop, self._ask_to_stop), daemon=True).start()
        self._print_functions()
        await self._server.start(listening)
        self._timers.start()
        for listener in self._listeners:
            listener.start()
        say(f"Listening on {self._url}")
        say(STARTED)
        await self._asked_to_stop.wait()
        return await self._stop()

    def _ask_to_stop(self) -> None:
        if self._asked_to_stop.is_set():
            os._exit(130)  # asked twice: at once
        self._asked_to_stop.set()

    async def _stop(self) -> bool:
        say("Stopping: no request is taken, running invocations are waited for")
        deadline = time.monotonic() + self._options.stop_seconds

        def left() -> float:
            return max(0.05, deadline - time.monotonic())

        await self._server.stop()
        # As on the real host, timers and queues go on meanwhile.
        is_idle = await self._invoker.wait_until_idle(left())
        self._timers.stop()
        await asyncio.gather(*(listener.stop() for listener in self._listeners))
        is_idle = is_idle and await self._invoker.wait_until_idle(left())
        await asyncio.gather(*(listener.finish(left()) for listener in self._listeners), self._timers.finish(left()))
        await self._server.finish()
        await self._store.close()
        self._worker.close()
        say("Host stopped" if is_idle else "Host stopped; what still ran was cut off")
        return is_idle

    def _print_functions(self) -> None:
        say("\nFunctions:\n")
        for function in sorted(self._app.functions, key=lambda each: each.name):
            match function.trigger:
                case HttpTrigger() as trigger:
                    methods = f"[{','.join(trigger.methods)}] " if trigger.methods else ""
                    what = f"{methods}{self._url}{url_path(trigger, self._prefix)}"
                case TimerTrigger() as trigger:
                    what = f"timerTrigger ({trigger.text})"
                case QueueTrigger() as trigger:
                    what = f"queueTrigger ({trigger.queue.name})"
            say(f"\t{function.name}: {what}\n")
        for name in self._app.disabled:
            say(f"\tFunction {name} is disabled.\n")


def _wait_for_end_of_stdin(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    """The pipe of a parent that died, however it died, ends."""
    # Unbuffered: a daemon thread inside sys.stdin's lock would break the interpreter's shutdown.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    loop.call_soon_threadsafe(stop)
