"""The lab's contents: vaults with their objects and grants, and the principals that may ask for tokens."""

import hashlib
import threading
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lab.emulators.key_vault.documents import (
    ApplicationDocument,
    CertificateDocument,
    GrantDocument,
    IdentityDocument,
    KeyDocument,
    ObjectType,
    SecretDocument,
    TenantDocument,
    VaultDocument,
)
from lab.emulators.key_vault.material import CertificateMaterial, certificate, public_jwk
from lab.emulators.key_vault.moments import Clock, resolve


class LabError(ValueError):
    """A call on the lab that cannot be carried out; the message says why."""


@dataclass
class ObjectVersion:
    """One version of an object, with what its type needs."""

    version: str
    created_at: datetime
    updated_at: datetime
    enabled: bool = True
    not_before: datetime | None = None
    expires_at: datetime | None = None
    tags: dict[str, str] = field(default_factory=dict)
    content_type: str | None = None
    value: str | None = field(default=None, repr=False)
    jwk: dict[str, object] = field(default_factory=dict, repr=False)
    certificate: CertificateMaterial | None = field(default=None, repr=False)
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass
class StoredObject:
    """A secret, key or certificate with its versions, oldest first. `managed`: it belongs to a certificate."""

    object_type: ObjectType
    name: str
    managed: bool = False
    versions: list[ObjectVersion] = field(default_factory=list)

    @property
    def current(self) -> ObjectVersion:
        return self.versions[-1]

    def find(self, version: str) -> ObjectVersion | None:
        """The version with this id, the current one for an empty id."""
        if not version:
            return self.current
        return next((held for held in self.versions if held.version == version), None)


Key = tuple[ObjectType, str]


class Vault:
    """One vault: its settings, objects and soft-deleted objects. Names are compared without regard to case."""

    def __init__(self, document: VaultDocument, tenant_id: str) -> None:
        self.settings = document
        self.name = document.name
        self.tenant_id = tenant_id
        self.grants: list[GrantDocument] = list(document.grants)
        self.url = ""
        self.port = 0
        self.objects: dict[Key, StoredObject] = {}
        self.deleted: dict[Key, tuple[StoredObject, datetime]] = {}

    def find(self, object_type: ObjectType, name: str) -> StoredObject | None:
        return self.objects.get((object_type, name.casefold()))

    def listed(self, object_type: ObjectType) -> list[StoredObject]:
        """All objects of a type in the order of their names, disabled ones included, as Key Vault lists them."""
        held = [stored for (kind, _), stored in self.objects.items() if kind == object_type]
        return sorted(held, key=lambda stored: stored.name.casefold())


@dataclass(frozen=True)
class Principal:
    """Who a token stands for. `name` is the lab's own, and is what grants and the journal say."""

    name: str
    client_id: str
    principal_id: str
    tenant_id: str
    resource_id: str | None = None


