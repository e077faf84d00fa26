"""Reading a credential: which store and secret it means, the cached or fetched value, and what may be done with it."""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from shared.conditions import UNREPORTED, ConditionReport, Conditions
from shared.errors import MisconfiguredError
from shared.reasons import Reason
from shared.settings.store import SettingsStore
from shared.vaults.bindings import check_use, stored_bindings
from shared.vaults.cache import ValueCache
from shared.vaults.documents.credential_stores import CredentialStore
from shared.vaults.documents.credentials import (
    DEFAULT_PASSWORD_FIELD,
    DEFAULT_USERNAME_FIELD,
    Credential,
    CredentialReference,
    SecretSource,
)
from shared.vaults.documents.vault_addresses import SecretAddress
from shared.vaults.expiries import report_of_secret, secret_of
from shared.vaults.model import CredentialUser, SecretFetcher, SecretValue, UserPassword
from shared.vaults.remediation import set_secret

logger = logging.getLogger(__name__)

_MOST_NAMES = 20
# Anybody can have a webhook's pair compared, so not each comparison is a read. A refusal fetches a new version anyway.
_PAIR_SECONDS = 10


class CacheKey(NamedTuple):
    """What a value is cached by. The store stands in it whole: another identity or another vault is another value."""

    store_name: str
    store: CredentialStore
    address: SecretAddress


class VaultCredentials:
    """Reads credentials at the moment of use. `now` is aware, `clock` gives seconds that never run backwards."""

    def __init__(
        self,
        settings: SettingsStore,
        vaults: SecretFetcher,
        now: Callable[[], datetime],
        clock: Callable[[], float],
        conditions: Conditions = UNREPORTED,
    ) -> None:
        self._settings = settings
        self._vaults = vaults
        self._now = now
        self._conditions = conditions
        # What this worker has seen to expire: its new value ends that.
        self._expiring: set[str] = set()
        self._cache: ValueCache[CacheKey, SecretValue] = ValueCache(clock)

    def read(self, reference: CredentialReference, user: CredentialUser) -> SecretValue:
        """The secret; with a `value_field`, that field of it as `text`.

        Raises MisconfiguredError with what is wrong and what to do, also when the secret is bound to others, and
        TryLaterError for what may pass.
        """
        source = self.source(reference)
        value = self._value(source, user)
        if source.value_field is None:
            return value
        return replace(value, text=field_of(value, source.value_field))

    def read_pair(self, reference: CredentialReference, user: CredentialUser) -> UserPassword:
        """User name and password of a JSON secret; the same errors, and one when it is not such a secret."""
        source = self.source(reference)
        value = self._value(source, user, at_least_seconds=_PAIR_SECONDS)
        return UserPassword(
            username=field_of(value, source.username_field or DEFAULT_USERNAME_FIELD),
            password=field_of(value, source.password_field or DEFAULT_PASSWORD_FIELD),
        )

    def invalidate(self, reference: CredentialReference) -> None:
        """The far side refused this value: the next `read` fetches it anew, once per fetched version."""
        source = self.source(reference)
        if source.address.version:
            # A version never changes, so fetching it again can bring nothing new.
            return
        self._cache.invalidate(_key_of(source, self.store(source.store)), _same_version)

    def secret_changed(self, vault_name: str, secret_name: str) -> None:
        """A new version of this secret exists: its cached value is dropped. Names are compared without case."""
        wanted = (vault_name.casefold(), secret_name.casefold())
        dropped = self._cache.drop(lambda key: not key.address.version and _secret_of(key) == wanted)
        if dropped:
            logger.info(
                "The cached value of secret %s in vault %s is dropped: it has changed.", secret_name, vault_name
            )

    def source(self, reference: CredentialReference, *, fresh: bool = False) -> SecretSource:
        """What the reference means; raises MisconfiguredError when its credential does not exist."""
        if reference.in_place is not None:
            return reference.in_place
        name = reference.credential or ""
        stored = self._settings.find(Credential, name, fresh=fresh)
        if stored is None:
            raise MisconfiguredError(
                Reason.CREDENTIAL_UNKNOWN,
                f"There is no credential {name}.",
                remedy=f"Make it: PUT /api/v1/settings/credentials/{name}, or name another one.",
            )
        return stored.document

    def store(self, name: str, *, fresh: bool = False) -> CredentialStore:
        """The credential store; raises MisconfiguredError when it does not exist."""
        stored = self._settings.find(CredentialStore, name, fresh=fresh)
        if stored is None:
            raise MisconfiguredError(
                Reason.CREDENTIAL_STORE_UNKNOWN,
                f"There is no credential store {name}.",
                remedy=f"Make it: PUT /api/v1/settings/credential-stores/{name}, or name another one.",
            )
        return stored.document

    def _value(self, source: SecretSource, user: CredentialUser, *, at_least_seconds: int = 0) -> SecretValue:
        store = self.store(source.store)
        check_use(stored_bindings(self._settings), source, user)
        key = _key_of(source, store)
        value = self._cache.get(
            key,
            lambda: self._fetch(key),
            cache_seconds=max(store.cache_seconds, at_least_seconds),
            stale_seconds=store.stale_seconds,
        )
        if store.expired == "deny" and has_expired(value, self._now()):
            raise expired(value, source.store)
        return value

    def _fetch(self, key: CacheKey) -> SecretValue:
        value = self._vaults.fetch(*key)
        self._tell(report_of_secret(key.store_name, key.address, value, self._now()))
        if key.store.expired == "warn" and has_expired(value, self._now()):
            logger.warning("%s It is used all the same, as the store %s says.", expiry(value), key.store_name)
        return value

    def prove(self, about: str) -> ConditionReport:
        """Whether the secret that a condition is about expires still. Raises what reading it raises."""
        store_name, address = secret_of(about)
        try:
            value = self._vaults.fetch(store_name, self.store(store_name, fresh=True), address)
        except MisconfiguredError as error:
            if error.reason not in {Reason.SECRET_NOT_FOUND, Reason.CREDENTIAL_STORE_UNKNOWN}:
                raise
            value = None
        return report_of_secret(store_name, address, value, self._now())

    def _tell(self, report: ConditionReport) -> None:
        if report.holds or report.about in self._expiring:
            self._conditions.report(report)
        if report.holds:
            self._expiring.add(report.about)
        else:
            self._expiring.discard(report.about)


