"""The whole desk on this machine: every emulator, the storage emulator and the functions host, started in order."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import yaml
from azure.core.exceptions import ResourceExistsError
from azure.storage.queue import QueueServiceClient

from lab.azurite import Azurite, StoragePorts
from lab.emulators import ports
from lab.emulators.authrocket import READ_KEY, AuthRocketLab
from lab.emulators.ec2.fleet import Fleet
from lab.emulators.functions_host.process import HostProcess
from lab.emulators.key_vault import VaultLab
from shared.storage.names import QUEUES

ROOT = Path(__file__).resolve().parents[1]
LAB = Path(__file__).resolve().parent
WEBHOOK_USER = "event-grid"
WEBHOOK_PASSWORD = "lab-only-webhook-password"

# Asked for first, so that a second start finds the addresses of the first.
HOST_PORT = 7071
WANTED = {
    "blob": 10000,
    "queue": 10001,
    "table": 10002,
    "entra": 7180,
    "identity": 7181,
    "control": 7182,
    "vault:deskbridge-vault": 7183,
    "vault:acorn-vault": 7184,
    "fleet": 7185,
    "authrocket": 7186,
    "door": 7187,
}


class DeskError(RuntimeError):
    """The desk cannot be brought up; the message says what to do."""


@dataclass(frozen=True)
class Choices:
    """What a person chose on the command line. `port` None takes 7071 or, when that is taken, another."""

    folder: Path = ROOT / ".lab"
    host: str = "lab"
    port: int | None = None
    fresh: bool = False
    worker: str | None = None
    any_ports: bool = False
    # How long a queue message that a killed host had taken stays hidden; None for the real host's ten minutes.
    lease_seconds: float | None = None
    # More app settings for the host.
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


class Desk:
    """Everything that runs. Use as a context manager: what was started is stopped, last first."""

    def __init__(self, choices: Choices, say: Callable[[str], object] = print) -> None:
        self._choices = choices
        self._say = say
        self._parts = contextlib.ExitStack()
        self.url = ""
        self.connection_string = ""
        self.addresses: dict[str, str] = {}
        self._key = ""
        self._host: HostProcess | None = None
        self.fleet: Fleet | None = None
        self.authrocket: AuthRocketLab | None = None
        self.vaults: VaultLab | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._parts.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._parts.close()

    def _start(self) -> None:
        folder = self._choices.folder
        if self._choices.fresh and folder.exists():
            self._say(f"beginning anew: removing {_short(folder)}")
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        azurite = Azurite(
            folder / "azurite",
            StoragePorts(
                self._port("blob", "the blob emulator"),
                self._port("queue", "the queue emulator"),
                self._port("table", "the table emulator"),
            ),
        )
        self._say("starting Azurite, the storage emulator")
        self._parts.enter_context(azurite)
        self.connection_string = azurite.connection_string
        _create_queues(self.connection_string)
        self._say("starting the emulators of EC2 and STS, AuthRocket, Key Vault and its identities")
        fleet = self._parts.enter_context(Fleet(self._port("fleet", "EC2")))
        vaults = self._parts.enter_context(self._vaults(fleet))
        authrocket = self._parts.enter_context(self._authrocket(vaults))
        self.fleet, self.vaults, self.authrocket = fleet, vaults, authrocket
        self.addresses = {
            "EC2 and STS": fleet.url,
            "AuthRocket": authrocket.url,
            "AuthRocket realm": authrocket.realm_id,
            **{f"Key Vault {name}": vaults.vault(name).url for name in ("deskbridge-vault", "acorn-vault")},
        }
        environment = {
            **_clean_environment(),
            **vaults.environment(),
            **fleet.environment(),
            "DESKBRIDGE_VERIFY_CHALLENGE_RESOURCE": "false",
            "DESKBRIDGE_ALLOWED_PRIVATE_HOSTS": " ".join(
                urlsplit(url).netloc for url in (authrocket.url, vaults.entra_url)
            ),
            "AzureWebJobsStorage": self.connection_string,
            **self._choices.environment,
        }
        settings = folder / "local.settings.json"
        settings.write_text((ROOT / "local.settings.json.example").read_text("utf-8"), "utf-8")
        if self._choices.host == "func":
            self._start_func(environment)
        else:
            self._start_host(environment, settings)

    def _vaults(self, fleet: Fleet) -> VaultLab:
        keys = fleet.credentials()
        text = Template((LAB / "vaults.yaml").read_text("utf-8")).substitute(
            AWS_ACCESS_KEY_ID=keys.access_key_id,
            AWS_SECRET_ACCESS_KEY=keys.secret_access_key,
            AUTHROCKET_KEY=READ_KEY,
        )
        wanted = {
            name: self._port(name, f"the lab's {name}")
            for name in WANTED
            if name in {"entra", "identity", "control"} or name.startswith("vault:")
        }
        return VaultLab(yaml.safe_load(text), folder=self._choices.folder / "authority", ports=wanted)

    def _authrocket(self, vaults: VaultLab) -> AuthRocketLab:
        return AuthRocketLab(port=self._port("authrocket", "AuthRocket"), tls=vaults.authority.server_context())

    def _port(self, name: str, purpose: str) -> int:
        return 0 if self._choices.any_ports else ports.choose(WANTED[name], purpose, self._say)

    def _start_host(self, environment: Mapping[str, str], settings: Path) -> None:
        folder = self._choices.folder
        log = self._parts.enter_context((folder / "host.log").open("w", encoding="utf-8"))

        def keep(line: str) -> None:
            log.write(line + "\n")
            log.flush()

        self._say(f"starting the functions host (its log: {_short(folder / 'host.log')})")
        host = HostProcess(
            ROOT,
            port=self._host_port(),
            settings=settings,
            keys=folder / "keys.json",
            data=folder / "host",
            worker=self._choices.worker,
            lease_seconds=self._choices.lease_seconds,
            environment=environment,
            on_line=keep,
        )
        self._host = self._parts.enter_context(host)
        self.url = host.url
        self._key = str(host.keys["master"])
        for line in host.lines:
            if ": [" in line or "Trigger" in line:
                self._say(f"  {line.strip()}")

    def _start_func(self, environment: Mapping[str, str]) -> None:
        func = shutil.which("func")
        if func is None:
            raise DeskError(
                "HOST=func needs the Azure Functions Core Tools and `func` was not found: install them "
                "(npm i -g azure-functions-core-tools@4), or leave HOST away to use the lab's own host."
            )
        target = ROOT / "local.settings.json"
        if not target.exists():
            self._say("writing local.settings.json from the example")
            shutil.copyfile(ROOT / "local.settings.json.example", target)
        port = self._host_port() or ports.free_port()
        path = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)])
        process = subprocess.Popen([func, "start", "--port", str(port)], cwd=ROOT, env={**environment, "PATH": path})
        self._parts.callback(_end, process)
        self.url = f"http://{ports.LOOPBACK}:{port}"
        self._wait_for_health(process)

    def _wait_for_health(self, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise DeskError(f"func start ended with status {process.returncode}: see its lines above.")
            try:
                self.call("GET", "/api/health")
            except (OSError, DeskError):
                time.sleep(0.5)
            else:
                return
        raise DeskError("func start did not answer within two minutes.")

    def _host_port(self) -> int:
        if self._choices.any_ports:
            return 0
        if self._choices.port is not None:
            return ports.require(self._choices.port, "the functions host")
        return ports.choose(HOST_PORT, "the functions host", self._say)

    def call(self, method: str, path: str, body: bytes | None = None, content_type: str = "application/json") -> Any:
        """One HTTP call to the desk with its key; the JSON it answers. Raises DeskError with what it said."""
        request = urllib.request.Request(  # noqa: S310 - the desk's own loopback address
            f"{self.url}{path}", data=body, method=method, headers={"Content-Type": content_type}
        )
        if self._key:
            request.add_header("x-functions-key", self._key)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise DeskError(
                f"{method} {path} answered {error.code}: {error.read().decode('utf-8', 'replace')}"
            ) from None
        return json.loads(text) if text else None

    @property
    def host(self) -> HostProcess:
        """The lab's own host; with `func` there is none."""
        if self._host is None:
            raise DeskError("the desk does not run on the lab's own host")
        return self._host

    def kill_host(self) -> None:
        """End the host at once, as a power cut would."""
        self.host.kill()

    def start_host_again(self) -> None:
        """Start the host that was killed; it may listen elsewhere."""
        self.host.start()
        self.url = self.host.url

    @property
    def key_hint(self) -> str:
        """Where the key stands; it is not printed, as a terminal's lines are often shared."""
        if not self._key:
            return "none is needed"
        keys = _short(self._choices.folder / "keys.json")
        return f"""KEY=$(.venv/bin/python -c 'import json; print(json.load(open("{keys}"))["master"])')"""

    def fire(self, function: str) -> None:
        """Start a timer's function now, as the real host's administration address does."""
        self.call("POST", f"/admin/functions/{function}", b'{"input": ""}')


def _create_queues(connection_string: str) -> None:
    """As the deployment does: the host listens to its queues and creates none."""
    with QueueServiceClient.from_connection_string(connection_string) as service:
        for name in QUEUES:
            with contextlib.suppress(ResourceExistsError):
                service.create_queue(name)


def _clean_environment() -> dict[str, str]:
    """This machine's environment without what would lead the host's clients elsewhere."""
    foreign = ("AWS_", "AZURE_", "IDENTITY_", "MSI_", "DESKBRIDGE_")
    return {name: value for name, value in os.environ.items() if not name.upper().startswith(foreign)}


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
