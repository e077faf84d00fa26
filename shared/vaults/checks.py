"""Trying a store or a credential, and saying what is wrong and what to do. Never a value."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from shared.errors import DeskbridgeError, MisconfiguredError, NotFoundError, TryLaterError
from shared.reasons import Reason
from shared.settings.store import SettingsStore
from shared.vaults.bindings import stored_bindings
from shared.vaults.credentials import check_vault, expired, expiry, field_of, has_expired
from shared.vaults.documents.credential_stores import CredentialStore
from shared.vaults.documents.credentials import Credential, InPlaceCredential, SecretSource
from shared.vaults.documents.vault_addresses import SecretAddress
from shared.vaults.model import CredentialUser, SecretFetcher, SecretValue
from shared.vaults.remediation import set_secret
from shared.vaults.usage import SecretUses

# A name that no vault has: its absence is told only to an identity that may read.
PROBE = "deskbridge-check-of-the-store"
# Whoever tries a secret in place: no credential is kept for it.
_NOBODY = CredentialUser("trial", "in-place")


@dataclass(frozen=True)
class FoundSecret:
    """What may be said about a secret. `length` is in characters."""

    name: str
    version: str
    length: int
    expires_at: datetime | None
    fields: tuple[str, ...]


@dataclass(frozen=True)
class CredentialCheck:
    """The outcome. `summary` is a sentence, `remedy` what to do; `reason` is None when all is well."""

    ok: bool
    summary: str
    store: str
    vault: str
    identity: str
    reason: Reason | None = None
    remedy: str = ""
    may_pass: bool = False
    secret: FoundSecret | None = None
    notes: tuple[str, ...] = ()


class CredentialChecks:
    """Tries stores and credentials with the settings as they are stored now, past every cache."""

    def __init__(self, settings: SettingsStore, vaults: SecretFetcher, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._vaults = vaults
        self._now = now
        self._uses = SecretUses(settings)

    def check_store(self, name: str) -> CredentialCheck:
        """Signs in and asks the vault for a secret that it cannot have. Raises NotFoundError for an unknown store."""
        store = self._settings.get(CredentialStore, name, fresh=True).document
        if store.is_hsm:
            return self._check_hsm(name, store)
        try:
            self._vaults.fetch(name, store, SecretAddress(PROBE))
        except DeskbridgeError as error:
            if error.reason is Reason.SECRET_NOT_FOUND:
                return self._fine(name, store, f"The credential store {name} is ready: its identity can read secrets.")
            if error.reason is Reason.VAULT_PERMISSION_MISSING:
                return (
                    self._single_secrets(name, store)
                    or self._properties_only(name, store)
                    or self._wrong(name, store, error)
                )
            return self._wrong(name, store, error)
        return self._fine(name, store, f"The credential store {name} is ready.")

    def check_credential(self, name: str) -> CredentialCheck:
        """Reads the credential's secret. Raises NotFoundError for an unknown credential."""
        return self._check_source(self._settings.get(Credential, name, fresh=True).document)

    def check_in_place(self, source: InPlaceCredential) -> CredentialCheck:
        """Reads a secret that no credential keeps for others. Raises NotFoundError for an unknown store."""
        stored = self._settings.find(CredentialStore, source.store, fresh=True)
        keeper = stored_bindings(self._settings).out_of_scope(source, _NOBODY)
        if stored is not None and keeper is not None:
            refusal = MisconfiguredError(
                Reason.CREDENTIAL_OUT_OF_SCOPE,
                f"The credential {keeper} keeps the secret {source.address.name} for others, so it was not read.",
                remedy=f"Try that credential: POST /api/v1/credentials/{keeper}/check",
            )
            return self._wrong(source.store, stored.document, refusal)
        return self._check_source(source)

    def _check_source(self, source: SecretSource) -> CredentialCheck:
        stored = self._settings.find(CredentialStore, source.store, fresh=True)
        if stored is None:
            raise NotFoundError(
                Reason.CREDENTIAL_STORE_UNKNOWN,
                f"There is no credential store {source.store}.",
                remedy=f"Make it: PUT /api/v1/settings/credential-stores/{source.store}",
            )
        store = stored.document
        try:
            check_vault(source.store, store, source.address)
            value = self._vaults.fetch(source.store, store, source.address)
        except DeskbridgeError as error:
            return self._wrong(source.store, store, self._more_exactly(source, store, error))
        secret = FoundSecret(
            value.secret_name, value.version, len(value.text), value.expires_at, tuple(sorted(value.fields))
        )
        try:
            self._usable(source, store, value)
        except MisconfiguredError as error:
            return self._wrong(source.store, store, error, secret)
        return self._fine(
            source.store,
            store,
            f"The secret {value.secret_name} in the vault {value.vault_name} can be read.",
            secret,
            self._notes(store, value),
        )

    def _single_secrets(self, name: str, store: CredentialStore) -> CredentialCheck | None:
        """Whether an identity that may not read all secrets may read those that the settings name."""
        for use in self._uses.uses_of_store(name):
            try:
                self._vaults.fetch(name, store, use.source.address)
            except DeskbridgeError:
                continue
            return self._fine(
                name,
                store,
                f"The credential store {name} is ready for single secrets: its identity can read "
                f"{use.source.address.name}, and not every secret of the vault.",
            )
        return None

    def _properties_only(self, name: str, store: CredentialStore) -> CredentialCheck | None:
        """Whether a store that no secret is read through can do what it is there for: the sweep lists its vault."""
        if self._uses.uses_of_store(name):
            return None
        try:
            self._vaults.check_list(name, store)
        except DeskbridgeError:
            return None
        return self._fine(
            name,
            store,
            f"The credential store {name} is ready for the sweep: its identity can list the properties of the vault's "
            "secrets, and read none.",
        )

    def _check_hsm(self, name: str, store: CredentialStore) -> CredentialCheck:
        """A managed HSM keeps no secret to ask for: its keys are listed, as the sweep does."""
        try:
            self._vaults.check_list(name, store)
        except DeskbridgeError as error:
            return self._wrong(name, store, error)
        return self._fine(
            name,
            store,
            f"The credential store {name} is ready for the sweep: its identity can list the keys of the HSM.",
        )

    def _more_exactly(self, source: SecretSource, store: CredentialStore, error: DeskbridgeError) -> DeskbridgeError:
        """For an unknown version: whether the secret is known. The vault's answer is the same for both."""
        address = source.address
        if error.reason is not Reason.SECRET_NOT_FOUND or not address.version:
            return error
        try:
            self._vaults.fetch(source.store, store, SecretAddress(address.name))
        except DeskbridgeError as without_version:
            return without_version if without_version.reason is Reason.SECRET_NOT_FOUND else error
        return MisconfiguredError(
            Reason.SECRET_NOT_FOUND,
            f"The vault {store.name_of_vault} has the secret {address.name}, but no version {address.version} of it.",
            remedy=error.remedy,
        )

    def _usable(self, source: SecretSource, store: CredentialStore, value: SecretValue) -> None:
        """Raises MisconfiguredError when the secret can be read and still does not serve."""
        for name in (source.value_field, source.username_field, source.password_field):
            if name is not None:
                field_of(value, name)
        if store.expired == "deny" and has_expired(value, self._now()):
            raise expired(value, source.store)
        if not value.text:
            raise MisconfiguredError(
                Reason.SECRET_EMPTY,
                f"The secret {value.secret_name} in the vault {value.vault_name} is empty.",
                remedy="Write a value to value.txt, store that, and delete the file: "
                f"{set_secret(value.vault_name, value.secret_name)}",
            )

    def _notes(self, store: CredentialStore, value: SecretValue) -> tuple[str, ...]:
        if not has_expired(value, self._now()):
            return ()
        return (f"{expiry(value)} It is used all the same, as the store says (expired: {store.expired}).",)

    @staticmethod
    def _fine(
        name: str, store: CredentialStore, summary: str, secret: FoundSecret | None = None, notes: tuple[str, ...] = ()
    ) -> CredentialCheck:
        return CredentialCheck(
            ok=True,
            summary=summary,
            store=name,
            vault=store.name_of_vault,
            identity=identity_of(store),
            secret=secret,
            notes=notes,
        )

    @staticmethod
    def _wrong(
        name: str, store: CredentialStore, error: DeskbridgeError, secret: FoundSecret | None = None
    ) -> CredentialCheck:
        return CredentialCheck(
            ok=False,
            summary=error.message,
            store=name,
            vault=store.name_of_vault,
            identity=identity_of(store),
            reason=error.reason,
            remedy=error.remedy,
            may_pass=isinstance(error, TryLaterError),
            secret=secret,
        )


def identity_of(store: CredentialStore) -> str:
    """The identity of a store, in words."""
    match store.method:
        case "system_assigned":
            return "system-assigned identity of this host"
        case "user_assigned":
            return f"user-assigned identity {store.client_id or store.resource_id}"
        case "client_secret":
            return f"app registration {store.client_id or 'of the app setting AzureClientId'}"
        case "developer":
            return "the person who is signed in"
