"""Key Vault events as Event Grid publishes them, in both of its schemas.

Field names and forms follow Microsoft's page "Azure Key Vault as Event Grid source". What that page leaves open is
marked where it is decided.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

JsonObject = dict[str, Any]

EXAMPLE_AZURE_SUBSCRIPTION_ID: Final = "00000000-1111-4222-8333-00000000c0de"
EXAMPLE_RESOURCE_GROUP: Final = "rg-acorn"

OBJECT_TYPES: Final = ("Secret", "Key", "Certificate")
EVENT_PREFIX: Final = "Microsoft.KeyVault."
OBJECT_EVENT_TYPES: Final = tuple(
    f"{EVENT_PREFIX}{object_type}{change}"
    for object_type in OBJECT_TYPES
    for change in ("NewVersionCreated", "NearExpiry", "Expired")
)
VAULT_ACCESS_POLICY_CHANGED: Final = f"{EVENT_PREFIX}VaultAccessPolicyChanged"
EVENT_TYPES: Final = (*OBJECT_EVENT_TYPES, VAULT_ACCESS_POLICY_CHANGED)


class Schema(StrEnum):
    """The delivery schema of an event subscription."""

    EVENT_GRID = "eventgrid"
    CLOUD_EVENTS = "cloudevents"


class UnknownEventTypeError(ValueError):
    """The event type is none of the ten that Key Vault publishes."""


def event_type(name: str) -> str:
    """The full event type for a short or a full name in any case: `SecretNearExpiry` is enough.

    Raises:
        UnknownEventTypeError: with the names that exist.
    """
    wanted = name.strip().casefold()
    for known in EVENT_TYPES:
        if wanted in {known.casefold(), known.removeprefix(EVENT_PREFIX).casefold()}:
            return known
    short = ", ".join(known.removeprefix(EVENT_PREFIX) for known in EVENT_TYPES)
    raise UnknownEventTypeError(f"Key Vault publishes no event {name!r}. It publishes: {short}")


def vault_resource_id(
    vault: str,
    *,
    azure_subscription_id: str = EXAMPLE_AZURE_SUBSCRIPTION_ID,
    resource_group: str = EXAMPLE_RESOURCE_GROUP,
) -> str:
    """The ARM id of a vault: what Event Grid writes in `topic` or `source`."""
    return (
        f"/subscriptions/{azure_subscription_id}/resourceGroups/{resource_group}"
        f"/providers/Microsoft.KeyVault/vaults/{vault}"
    )


def seven_digits(moment: datetime) -> str:
    """A time as .NET's round-trip format writes it: UTC with seven fractional digits and `Z`."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z"


@dataclass(frozen=True)
class KeyVaultEvent:
    """One Key Vault event, independent of the schema it is delivered in.

    `not_before` and `expires_at` are aware datetimes; Event Grid carries them as whole epoch seconds.
    """

    event_type: str
    vault: str
    object_name: str
    object_version: str | None
    occurred_at: datetime
    event_id: str
    not_before: datetime | None = None
    expires_at: datetime | None = None
    source: str = ""
    vault_suffix: str = "vault.azure.net"

    def __post_init__(self) -> None:
        if self.event_type not in EVENT_TYPES:
            raise UnknownEventTypeError(f"{self.event_type!r} is no full event type; event_type() makes one")
        if not self.source:
            object.__setattr__(self, "source", vault_resource_id(self.vault))

    @property
    def object_type(self) -> str:
        """`Secret`, `Key` or `Certificate`; `Vault` for an access policy change (not documented by Microsoft)."""
        short = self.event_type.removeprefix(EVENT_PREFIX)
        return next((name for name in OBJECT_TYPES if short.startswith(name)), "Vault")

    def data(self) -> JsonObject:
        """The `data` object, with the key names of Microsoft's page and dates as numbers, as its table says."""
        base = f"https://{self.vault}.{self.vault_suffix}"
        if self.object_type == "Vault":
            identifier = base
        else:
            identifier = f"{base}/{self.object_type.lower()}s/{self.object_name}/{self.object_version}"
        return {
            "Id": identifier,
            "VaultName": self.vault,
            "ObjectType": self.object_type,
            "ObjectName": self.object_name,
            "Version": self.object_version,
            "NBF": _epoch_seconds(self.not_before),
            "EXP": _epoch_seconds(self.expires_at),
        }

    def to_json(self, schema: Schema) -> JsonObject:
        """The event as a JSON object in `schema`."""
        if schema is Schema.EVENT_GRID:
            return {
                "id": self.event_id,
                "topic": self.source,
                "subject": self.object_name,
                "eventType": self.event_type,
                "data": self.data(),
                "dataVersion": "1",
                "metadataVersion": "1",
                "eventTime": seven_digits(self.occurred_at),
            }
        return {
            "id": self.event_id,
            "source": self.source,
            "specversion": "1.0",
            "type": self.event_type,
            "subject": self.object_name,
            "time": seven_digits(self.occurred_at),
            "data": self.data(),
        }


