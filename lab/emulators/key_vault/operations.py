"""Everything that can be done to a running lab, by name: what tests call and the control endpoint offers."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ValidationError

from lab.emulators.key_vault.access import ROLES
from lab.emulators.key_vault.documents import (
    ApplicationDocument,
    CertificateDocument,
    Document,
    FaultDocument,
    GrantDocument,
    IdentityDocument,
    KeyDocument,
    ObjectName,
    ObjectType,
    SecretDocument,
    VaultDocument,
)
from lab.emulators.key_vault.faults import Faults
from lab.emulators.key_vault.journal import Journal
from lab.emulators.key_vault.moments import When, resolve
from lab.emulators.key_vault.state import LabError, LabState, Vault
from lab.emulators.key_vault.tokens import Tokens


class Nothing(Document):
    pass


class OfVault(Document):
    vault: str


class NewSecret(SecretDocument, OfVault):
    pass


class NewKey(KeyDocument, OfVault):
    pass


class NewCertificate(CertificateDocument, OfVault):
    pass


class NewGrant(GrantDocument, OfVault):
    pass


class OfPrincipal(OfVault):
    principal: str


class OfObject(OfVault):
    object_type: ObjectType = "secrets"
    name: ObjectName


class ObjectChange(OfObject):
    version: str = ""
    enabled: bool | None = None
    expires_at: When | None = None
    not_before: When | None = None
    content_type: str | None = None
    tags: dict[str, str] | None = None


class VaultSettings(OfVault):
    settings: dict[str, Any]


class Named(Document):
    name: str


class JournalQuery(Document):
    service: str | None = None
    vault: str | None = None
    operation: str | None = None
    object_name: str | None = None
    principal: str | None = None
    status: int | None = None


class ClockOffset(Document):
    seconds: float


class TokenLifetime(Document):
    seconds: int


# What changes the contents of the lab, in contrast to what reads it or goes wrong once.
CHANGES = frozenset(
    {"add_secret", "add_key", "add_certificate", "change_object", "delete_object", "recover_object", "grant", "revoke"}
)
_TIMES = ("created_at", "expires_at", "not_before")
_CHANGEABLE = {"permission_model", "firewall", "not_yet_valid", "policy_denial_code", "api_versions", "location"}


@dataclass(frozen=True)
class Place:
    """What only the running lab knows: addresses, and how to start and stop the listener of a vault."""

    describe: Callable[[], dict[str, Any]]
    environment: Callable[[], dict[str, str]]
    start_vault: Callable[[Vault], None]
    stop_vault: Callable[[Vault], None]


class Operations:
    """Carries out operations by name; arguments are checked against their document first."""

    def __init__(self, state: LabState, tokens: Tokens, faults: Faults, journal: Journal, place: Place) -> None:
        self._state = state
        self._tokens = tokens
        self._faults = faults
        self._journal = journal
        self._place = place
        # Hears each change that was carried out, with its times written out, so that it can be repeated later.
        self.on_change: Callable[[str, dict[str, Any]], object] | None = None
        self._known: dict[str, tuple[type[BaseModel], Callable[[Any], Any]]] = {
            "describe": (Nothing, lambda _: self._place.describe()),
            "describe_vault": (OfVault, self._describe_vault),
            "environment": (Nothing, lambda _: self._place.environment()),
            "journal": (JournalQuery, self._read_journal),
            "clear_journal": (Nothing, lambda _: self._journal.clear()),
            "fail_next": (FaultDocument, self._fail_next),
            "pending_faults": (Nothing, lambda _: self._faults.pending()),
            "clear_faults": (Nothing, lambda _: self._faults.clear()),
            "set_clock_offset": (ClockOffset, self._set_clock_offset),
            "set_token_lifetime": (TokenLifetime, self._set_token_lifetime),
            "add_vault": (VaultDocument, self.add_vault),
            "configure_vault": (VaultSettings, self._configure_vault),
            "start_vault": (OfVault, lambda asked: self._place.start_vault(self._state.vault(asked.vault))),
            "stop_vault": (OfVault, lambda asked: self._place.stop_vault(self._state.vault(asked.vault))),
            "add_identity": (IdentityDocument, self._add_identity),
            "remove_identity": (Named, self._remove_identity),
            "add_application": (ApplicationDocument, self._add_application),
            "add_secret": (NewSecret, self._add_object),
            "add_key": (NewKey, self._add_object),
            "add_certificate": (NewCertificate, self._add_object),
            "change_object": (ObjectChange, self._change_object),
            "delete_object": (OfObject, self._delete_object),
            "recover_object": (OfObject, self._recover_object),
            "grant": (NewGrant, self._grant),
            "revoke": (OfPrincipal, self._revoke),
        }

    @property
    def names(self) -> list[str]:
        return sorted(self._known)

    def call(self, operation: str, arguments: dict[str, Any]) -> Any:
        """The outcome as plain JSON values; raises LabError."""
        known = self._known.get(operation)
        if known is None:
            raise LabError(f"there is no operation {operation!r}; there are {', '.join(self.names)}")
        document, carry_out = known
        try:
            asked = document.model_validate(arguments)
        except ValidationError as error:
            # Without the input: a secret's value must not come back in a message.
            faults = "; ".join(
                f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors(include_input=False)
            )
            raise LabError(f"{operation}: {faults}") from None
        outcome = carry_out(asked)
        if self.on_change and operation in CHANGES:
            self.on_change(operation, self._repeatable(operation, arguments, asked, outcome))
        return outcome

    def _repeatable(self, operation: str, arguments: dict[str, Any], asked: BaseModel, outcome: Any) -> dict[str, Any]:
        now = self._state.clock.now()
        times = {field: resolve(getattr(asked, field, None), now) for field in _TIMES if field in arguments}
        repeatable = dict(arguments)
        if operation.startswith("add_"):
            times["created_at"] = times.get("created_at") or now.replace(microsecond=0)
            repeatable["version"] = outcome
        return repeatable | {field: moment.isoformat() if moment else None for field, moment in times.items()}

    def add_vault(self, document: VaultDocument) -> str:
        """Start a vault with everything that its document holds; times are counted from the lab's anchor."""
        with self._state.lock:
            if document.name in self._state.vaults:
                raise LabError(f"the lab has a vault named {document.name!r} already")
            tenant = self._state.tenant(document.tenant_id)
            if tenant is None:
                raise LabError(f"vault {document.name}: the lab has no tenant {document.tenant_id}")
            for grant in document.grants:
                self._check_grant(grant)
            vault = Vault(document, tenant.tenant_id)
            contents: list[SecretDocument | KeyDocument | CertificateDocument]
            contents = [*document.certificates, *document.secrets, *document.keys]
            for held in contents:
                self._state.add_version(vault, held, self._state.anchor)
            for path in document.deleted:
                kind, _, name = path.partition("/")
                gone = OfObject.model_validate({"vault": vault.name, "object_type": kind, "name": name})
                _move(vault, gone, self._state.clock.now())
            self._state.vaults[document.name] = vault
        self._place.start_vault(vault)
        return vault.url

    def _describe_vault(self, asked: OfVault) -> dict[str, Any]:
        with self._state.lock:
            return describe_vault(self._state.vault(asked.vault))

    def _read_journal(self, query: JournalQuery) -> list[dict[str, Any]]:
        return [entry.as_json() for entry in self._journal.entries(**query.model_dump())]

    def _fail_next(self, fault: FaultDocument) -> None:
        if fault.vault is not None:
            self._state.vault(fault.vault)
        self._faults.add(fault)

    def _set_clock_offset(self, asked: ClockOffset) -> None:
        self._state.clock.offset_seconds = asked.seconds

    def _set_token_lifetime(self, asked: TokenLifetime) -> None:
        if asked.seconds < 1:
            raise LabError("set_token_lifetime: a token lives for at least a second")
        self._tokens.lifetime_seconds = asked.seconds

    def _configure_vault(self, asked: VaultSettings) -> None:
        refused = sorted(asked.settings.keys() - _CHANGEABLE)
        if refused:
            raise LabError(f"{', '.join(refused)} cannot be changed; {', '.join(sorted(_CHANGEABLE))} can")
        vault = self._state.vault(asked.vault)
        try:
            changed = VaultDocument.model_validate(vault.settings.model_dump() | asked.settings)
        except ValidationError as error:
            raise LabError(str(error.errors(include_input=False, include_url=False))) from None
        with self._state.lock:
            vault.settings = changed

    def _add_identity(self, identity: IdentityDocument) -> dict[str, str]:
        with self._state.lock:
            others = [held for held in self._state.identities.values() if held.name != identity.name]
            if identity.kind == "system" and any(held.kind == "system" for held in others):
                raise LabError("a host has one system-assigned identity")
            self._state.identities[identity.name] = identity
        ids = {"client_id": identity.client_id, "principal_id": identity.principal_id}
        return ids | {"resource_id": identity.resource_id}

    def _remove_identity(self, asked: Named) -> None:
        with self._state.lock:
            if self._state.identities.pop(asked.name, None) is None:
                raise LabError(f"the lab has no identity named {asked.name!r}")

    def _add_application(self, application: ApplicationDocument) -> dict[str, str]:
        with self._state.lock:
            self._state.applications[application.name] = application
        return {"client_id": application.client_id, "principal_id": application.principal_id}

    def _add_object(self, asked: NewSecret | NewKey | NewCertificate) -> str:
        return self._state.add_version(self._state.vault(asked.vault), asked).version

    def _change_object(self, change: ObjectChange) -> None:
        with self._state.lock:
            stored = self._state.vault(change.vault).find(change.object_type, change.name)
            held = stored.find(change.version) if stored else None
            if held is None:
                raise LabError(f"vault {change.vault} has no {change.object_type}/{change.name} {change.version}")
            now = self._state.clock.now()
            for field in change.model_fields_set & {"enabled", "expires_at", "not_before", "content_type", "tags"}:
                value = getattr(change, field)
                setattr(held, field, resolve(value, now) if field in {"expires_at", "not_before"} else value)
            held.updated_at = now

    def _delete_object(self, asked: OfObject) -> None:
        with self._state.lock:
            _move(self._state.vault(asked.vault), asked, self._state.clock.now())

    def _recover_object(self, asked: OfObject) -> None:
        with self._state.lock:
            _move(self._state.vault(asked.vault), asked, None)

    def _check_grant(self, grant: GrantDocument) -> None:
        unknown = [role for role in grant.roles if role not in ROLES]
        if unknown:
            raise LabError(f"unknown role {unknown[0]!r}; known are {', '.join(ROLES)}")
        if any(permission.count("/") != 1 for permission in grant.permissions):
            raise LabError("a permission is written as secrets/get, keys/list or certificates/*")

    def _grant(self, grant: NewGrant) -> None:
        self._check_grant(grant)
        with self._state.lock:
            held = GrantDocument.model_validate(grant.model_dump(exclude={"vault"}))
            self._state.vault(grant.vault).grants.append(held)

    def _revoke(self, asked: OfPrincipal) -> None:
        with self._state.lock:
            vault = self._state.vault(asked.vault)
            vault.grants = [grant for grant in vault.grants if grant.principal != asked.principal]


