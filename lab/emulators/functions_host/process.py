"""The host as a child process, for the lab's orchestrator and for tests. Imports nothing heavy."""

import collections
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_REPOSITORY = Path(__file__).resolve().parents[3]
REFUSED = 1
PORT_TAKEN = 3
WORKER_LOST = 4

_LISTENING = re.compile(r"^Listening on (http://[^\s]+:(\d+))$")


class HostError(RuntimeError):
    """The host did not start. `status` is its exit status (REFUSED, PORT_TAKEN), None when it hung."""

    def __init__(self, message: str, status: int | None) -> None:
        super().__init__(message)
        self.status = status


class HostProcess:
    """One host. Use as a context manager, or call `start` and then `stop`; it also ends when its owner dies.

    `environment` replaces this process's environment when given. `on_line` gets each line the host prints
    (both streams), in a thread of its own. `lease_seconds` shortens the ten minutes that a killed host's messages
    stay hidden. Without `keys` and `data` they live in a temporary folder: then use it as a context manager.
    """

    def __init__(
        self,
        root: Path,
        *,
        port: int = 0,
        settings: Path | None = None,
        keys: Path | None = None,
        data: Path | None = None,
        worker: str | None = None,
        lease_seconds: float | None = None,
        stop_seconds: float | None = None,
        environment: Mapping[str, str] | None = None,
        on_line: Callable[[str], object] | None = None,
        python: str = sys.executable,
        start_timeout_seconds: float = 60,
    ) -> None:
        self._temporary = None if keys and data else tempfile.TemporaryDirectory(prefix="lab-host-")
        spare = Path(self._temporary.name) if self._temporary else Path()
        self._keys_file = (keys or spare / "keys.json").resolve()
        self._command = [
            python,
            "-m",
            "lab.emulators.functions_host",
            "--root",
            str(root.resolve()),
            "--port",
            str(port),
            "--stop-with-stdin",
        ]
        self._command += ["--keys", str(self._keys_file), "--data", str((data or spare / "data").resolve())]
        self._command += ["--settings", str(settings.resolve())] if settings else []
        self._command += ["--worker", worker] if worker else []
        self._command += ["--lease-seconds", str(lease_seconds)] if lease_seconds else []
        self._command += ["--stop-seconds", str(stop_seconds)] if stop_seconds else []
        self._environment = environment
        self._on_line = on_line
        self._start_timeout_seconds = start_timeout_seconds
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._lines: collections.deque[str] = collections.deque(maxlen=10_000)
        self._started_or_ended = threading.Event()
        self.url = ""
        self.port = port

    @property
    def lines(self) -> Sequence[str]:
        """What it printed so far, both streams."""
        return list(self._lines)

    @property
    def keys(self) -> Mapping[str, Any]:
        """The keys file: "master", "default", …; there once the host has started."""
        keys: dict[str, Any] = json.loads(self._keys_file.read_text(encoding="utf-8"))
        return keys

    @property
    def exit_status(self) -> int | None:
        """None while it runs."""
        return self._process.poll() if self._process else None

    @property
    def process_id(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> Self:
        """Start, and return when it serves. Raises HostError with what it said."""
        self._started_or_ended.clear()
        self._process = subprocess.Popen(
            self._command,
            cwd=_REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=None if self._environment is None else dict(self._environment),
            # Its own process group: Ctrl-C at the terminal reaches the lab first, which stops its parts in order.
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        self._started_or_ended.wait(self._start_timeout_seconds)
        if not self.url:
            status = self._process.poll() if not self._started_or_ended.is_set() else self._process.wait(5)
            self.kill()
            said = "\n".join(self._lines) or "(it said nothing)"
            raise HostError(
                said if status is not None else f"the functions host did not start in time:\n{said}", status
            )
        return self

    def stop(self, timeout_seconds: float = 50) -> int:
        """Stop gracefully; the exit status. Kills it when it takes longer."""
        return self._end(signal.SIGTERM, timeout_seconds)

    def kill(self) -> None:
        """SIGKILL, at once."""
        self._end(signal.SIGKILL, 10)

    def fire(self, function_name: str, given: str = "") -> None:
        """Run a timer or queue function now, by the host's own address; returns at once."""
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self.url}/admin/functions/{function_name}",
            data=json.dumps({"input": given}).encode(),
            headers={"x-functions-key": self.keys["master"], "Content-Type": "application/json"},
            method="POST",
        )
        # No proxy of the machine stands between the lab and loopback.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30):
            pass

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self._clean_up()
            raise

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._clean_up()

    def _clean_up(self) -> None:
        if self._temporary:
            self._temporary.cleanup()

    def _end(self, number: signal.Signals, timeout_seconds: float) -> int:
        process = self._process
        if process is None:
            return 0
        if process.poll() is None and number == signal.SIGTERM:
            process.send_signal(number)
        try:
            status = process.wait(timeout_seconds if number == signal.SIGTERM else 0)
        except subprocess.TimeoutExpired:
            # The host leads a process group, with its worker in it.
            os.killpg(process.pid, signal.SIGKILL)
            status = process.wait(10)
        if self._reader:
            self._reader.join(5)
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()
        self._process = None
        self.url = ""
        return status

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        url, port = "", 0
        for line in process.stdout:
            text = line.rstrip("\n")
            self._lines.append(text)
            if self._on_line:
                self._on_line(text)
            if found := _LISTENING.match(text):
                url, port = found[1], int(found[2])
            if text == "Host started":
                self.url, self.port = url, port
                self._started_or_ended.set()
        self._started_or_ended.set()
