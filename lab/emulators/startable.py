"""What the lab's parts have in common: they start and stop, serve in a thread, or run as a process of their own."""

import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

ROOT = Path(__file__).resolve().parents[2]


class Startable(ABC):
    """`with part as running:` starts it and stops it."""

    @abstractmethod
    def start(self) -> Self:
        """Returns when it answers."""

    @abstractmethod
    def stop(self) -> None:
        """End it and wait for it. Safe to call twice."""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Server(Protocol):
    """A server of the standard library's make, or of Werkzeug's."""

    @property
    def server_address(self) -> Any: ...

    def serve_forever(self, poll_interval: float = ...) -> None: ...

    def shutdown(self) -> None: ...

    def server_close(self) -> None: ...


class ServingThread:
    """A server at work in a thread of this process."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class ServingProcess:
    """`python -m module`, which prints its URL first and ends when its standard input is closed."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            raise RuntimeError(f"{module} ended with status {self._process.wait()}")

    @property
    def process_id(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        # Closes its standard input, which ends it.
        self._process.communicate(timeout=20)
