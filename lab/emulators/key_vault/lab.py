"""The vaults, Entra and the identity endpoint as one thing that starts and stops."""

import hmac
import secrets
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import ValidationError

from lab.emulators.key_vault.authority import CertificateAuthority
from lab.emulators.key_vault.control import ControlEndpoint
from lab.emulators.key_vault.data_plane import DataPlane
from lab.emulators.key_vault.documents import LabDocument
from lab.emulators.key_vault.entra import Entra
from lab.emulators.key_vault.faults import Faults
from lab.emulators.key_vault.identity import PATH, IdentityEndpoint
from lab.emulators.key_vault.interface import LabInterface
from lab.emulators.key_vault.journal import Journal
from lab.emulators.key_vault.moments import Clock
from lab.emulators.key_vault.operations import Operations, Place, describe_vault
from lab.emulators.key_vault.server import Servers
from lab.emulators.key_vault.state import LabError, LabState, Vault
from lab.emulators.key_vault.tokens import Tokens
from lab.emulators.startable import Startable


def _header(key: bytes) -> str:
    return hmac.new(key, b"identity header", "sha256").hexdigest()


def load_document(path: Path) -> LabDocument:
    """Read a lab from a YAML or JSON file; raises LabError that names every fault by its path."""
    return parse_document(yaml.safe_load(path.read_text("utf-8")) or {}, str(path))


def parse_document(content: Any, source: str = "the lab's document") -> LabDocument:
    """Check a lab that came as plain values; raises LabError."""
    try:
        return LabDocument.model_validate(content)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors(include_input=False)
        )
        raise LabError(f"{source}: {faults}") from None


