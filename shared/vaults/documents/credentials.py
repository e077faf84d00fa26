"""Where a password comes from: a credential by name, or written in place."""

from collections.abc import Iterable, Sequence
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator

from shared.errors import Fault
from shared.settings.base import Document, DocumentName, Reference, SettingsDocument, Text
from shared.vaults.documents.vault_addresses import SecretAddress, parse_secret_address


def _readable_address(text: str) -> str:
    parse_secret_address(text)
    return text


SecretText = Annotated[Text, AfterValidator(_readable_address)]
# Where a credential may be used: anywhere, in all documents of one kind, or in one document.
ScopeText = Annotated[
    str,
    Field(pattern=r"^(any|[a-z0-9-]+(/[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?)$"),
]
DEFAULT_USERNAME_FIELD = "username"
DEFAULT_PASSWORD_FIELD = "password"  # noqa: S105 - the name of a JSON field


HostName = Annotated[str, Field(pattern=r"^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*$", max_length=253)]


class SecretSource(Document):
    """A secret of a store, and which of its JSON fields mean what.

    `secret` is a name, `name/version`, or a full secret address in the store's vault. Without `value_field` the whole
    text of the secret is its value.
    """

    store: DocumentName
    secret: SecretText
    value_field: Text | None = None
    username_field: Text | None = None
    password_field: Text | None = None

    @property
    def address(self) -> SecretAddress:
        return parse_secret_address(self.secret)


class InPlaceCredential(SecretSource):
    """A credential written where it is used; it belongs to that one place, and so has no scope."""


class Credential(SecretSource, SettingsDocument):
    """A credential with a name of its own.

    `scope` is set once: `any`, a kind of documents, or one document (`aws-tenants/acorn`). So is `hosts`: where the
    secret may be sent. Without it these are the hosts of the service that it is used for.
    """

    kind: ClassVar[str] = "credentials"

    scope: ScopeText
    hosts: tuple[HostName, ...] = ()
    description: Text | None = None

    def check_kinds(self, kinds: Iterable[type[SettingsDocument]]) -> Sequence[Fault]:
        usable = ["any", *(cls.kind for cls in kinds if cls.credential_use)]
        if self.scope.partition("/")[0] in usable:
            return ()
        return (Fault("scope", f"must be one of {', '.join(usable)}, or such a kind with a name: aws-tenants/acorn"),)

    def includes(self, kind: str, name: str) -> bool:
        """Whether the document kind/name may use this credential."""
        return self.scope in {"any", kind, f"{kind}/{name}"}

    def includes_scope(self, scope: str) -> bool:
        """Whether whoever is within that scope is within this one."""
        kind, _, name = scope.partition("/")
        return scope == self.scope or self.includes(kind, name)

    def check_use(self, kind: str, name: str) -> str | None:
        if self.includes(kind, name):
            return None
        return f"this credential's scope is {self.scope}, so {kind}/{name} may not use it: name another one"

    def references(self) -> Sequence[Reference]:
        return (Reference("store", "credential-stores", self.store),)

    def check_change(self, before: SettingsDocument) -> Sequence[Fault]:
        """What may not change once the credential exists."""
        if not isinstance(before, Credential):
            return []
        faults = []
        if self.scope != before.scope:
            faults.append(
                Fault(
                    "scope",
                    f"cannot change from {before.scope} to {self.scope}: whoever gave it this scope decided "
                    "which imports may use the password. Make a new credential with the wanted scope and point to it; "
                    "store, secret and fields can be changed here at any time",
                )
            )
        if self.hosts != before.hosts:
            faults.append(Fault("hosts", "cannot change: make a new credential with the wanted hosts, and point to it"))
        return faults


class CredentialReference(Document):
    """Exactly one of `credential` (the name of a credential document) and `in_place`."""

    credential: DocumentName | None = None
    in_place: InPlaceCredential | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.credential is None) == (self.in_place is None):
            raise ValueError("write either `credential` (the name of a credential) or `in_place` (store and secret)")
        return self

    def references(self, path: str) -> Sequence[Reference]:
        """What must exist for this reference, which stands at `path` in its document."""
        if self.in_place is not None:
            return (Reference(f"{path}.in_place.store", "credential-stores", self.in_place.store),)
        return (Reference(f"{path}.credential", Credential.kind, self.credential or ""),)


class WebhookCredentials(Document):
    """The pairs of user name and password that a delivery may carry. Both are accepted, so that one can be replaced
    without losing a delivery."""

    current: CredentialReference
    previous: CredentialReference | None = None

    def references(self, path: str) -> Sequence[Reference]:
        """What must exist for these, which stand at `path` in their document."""
        found = list(self.current.references(f"{path}.current"))
        if self.previous is not None:
            found += self.previous.references(f"{path}.previous")
        return found
