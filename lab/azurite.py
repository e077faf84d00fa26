"""The real storage emulator (tables, queues, blobs) as a child process that ends with whoever started it."""

import base64
import collections
import contextlib
import fcntl
import http.client
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from lab.emulators import ports as port_choice
from lab.emulators.startable import ROOT, Startable

SCRIPT = ROOT / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
NODE_AT_LEAST = 20

DEFAULT_ACCOUNT = "devstoreaccount1"
# Microsoft publishes this key for the emulator; every storage client knows it.
DEFAULT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
# Short, because thousands of accounts have to fit in one environment variable (128 KiB on Linux).
EXTRA_KEY = base64.b64encode(b"lab").decode()

# A pipe to standard input closes when its owner dies, however it dies, on every POSIX system. The emulator then
# saves and ends; without the second line its parting words into a closed pipe would end it before it has saved.
_END_WITH_PARENT = (
    "data:text/javascript,"
    "for(const stream of [process.stdout,process.stderr])stream.on('error',()=>{});"
    "process.stdin.on('end',()=>process.kill(process.pid,'SIGTERM')).resume();"
    "process.stdin.unref();"
)
_LISTENING = re.compile(r"Azurite (Blob|Queue|Table) service is successfully listening at http://[^:]+:(\d+)")


class AzuriteError(RuntimeError):
    """The emulator cannot be started; the message says what to do."""


@dataclass(frozen=True)
class StoragePorts:
    """The three loopback ports of the emulator; 0 takes any free one."""

    blob: int = 0
    queue: int = 0
    table: int = 0


class Azurite(Startable):
    """One emulator. In memory without a `location`; with one, its data outlives the process.

    `accounts` names further storage accounts beside devstoreaccount1. They share nothing with one another.
    Azurite saves every five seconds and when stopped: a kill -9 may cost the last five seconds.
    """

    def __init__(
        self,
        location: Path | None = None,
        ports: StoragePorts | None = None,
        *,
        accounts: Sequence[str] = (),
        start_timeout_seconds: float = 60,
        lock_timeout_seconds: float = 10,
    ) -> None:
        self.location = location
        self.ports = ports or StoragePorts()
        self._accounts = tuple(accounts)
        self._start_timeout_seconds = start_timeout_seconds
        self._lock_timeout_seconds = lock_timeout_seconds
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._last_lines: collections.deque[str] = collections.deque(maxlen=30)
        self._found: dict[str, int] = {}
        self._all_found = threading.Event()
        self._lock: IO[str] | None = None

    @property
    def connection_string(self) -> str:
        """For the account devstoreaccount1."""
        return self.connection_string_for(DEFAULT_ACCOUNT)

    def connection_string_for(self, account: str) -> str:
        key = DEFAULT_KEY if account == DEFAULT_ACCOUNT else EXTRA_KEY
        at = f"http://{port_choice.LOOPBACK}"
        return (
            f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={key};"
            f"BlobEndpoint={at}:{self.ports.blob}/{account};"
            f"QueueEndpoint={at}:{self.ports.queue}/{account};"
            f"TableEndpoint={at}:{self.ports.table}/{account};"
        )

    @property
    def process_id(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> Self:
        """Start, and return when blob, queue and table answer."""
        node = _node()
        if not SCRIPT.is_file():
            raise AzuriteError(f"Azurite is not installed: run `make setup` (or `npm ci`) in {ROOT}")
        for purpose in ("blob", "queue", "table"):
            if wanted := getattr(self.ports, purpose):
                port_choice.require(wanted, f"Azurite's {purpose} service")
        if self.location:
            self._lock = _lock(self.location, self._lock_timeout_seconds)
        self._all_found.clear()
        self._found.clear()
        self._process = subprocess.Popen(
            [node, "--import", _END_WITH_PARENT, str(SCRIPT), *self._arguments()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=self._environment(),
            # Its own process group: Ctrl-C at the terminal reaches the lab first, which stops its parts in order.
            start_new_session=True,
            # The folder stays locked until the emulator itself is gone, even when its owner was killed before it.
            pass_fds=(self._lock.fileno(),) if self._lock else (),
        )
        self._reader = threading.Thread(target=self._read_output, args=(self._process,), daemon=True)
        self._reader.start()
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End it and wait for it. Safe to call twice."""
        process, self._process = self._process, None
        if process:
            _end(process)
            for stream in (process.stdin, process.stdout):
                if stream:
                    stream.close()
        if self._reader:
            self._reader.join(timeout=5)
            self._reader = None
        if self._lock:
            self._lock.close()
            self._lock = None

    def _arguments(self) -> list[str]:
        where = ["--location", str(self.location)] if self.location else ["--inMemoryPersistence"]
        return [
            *where,
            "--silent",
            "--disableTelemetry",
            # Current storage clients ask for versions newer than the emulator knows; they work nevertheless.
            "--skipApiVersionCheck",
            *("--blobPort", str(self.ports.blob)),
            *("--queuePort", str(self.ports.queue)),
            *("--tablePort", str(self.ports.table)),
        ]

    def _environment(self) -> dict[str, str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AZURITE_")}
        if self._accounts:
            every = [(DEFAULT_ACCOUNT, DEFAULT_KEY), *((name, EXTRA_KEY) for name in self._accounts)]
            environment["AZURITE_ACCOUNTS"] = ";".join(f"{name}:{key}" for name, key in every)
        return environment

    def _read_output(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with contextlib.suppress(ValueError):  # the stream is closed under the reader when stopping takes too long
            for line in process.stdout:
                self._last_lines.append(line.rstrip())
                if found := _LISTENING.search(line):
                    self._found[found[1].lower()] = int(found[2])
                    if len(self._found) == 3:
                        self._all_found.set()
        self._all_found.set()

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + self._start_timeout_seconds
        self._all_found.wait(self._start_timeout_seconds)
        if len(self._found) < 3:
            said = "\n".join(self._last_lines) or "(nothing)"
            raise AzuriteError(f"Azurite did not start within {self._start_timeout_seconds:g} s. It said:\n{said}")
        self.ports = StoragePorts(**self._found)
        for port in (self.ports.blob, self.ports.queue, self.ports.table):
            while not _answers(port):
                if time.monotonic() > deadline:
                    raise AzuriteError(f"Azurite listens on port {port} but does not answer")
                time.sleep(0.05)


def _node() -> str:
    node = shutil.which("node")
    if node is None:
        raise AzuriteError(
            f"Node.js {NODE_AT_LEAST} or later is needed for the storage emulator, and `node` is not found"
        )
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.lstrip("v").split(".")[0]) < NODE_AT_LEAST:
        raise AzuriteError(f"Node.js {NODE_AT_LEAST} or later is needed for the storage emulator; {node} is {version}")
    return node


def _lock(location: Path, wait_seconds: float) -> IO[str]:
    """Two emulators on one folder would overwrite each other's data. Waits for one that is just ending."""
    location.mkdir(parents=True, exist_ok=True)
    lock = (location / "lock").open("w")
    deadline = time.monotonic() + wait_seconds
    while not _locked(lock):
        if time.monotonic() > deadline:
            lock.close()
            raise AzuriteError(f"another storage emulator is using {location}: stop it first, or use another folder")
        time.sleep(0.1)
    return lock


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(port_choice.LOOPBACK, port, timeout=5)
    try:
        connection.request("GET", f"/{DEFAULT_ACCOUNT}?comp=list")
        connection.getresponse().read()  # unsigned, so refused: but answered
    except OSError:
        return False
    finally:
        connection.close()
    return True


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=5)