class VaultLab(Startable, LabInterface):
    """A lab in this process. `document` is a LabDocument, plain values of the same shape, or a file.

    `folder` keeps the certificate authority and the key behind tokens and identity header; without one they live as
    long as the lab.
    `anchor` is the moment from which the document's relative times are counted, now by default: keep it, and a lab
    started again has the same expiry times. `ports` takes fixed ports by service: entra, identity, control, and
    vault:<name>; PortTakenError says which one is in use.
    """

    def __init__(
        self,
        document: LabDocument | Mapping[str, Any] | Path | None = None,
        *,
        folder: Path | None = None,
        anchor: datetime | None = None,
        ports: Mapping[str, int] | None = None,
    ) -> None:
        if isinstance(document, Path):
            document = load_document(document)
        elif not isinstance(document, LabDocument):
            document = parse_document(document or {})
        self._document = document
        self._folder = folder
        self._own_folder: tempfile.TemporaryDirectory[str] | None = None
        self._wanted_ports = dict(ports or {})
        self._servers: Servers | None = None
        self._authority: CertificateAuthority | None = None
        self._ports: dict[str, int] = {}
        clock = Clock(document.clock_offset_seconds)
        self._state = LabState(document.tenants, clock, anchor or datetime.now(UTC))
        self._journal = Journal()
        self._faults = Faults()
        self._header = document.identity_header
        self._tokens = Tokens(secrets.token_bytes(32), clock, document.token_lifetime_seconds)
        self._operations = Operations(
            self._state,
            self._tokens,
            self._faults,
            self._journal,
            Place(self._describe, self._environment, self._start_vault, self._stop_vault),
        )

    def start(self) -> Self:
        """Listen on every port; raises PortTakenError or LabError, having stopped what it began."""
        if self._servers is not None:
            raise LabError("the lab is running already")
        if self._folder is None:
            self._own_folder = tempfile.TemporaryDirectory(prefix="deskbridge-lab-")
        self._authority = CertificateAuthority(self._folder or Path(self._own_folder.name if self._own_folder else ""))
        self._tokens.use_key(self._authority.token_key)
        # A host that is already running keeps the header that it was started with.
        self._header = self._document.identity_header or _header(self._authority.token_key)
        self._servers = Servers()
        try:
            self._start_services()
        except BaseException:
            self.stop()
            raise
        return self

    def _start_services(self) -> None:
        assert self._servers is not None
        assert self._authority is not None
        document, tls = self._document, self._authority.server_context()
        shared = (self._state, self._tokens, self._faults, self._journal)
        entra = Entra(*shared)
        self._ports["entra"] = self._servers.listen(
            entra, purpose="the lab's Entra", port=self._wanted_port("entra", document.entra_port), tls=tls
        )
        entra.url = self.entra_url
        self._ports["identity"] = self._servers.listen(
            IdentityEndpoint(*shared, self._header),
            purpose="the lab's identity endpoint",
            port=self._wanted_port("identity", document.identity_port),
        )
        for identity in document.identities:
            self._operations.call("add_identity", identity.model_dump())
        for application in document.applications:
            self._operations.call("add_application", application.model_dump())
        self._state.vaults.clear()
        for vault in document.vaults:
            self._operations.add_vault(vault)
        # Last: whoever gets an answer here finds everything else in place.
        self._ports["control"] = self._servers.listen(
            ControlEndpoint(self._operations),
            purpose="the lab's vault control",
            port=self._wanted_port("control", document.control_port),
        )

    def stop(self) -> None:
        """Close every port and connection. Nothing happens when the lab is not running."""
        if self._servers is not None:
            self._servers.close()
            self._servers = None
        self._ports.clear()
        if self._own_folder is not None:
            self._own_folder.cleanup()
            self._own_folder = None

    def call(self, operation: str, /, **arguments: Any) -> Any:
        return self._operations.call(operation, arguments)

    def on_change(self, hear: Callable[[str, dict[str, Any]], object]) -> None:
        """From now on `hear` gets each change, as `call` takes it: by whichever way it came."""
        self._operations.on_change = hear

    @property
    def ports(self) -> dict[str, int]:
        """The ports in use by service, in the form that `ports` takes at the next start."""
        return dict(self._ports)

    @property
    def authority(self) -> CertificateAuthority:
        """The certificate authority; other emulators of the lab may take their certificates from it."""
        if self._authority is None:
            raise LabError("the lab is not running")
        return self._authority

    @property
    def entra_url(self) -> str:
        """The authority for azure-identity, without a tenant."""
        return f"https://localhost:{self._ports['entra']}"

    @property
    def identity_url(self) -> str:
        return f"http://localhost:{self._ports['identity']}{PATH}"

    @property
    def control_url(self) -> str:
        return f"http://localhost:{self._ports['control']}"

    @property
    def ca_certificate(self) -> Path:
        """The certificate of the lab's own authority, alone."""
        return self.authority.certificate

    def _wanted_port(self, service: str, documented: int = 0) -> int:
        return self._wanted_ports.get(service, documented)

    def _start_vault(self, vault: Vault) -> None:
        if self._servers is None or self._authority is None:
            raise LabError("the lab is not running")
        name = f"vault:{vault.name}"
        if name in self._ports:
            raise LabError(f"vault {vault.name} is listening already")
        service = DataPlane(vault, self._state, self._tokens, self._faults, self._journal)
        service.authority = self.entra_url
        vault.port = self._servers.listen(
            service,
            purpose=f"the lab's vault {vault.name}",
            # A vault that comes back does so where its clients look for it.
            port=vault.port or self._wanted_port(name, vault.settings.port),
            tls=self._authority.server_context(),
        )
        vault.url = f"https://localhost:{vault.port}"
        self._ports[name] = vault.port

    def _stop_vault(self, vault: Vault) -> None:
        if self._servers is not None:
            self._servers.stop_listening(self._ports.pop(f"vault:{vault.name}", 0))

    def _environment(self) -> dict[str, str]:
        return {
            "IDENTITY_ENDPOINT": self.identity_url,
            "IDENTITY_HEADER": self._header,
            "REQUESTS_CA_BUNDLE": str(self.authority.bundle),
            "AZURE_AUTHORITY_HOST": self.entra_url,
        }

    def _describe(self) -> dict[str, Any]:
        with self._state.lock:
            return {
                "entra_url": self.entra_url,
                "identity_url": self.identity_url,
                "control_url": self.control_url,
                "ca_certificate": str(self.authority.certificate),
                "ports": self.ports,
                "tenants": [tenant.model_dump() for tenant in self._state.tenants],
                "identities": [identity.model_dump() for identity in self._state.identities.values()],
                "applications": [
                    application.model_dump(include={"name", "tenant_id", "client_id", "principal_id"})
                    for application in self._state.applications.values()
                ],
                "vaults": [describe_vault(vault) for vault in self._state.vaults.values()],
            }