def _move(vault: Vault, asked: OfObject, deleted_at: datetime | None) -> None:
    """Delete at a time, or recover for None; a certificate takes its key and secret along."""
    kinds: tuple[ObjectType, ...] = (asked.object_type,)
    if asked.object_type == "certificates":
        kinds = ("certificates", "keys", "secrets")
    for kind in kinds:
        key = (kind, asked.name.casefold())
        if key not in (vault.objects if deleted_at else vault.deleted):
            raise LabError(f"vault {vault.name} has no {'' if deleted_at else 'deleted '}{kind}/{asked.name}")
        if deleted_at:
            vault.deleted[key] = (vault.objects.pop(key), deleted_at)
        else:
            vault.objects[key], _ = vault.deleted.pop(key)


def describe_vault(vault: Vault) -> dict[str, Any]:
    """A vault without its values."""
    return {
        "name": vault.name,
        "url": vault.url,
        "port": vault.port,
        "resource_id": vault.settings.resource_id,
        "tenant_id": vault.tenant_id,
        "permission_model": vault.settings.permission_model,
        "grants": [grant.model_dump(exclude_defaults=True) for grant in vault.grants],
        "objects": [
            {
                "object_type": stored.object_type,
                "name": stored.name,
                "managed": stored.managed,
                "versions": [held.version for held in stored.versions],
                "enabled": stored.current.enabled,
                "expires_at": stored.current.expires_at.isoformat() if stored.current.expires_at else None,
            }
            for stored in vault.objects.values()
        ],
    }
