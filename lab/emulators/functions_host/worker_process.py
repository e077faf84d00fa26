"""The worker's own process, which the host starts: loads the app and runs its functions until the host ends."""

import argparse
import asyncio
import io
import os
import signal
import socket
import sys
import threading
from pathlib import Path

from lab.emulators.functions_host.logs import set_up_logging
from lab.emulators.functions_host.worker import AppLoadError, Invocation, Worker
from lab.emulators.functions_host.worker_link import Done, Loaded, LoadFailed, Message, packed, receive_blocking


def make_worker(name: str) -> Worker:
    """ "runtime" is Microsoft's azure-functions-runtime, "library" the lab's own on azure-functions."""
    if name == "runtime":
        from lab.emulators.functions_host.runtime_worker import RuntimeWorker

        return RuntimeWorker()
    from lab.emulators.functions_host.library_worker import LibraryWorker

    return LibraryWorker()


class _Serving:
    """Runs what the host asks for, each invocation in a task of its own."""

    def __init__(self, connection: socket.socket, worker: Worker, names: dict[str, str]) -> None:
        self._connection = connection
        self._worker = worker
        self._names = names  # running invocation ids to function names, for the log
        self._sending = threading.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, message: Message) -> None:
        with self._sending:
            self._connection.sendall(packed(message))

    def listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Blocks, in a thread of its own: the host's end is noticed even while a function blocks the loop."""
        while isinstance(message := receive_blocking(self._connection), Invocation):
            loop.call_soon_threadsafe(self._begin, message)
        os._exit(0)

    def _begin(self, invocation: Invocation) -> None:
        task = asyncio.get_running_loop().create_task(self._run(invocation))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, invocation: Invocation) -> None:
        self._names[invocation.invocation_id] = invocation.function.name
        try:
            result = await self._worker.invoke(invocation)
        finally:
            self._names.pop(invocation.invocation_id, None)
        self.send(Done(invocation.invocation_id, result))


async def serve(connection: socket.socket, name: str, root: Path) -> int:
    worker = make_worker(name)
    names: dict[str, str] = {}
    set_up_logging(worker.invocation_id, names)
    sys.path.insert(0, str(root))
    os.chdir(root)
    serving = _Serving(connection, worker, names)
    try:
        functions = await worker.load(root)
    except AppLoadError as error:
        serving.send(LoadFailed(str(error), error.stack_trace))
        return 1
    serving.send(Loaded(list(functions)))
    threading.Thread(target=serving.listen, args=(asyncio.get_running_loop(),), daemon=True).start()
    await asyncio.Event().wait()
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("connection", type=int, help="file descriptor of the socket to the host")
    parser.add_argument("worker", choices=("runtime", "library"))
    parser.add_argument("root", type=Path)
    given = parser.parse_args()
    # Ctrl-C at a terminal reaches this process too; the host decides when it ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    return asyncio.run(serve(socket.socket(fileno=given.connection), given.worker, given.root))


if __name__ == "__main__":
    sys.exit(main())