def _epoch_seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())


@dataclass(frozen=True)
class EventDefaults:
    """What an event gets when the caller does not say: kept together so that a test can make them repeatable."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    lifetime: timedelta = timedelta(days=365)


def make_event(
    type_name: str,
    *,
    vault: str,
    name: str | None = None,
    version: str | None = None,
    expires_at: datetime | None = None,
    not_before: datetime | None = None,
    occurred_at: datetime | None = None,
    event_id: str | None = None,
    defaults: EventDefaults | None = None,
) -> KeyVaultEvent:
    """An event with plausible values for all that is not given.

    NearExpiry without an expiry date lies 30 days ahead of it, Expired on the same day, as in Azure. The version, when
    not given, is derived from the object, and from its expiry when that is given: near expiry, expiry and the version
    they speak of agree however often they are made. So the same words twice tell of one condition.
    """
    full_type = event_type(type_name)
    defaults = defaults or EventDefaults()
    occurred_at = occurred_at or defaults.now
    if full_type == VAULT_ACCESS_POLICY_CHANGED:
        return KeyVaultEvent(
            event_type=full_type,
            vault=vault,
            object_name=name or vault,
            object_version=version,
            occurred_at=occurred_at,
            event_id=event_id or str(uuid.uuid4()),
            not_before=not_before,
            expires_at=expires_at,
        )
    object_name = name or "example"
    version = version or derived_version(vault, object_name, expires_at)
    if expires_at is None and full_type.endswith("NearExpiry"):
        expires_at = _midnight(occurred_at + timedelta(days=30))
    elif expires_at is None and full_type.endswith("Expired"):
        expires_at = _midnight(occurred_at)
    return KeyVaultEvent(
        event_type=full_type,
        vault=vault,
        object_name=object_name,
        object_version=version,
        occurred_at=occurred_at,
        event_id=event_id or str(uuid.uuid4()),
        not_before=not_before,
        expires_at=expires_at,
    )


def _midnight(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def derived_version(vault: str, name: str, expires_at: datetime | None) -> str:
    """A version of 32 hexadecimal digits, the same for the same object and expiry date."""
    key = f"{vault.lower()}/{name.lower()}/{'' if expires_at is None else int(expires_at.timestamp())}"
    return uuid.uuid5(uuid.NAMESPACE_URL, key).hex


def one_of_each_type(vault: str, *, defaults: EventDefaults | None = None) -> list[KeyVaultEvent]:
    """All ten event types, for as many different objects of one vault, so that each leaves its own trace."""
    names = {"Secret": "mail-password", "Key": "disk-key", "Certificate": "web-tls"}
    events = []
    for full_type in OBJECT_EVENT_TYPES:
        short = full_type.removeprefix(EVENT_PREFIX)
        object_type = next(name for name in OBJECT_TYPES if short.startswith(name))
        suffix = {"NewVersionCreated": "renewed", "NearExpiry": "ageing", "Expired": "lapsed"}
        name = f"{names[object_type]}-{suffix[short.removeprefix(object_type)]}"
        events.append(make_event(full_type, vault=vault, name=name, defaults=defaults))
    events.append(make_event(VAULT_ACCESS_POLICY_CHANGED, vault=vault, defaults=defaults))
    return events