_LOST_QUOTES = " It looks like JSON whose quotes are gone: PowerShell takes them from a command's arguments."


def _key_of(source: SecretSource, store: CredentialStore) -> CacheKey:
    """The key of the source's value; raises MisconfiguredError when the store has another vault."""
    key = CacheKey(source.store, store, source.address)
    check_vault(*key)
    return key


def check_vault(store_name: str, store: CredentialStore, address: SecretAddress) -> None:
    """Raises MisconfiguredError when the full address names another vault than the store's."""
    if address.vault_url is not None and address.vault_url.removesuffix(":443") != store.vault_url:
        raise MisconfiguredError(
            Reason.VAULT_ADDRESS_WRONG,
            f"The secret's address names {address.vault_url}, and the credential store {store_name} reads "
            f"{store.vault_url}.",
            remedy="Use the store of that vault, or write the secret's name alone.",
        )


def field_of(value: SecretValue, name: str) -> str:
    """One field of a JSON secret; raises MisconfiguredError when there is none."""
    where = f"The secret {value.secret_name} in the vault {value.vault_name}"
    if not value.fields:
        raise MisconfiguredError(
            Reason.SECRET_NOT_JSON,
            f"{where} is no JSON object, so it has no field {name}.{_LOST_QUOTES if _lost_quotes(value.text) else ''}",
            remedy="""Write {"username": "…", "password": "…"} to value.txt, store that, and delete the file: """
            f"{set_secret(value.vault_name, value.secret_name)}",
        )
    if name not in value.fields:
        names = ", ".join(sorted(value.fields)[:_MOST_NAMES])
        raise MisconfiguredError(
            Reason.SECRET_FIELD_MISSING,
            f"{where} has no field {name}; it has {names}.",
            remedy="Name one of these in the credential, or add the field to the secret.",
        )
    return value.fields[name]


def _lost_quotes(text: str) -> bool:
    """Whether it looks like JSON whose quotes a shell took."""
    return '"' not in text and text.strip().startswith("{") and ":" in text


def has_expired(value: SecretValue, now: datetime) -> bool:
    return value.expires_at is not None and value.expires_at <= now


def expiry(value: SecretValue) -> str:
    """The sentence about an expired secret."""
    when = value.expires_at.strftime("%Y-%m-%d %H:%M UTC") if value.expires_at else "never"
    return f"The secret {value.secret_name} in the vault {value.vault_name} expired at {when}."


def expired(value: SecretValue, store_name: str) -> MisconfiguredError:
    return MisconfiguredError(
        Reason.SECRET_EXPIRED,
        f"{expiry(value)} The credential store {store_name} denies expired secrets.",
        remedy="Write the new value to value.txt, store that, and delete the file: "
        f"{set_secret(value.vault_name, value.secret_name, '--expires', '<date>')}",
    )


def _secret_of(key: CacheKey) -> tuple[str, str]:
    return (key.store.name_of_vault.casefold(), key.address.name.casefold())


def _same_version(one: SecretValue, other: SecretValue) -> bool:
    return one.version == other.version
