"""The whole desk on this machine: every emulator, the storage emulator and the functions host, started in order."""

import contextlib
import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from string import Template
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import yaml
from azure.core.exceptions import ResourceExistsError
from azure.storage.queue import QueueServiceClient

from lab import story
from lab.azurite import Azurite, StoragePorts
from lab.changes import Changes, KeptAuthRocket, KeptFleet
from lab.core_tools import CoreTools
from lab.emulators import ports
from lab.emulators.authrocket import READ_KEY
from lab.emulators.functions_host.process import HostProcess
from lab.emulators.key_vault import VaultLab
from lab.folder import empty, short
from lab.hosts import LAB_HOSTS
from lab.running import Running
from lab.tokens import NAME as TOKENS_FILE
from lab.tokens import lab_tokens
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
    """The desk cannot be brought up, or refused a call with `status`; the message says what to do."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


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
        self.say = say
        self._parts = contextlib.ExitStack()
        self.url = ""
        self.connection_string = ""
        self.addresses: dict[str, str] = {}
        self._host_key = ""
        self.tokens: dict[str, str] = {}
        self._host: HostProcess | None = None
        self.running = Running(choices.folder)
        self._moved: list[str] = []
        self.fleet: KeptFleet | None = None
        self.authrocket: KeptAuthRocket | None = None
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
        self.running.claim()
        self._parts.callback(self.running.release)
        if self._choices.fresh:
            empty(folder)
        azurite = Azurite(
            folder / "azurite",
            StoragePorts(
                self._port("blob", "the blob emulator"),
                self._port("queue", "the queue emulator"),
                self._port("table", "the table emulator"),
            ),
        )
        self.say("the storage emulator, Azurite")
        self._parts.enter_context(azurite)
        self.connection_string = azurite.connection_string
        _create_queues(self.connection_string)
        self.say("the emulators of Key Vault and Entra, EC2 and STS, AuthRocket")
        fleet = self._parts.enter_context(KeptFleet(self._port("fleet", "EC2")))
        vaults = self._parts.enter_context(self._vaults(fleet))
        authrocket = self._parts.enter_context(self._authrocket(vaults))
        for line in Changes(folder / "changes.jsonl").keep(vaults, fleet, authrocket):
            self.say(line)
        self.fleet, self.vaults, self.authrocket = fleet, vaults, authrocket
        self.addresses = {
            "EC2 and STS": fleet.url,
            "AuthRocket": authrocket.url,
            "AuthRocket realm": authrocket.realm_id,
            **{f"Key Vault {name}": vaults.vault(name).url for name in ("deskbridge-vault", "acorn-vault")},
        }
        environment = self._environment(vaults, fleet, authrocket)
        settings = folder / "local.settings.json"
        settings.write_text((ROOT / "local.settings.json.example").read_text("utf-8"), "utf-8")
        if self._choices.host == "func":
            self._start_func(environment)
        else:
            self._start_host(environment, settings)
        self.tokens = lab_tokens(self._call_as, self._host_key, folder)
        self.running.publish(url=self.url)
        if self._moved:
            self.say(f"{len(self._moved)} usual ports of the emulators are taken by other programs; they use others")

    def _environment(self, vaults: VaultLab, fleet: KeptFleet, authrocket: KeptAuthRocket) -> dict[str, str]:
        private = (urlsplit(url).netloc for url in (authrocket.url, vaults.entra_url))
        return {
            **_clean_environment(),
            **vaults.environment(),
            **fleet.environment(),
            "DESKBRIDGE_VERIFY_CHALLENGE_RESOURCE": "false",
            # Whoever tries something looks at the lists at once.
            "DESKBRIDGE_OUTBOX_SCHEDULE": "*/2 * * * * *",
            "DESKBRIDGE_ALLOWED_PRIVATE_HOSTS": " ".join(private),
            **LAB_HOSTS,
            "AzureWebJobsStorage": self.connection_string,
            **self._choices.environment,
        }

    @property
    def folder(self) -> Path:
        return self._choices.folder

    @property
    def began(self) -> datetime:
        """When the story of this folder began: see `lab.story`."""
        return story.began_at(self.folder / "began")

    def _vaults(self, fleet: KeptFleet) -> VaultLab:
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
        document = yaml.safe_load(text)
        for vault in document["vaults"]:
            if vault["name"] == story.VAULT:
                for object_type, objects in story.vault_objects(self.began).items():
                    vault[object_type] = [*vault.get(object_type, []), *objects]
        return VaultLab(document, folder=self._choices.folder / "authority", ports=wanted, anchor=self.began)

    def _authrocket(self, vaults: VaultLab) -> KeptAuthRocket:
        return KeptAuthRocket(port=self._port("authrocket", "AuthRocket"), tls=vaults.authority.server_context())

    def _port(self, name: str, purpose: str) -> int:
        return 0 if self._choices.any_ports else ports.choose(WANTED[name], purpose, self._moved.append)

    def _start_host(self, environment: Mapping[str, str], settings: Path) -> None:
        folder = self._choices.folder
        log = self._parts.enter_context((folder / "host.log").open("w", encoding="utf-8"))

        def keep(line: str) -> None:
            log.write(line + "\n")
            log.flush()

        self.say("the functions host")
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
        self._host_key = str(host.keys["master"])

    def _start_func(self, environment: Mapping[str, str]) -> None:
        port = self._host_port() or ports.free_port()
        host = self._parts.enter_context(CoreTools(ROOT, port, environment, self.say))
        self.url = host.url

    def door_port(self) -> int:
        """Where `./lab/do` reaches this lab."""
        return self._port("door", "./lab/do")

    def _host_port(self) -> int:
        if self._choices.any_ports:
            return 0
        if self._choices.port is not None:
            return ports.require(self._choices.port, "the desk")
        return ports.choose(HOST_PORT, "the desk", self.say)

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """One HTTP call to the desk by its administrator; the JSON it answers. Raises DeskError with what it said."""
        # What the host itself answers takes its key, everything else a token.
        of_host = path.startswith("/admin/")
        name, secret = ("x-functions-key", self._host_key) if of_host else ("X-Api-Key", self.tokens["administrator"])
        return self._call_as(method, path, body, {"Content-Type": content_type, name: secret, **(headers or {})})

    def _call_as(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Any:
        request = urllib.request.Request(  # noqa: S310 - the desk's own loopback address
            f"{self.url}{path}", data=body, method=method, headers={"Content-Type": "application/json", **headers}
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            said = error.read().decode("utf-8", "replace")
            raise DeskError(f"{method} {path} answered {error.code}: {_in_words(said)}", error.code) from None
        return json.loads(text) if text else None

    @property
    def credential(self) -> dict[str, str]:
        """The header of somebody who may do everything, for whoever sends requests without `call`."""
        return {"X-Api-Key": self.tokens["administrator"]}

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
    def console_link(self) -> str:
        """Opens the console signed in. It holds a token of the lab, which opens nothing but this desk on loopback."""
        return f"{self.url}/api/console/#token={self.tokens['administrator']}"

    @property
    def token_hint(self) -> str:
        """Where the other tokens stand."""
        tokens = short(self._choices.folder / TOKENS_FILE)
        return f"""TOKEN=$(.venv/bin/python -c 'import json; print(json.load(open("{tokens}"))["administrator"])')"""

    def curl(self, path: str) -> str:
        """A command for a person that asks this desk."""
        return f'curl -H "X-Api-Key: $TOKEN" {self.url}{path}'

    @property
    def log(self) -> str:
        return short(self.folder / "host.log")

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


def _in_words(said: str) -> str:
    """What a refusal says to a person; the body as it is when it is no refusal of the desk."""
    try:
        problem = json.loads(said)
        return f"{problem['detail']} {problem.get('remedy') or ''} ({problem['reason']})"
    except (ValueError, KeyError, TypeError):
        return said or "nothing"