class LabState:
    """Everything that the services share. Hold `lock` while reading or changing vaults."""

    def __init__(self, tenants: list[TenantDocument], clock: Clock, anchor: datetime) -> None:
        self.lock = threading.RLock()
        self.clock = clock
        self.anchor = anchor
        self.tenants = tenants
        self.identities: dict[str, IdentityDocument] = {}
        self.applications: dict[str, ApplicationDocument] = {}
        self.vaults: dict[str, Vault] = {}

    def tenant(self, tenant: str | None) -> TenantDocument | None:
        """The tenant with this id or domain; the first one for None."""
        if tenant is None:
            return self.tenants[0]
        asked = tenant.casefold()
        return next(
            (held for held in self.tenants if asked in {held.tenant_id.casefold(), held.domain.casefold()}), None
        )

    def principal(self, document: IdentityDocument | ApplicationDocument) -> Principal:
        return Principal(
            name=document.name,
            client_id=document.client_id,
            principal_id=document.principal_id,
            tenant_id=document.tenant_id or self.tenants[0].tenant_id,
            resource_id=document.resource_id if isinstance(document, IdentityDocument) else None,
        )

    def principal_by_id(self, principal_id: str) -> Principal | None:
        with self.lock:
            documents: list[IdentityDocument | ApplicationDocument]
            documents = [*self.identities.values(), *self.applications.values()]
            for document in documents:
                if document.principal_id == principal_id:
                    return self.principal(document)
        return None

    def vault(self, name: str) -> Vault:
        found = self.vaults.get(name)
        if found is None:
            raise LabError(f"the lab has no vault named {name!r}; it has {', '.join(sorted(self.vaults)) or 'none'}")
        return found

    def add_version(
        self, vault: Vault, document: SecretDocument | KeyDocument | CertificateDocument, anchor: datetime | None = None
    ) -> ObjectVersion:
        """Put one version into the vault; a certificate brings its managed key and secret."""
        now = self.clock.now()
        anchor = anchor or now
        created_at = resolve(document.created_at, anchor) or now.replace(microsecond=0)
        made = ObjectVersion(
            version=document.version or "",
            created_at=created_at,
            updated_at=created_at,
            enabled=document.enabled,
            not_before=resolve(document.not_before, anchor),
            expires_at=resolve(document.expires_at, anchor),
            tags=dict(document.tags),
            attributes=dict(document.attributes),
        )
        with self.lock:
            if isinstance(document, SecretDocument):
                made.value, made.content_type = document.value, document.content_type
                return _append(vault, "secrets", document.name, made)
            if isinstance(document, KeyDocument):
                made.jwk = public_jwk(document.key_type)
                return _append(vault, "keys", document.name, made)
            return _append_certificate(vault, document, made)


def _append_certificate(vault: Vault, document: CertificateDocument, made: ObjectVersion) -> ObjectVersion:
    made.not_before = made.not_before or made.created_at
    if made.expires_at is None or made.expires_at <= made.not_before:
        # One that has run out is a certificate that began earlier.
        made.expires_at = made.expires_at or made.not_before
        made.not_before = made.expires_at.replace(year=made.expires_at.year - 1, day=min(made.expires_at.day, 28))
    material = certificate(document.subject or f"CN={document.name}.acorn.example", made.not_before, made.expires_at)
    made.certificate = material
    _append(vault, "certificates", document.name, made)
    shared = {name: getattr(made, name) for name in ("version", "created_at", "updated_at", "enabled")}
    shared |= {name: getattr(made, name) for name in ("not_before", "expires_at", "attributes")}
    key = ObjectVersion(**shared, tags=dict(made.tags), jwk=material.jwk)
    secret = ObjectVersion(
        **shared, tags=dict(made.tags), value=material.pkcs12_base64, content_type="application/x-pkcs12"
    )
    _append(vault, "keys", document.name, key, managed=True)
    _append(vault, "secrets", document.name, secret, managed=True)
    return made


def _append(vault: Vault, kind: ObjectType, name: str, made: ObjectVersion, *, managed: bool = False) -> ObjectVersion:
    key: Key = (kind, name.casefold())
    if key in vault.deleted:
        raise LabError(f"{kind}/{name} is deleted in vault {vault.name}: recover or purge it first")
    stored = vault.objects.get(key) or StoredObject(kind, name, managed=managed)
    if stored.managed and not managed:
        raise LabError(f"{kind}/{name} in vault {vault.name} belongs to a certificate: change the certificate")
    # From the ordinal and not from chance: the same lab started twice has the same versions.
    made.version = made.version or _version_id(vault.name, kind, name, len(stored.versions))
    if stored.find(made.version) if stored.versions else None:
        raise LabError(f"{kind}/{name} in vault {vault.name} has version {made.version} already")
    stored.versions.append(made)
    vault.objects[key] = stored
    return made


def _version_id(*parts: object) -> str:
    return hashlib.sha256("/".join(map(str, parts)).casefold().encode()).hexdigest()[:32]
