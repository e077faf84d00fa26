"""Event Grid deliveries to events: both schemas, every spelling. The only place that knows their field names."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

from shared.errors import InvalidInputError, TooLargeError
from shared.moments import FAR_AWAY, LONG_AGO, date_of
from shared.reasons import Reason
from shared.tickets.domain.model import ChangeType, KeyVaultEvent, ObjectType

_VALIDATION_EVENT = "microsoft.eventgrid.subscriptionvalidationevent"

_PREFIX = "microsoft.keyvault."
_VAULT_ID = re.compile(
    r"/subscriptions/[^/]+/resourcegroups/[^/]+/providers/microsoft\.keyvault/(?:vaults|managedhsms)/(?P<name>[a-z0-9-]{1,64})"
)
_CHANGES = {
    "newversioncreated": ChangeType.NEW_VERSION_CREATED,
    "nearexpiry": ChangeType.NEAR_EXPIRY,
    "expired": ChangeType.EXPIRED,
}
_EVENT_TYPES: Mapping[str, tuple[ChangeType, ObjectType]] = {
    f"{_PREFIX}{object_type}{name}": (change, object_type)
    for object_type in (ObjectType.SECRET, ObjectType.KEY, ObjectType.CERTIFICATE)
    for name, change in _CHANGES.items()
} | {f"{_PREFIX}vaultaccesspolicychanged": (ChangeType.ACCESS_POLICY_CHANGED, ObjectType.VAULT)}
# A CloudEvent may leave its time out. A dead letter says itself when the event was published.
_MOMENTS = ("time", "eventtime", "publishtime", "lastdeliveryattempttime")
# The usual spellings, so that they need not be folded again and again.
_FOLDED = {
    name: name.casefold()
    for name in (
        *("id", "topic", "subject", "eventType", "eventTime", "data", "dataVersion", "metadataVersion"),
        *("source", "type", "time", "specversion"),
        *("Id", "VaultName", "ObjectType", "ObjectName", "Version", "NBF", "EXP"),
    )
}
# A vault's names have at most 127 characters and its versions 32; ids of events are GUIDs.
_LONGEST = {"name": 256, "version": 128, "id": 1024, "source": 1024}
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")
# Event Grid writes a GUID; nothing else is said back to whoever asks.
_VALIDATION_CODE = re.compile(r"[0-9A-Za-z-]{8,64}")
# What Event Grid can be told to put into one delivery.
MOST_EVENTS = 5_000


class MessageKind(StrEnum):
    """What a delivery is, as its header says."""

    VALIDATION = "subscriptionvalidation"
    NOTIFICATION = "notification"
    DELETION = "subscriptiondeletion"


class EventRefusedError(Exception):
    """One event cannot become a ticket: why, for the quarantine."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def parse_delivery(body: bytes) -> list[Any]:
    """The members of an array, or the one bare object: each an event or something that is none.

    Raises InvalidInputError for a body that is neither, and TooLargeError for more than 5,000 events.
    """
    try:
        content = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(Reason.BODY_NOT_READABLE, "The body is not JSON in UTF-8.") from error
    if isinstance(content, dict):
        return [content]
    if isinstance(content, list):
        if len(content) > MOST_EVENTS:
            raise TooLargeError(
                Reason.BODY_TOO_LARGE,
                f"The body has {len(content)} events; at most {MOST_EVENTS} are read.",
                remedy="Lower the batch size of the event subscription.",
            )
        return content
    raise InvalidInputError(Reason.BODY_NOT_READABLE, "The body is neither an array of events nor one event.")


def asks_for_validation(members: Sequence[Any]) -> bool:
    """Whether one of the members is a subscription's handshake."""
    return any(isinstance(member, dict) and _type_of(member) == _VALIDATION_EVENT for member in members)


def validation_topic(members: Sequence[Any]) -> str:
    """What the subscription of a handshake listens to, as it is compared; empty when it is not said."""
    for member in members:
        topic = _folded(member).get("topic") if isinstance(member, dict) else None
        if isinstance(topic, str):
            return topic.casefold().rstrip("/")
    return ""


def validation_code(members: Sequence[Any]) -> str:
    """The code of a subscription's handshake; raises InvalidInputError unless it is exactly one such event."""
    if len(members) == 1 and isinstance(members[0], dict):
        event = _folded(members[0])
        data = _data(event)
        if _event_type(event) == _VALIDATION_EVENT and data is not None:
            code = data.get("validationcode")
            if isinstance(code, str) and _VALIDATION_CODE.fullmatch(code):
                return code
    raise InvalidInputError(
        Reason.BODY_NOT_READABLE, "A subscription's validation is exactly one event that carries a validation code."
    )


def deleted_subscription(members: Sequence[Any]) -> str:
    """The id of the subscription that is gone, for the log; empty when it is not said."""
    for member in members:
        data = _data(_folded(member)) if isinstance(member, dict) else None
        if data is not None and isinstance(data.get("eventsubscriptionid"), str):
            return _clean(str(data["eventsubscriptionid"]))[: _LONGEST["source"]]
    return ""


def parse_event(member: Any) -> KeyVaultEvent:
    """The event; raises EventRefusedError with what is wrong."""
    if not isinstance(member, dict):
        raise EventRefusedError(Reason.EVENT_NOT_READABLE, "It is no JSON object.")
    event = _folded(member)
    specversion = event.get("specversion")
    if specversion is not None and specversion != "1.0":
        raise EventRefusedError(Reason.EVENT_NOT_READABLE, "It is a CloudEvent of another version than 1.0.")
    known = _EVENT_TYPES.get(_event_type(event))
    if known is None:
        raise EventRefusedError(Reason.EVENT_TYPE_UNKNOWN, "Its type is none that Key Vault publishes.")
    change, object_type = known
    source, vault = _vault_of(_required(event, ("source", "topic"), "source"))
    if not vault:
        raise EventRefusedError(Reason.VAULT_NOT_ALLOWED, "Its source is not the resource id of a key vault.")
    at = _time(_required(event, _MOMENTS, "id"))
    data = _data(event)
    event_id = _required(event, ("id",), "id")
    if change is ChangeType.ACCESS_POLICY_CHANGED:
        # A day's changes are one condition: whoever edits ten policies makes one ticket.
        day = f"{at:%Y-%m-%d}"
        return KeyVaultEvent(event_id, source, vault, change, object_type, vault, day, at)
    if data is None:
        raise EventRefusedError(Reason.EVENT_NOT_READABLE, "Its `data` is no JSON object.")
    return KeyVaultEvent(
        event_id=event_id,
        source=source,
        vault=vault,
        change=change,
        object_type=object_type,
        object_name=_required({**event, **data}, ("objectname", "subject"), "name"),
        version=_version(data),
        at=at,
        not_before=date_of(data.get("nbf")),
        expires_at=date_of(data.get("exp")),
    )


@lru_cache(maxsize=64)
def _vault_of(source: str) -> tuple[str, str]:
    """A resource id as it is compared, and the vault that it names, if it does. All events of a vault have the same."""
    folded = source.casefold().rstrip("/")
    vault = _VAULT_ID.fullmatch(folded)
    return folded, vault["name"] if vault is not None else ""


def _folded(member: Mapping[str, Any]) -> dict[str, Any]:
    # Microsoft's own samples write names in three cases, and one with a space at its end.
    folded: dict[str, Any] = {}
    for name, value in member.items():
        key = _FOLDED.get(name) or name.strip().casefold()
        if folded.get(key) is None:
            folded[key] = value.strip() if isinstance(value, str) else value
    return folded


def _data(event: Mapping[str, Any]) -> dict[str, Any] | None:
    data = event.get("data")
    if isinstance(data, str):
        # Event Grid encodes the data of its own CloudEvents twice.
        try:
            data = json.loads(data)
        except (ValueError, RecursionError):
            return None
    return _folded(data) if isinstance(data, dict) else None


def _type_of(member: Mapping[str, Any]) -> str:
    # As nearly every event spells it: to fold a member for its type alone costs as much as to read it.
    named = member.get("eventType")
    return (named.strip().casefold() if isinstance(named, str) else "") or _event_type(_folded(member))


def _event_type(event: Mapping[str, Any]) -> str:
    named = event.get("eventtype") or event.get("type")
    return named.casefold() if isinstance(named, str) else ""


def _clean(text: str) -> str:
    # JSON can carry an unpaired surrogate (invalid Unicode), UTF-8 and the tables cannot.
    return text if text.isascii() else _LONE_SURROGATES.sub("\ufffd", text)


def _required(event: Mapping[str, Any], names: tuple[str, ...], kind: str) -> str:
    for name in names:
        value = event.get(name)
        if isinstance(value, str) and value:
            if len(value) > _LONGEST[kind]:
                raise EventRefusedError(Reason.EVENT_NOT_READABLE, f"Its `{name}` is too long to be one.")
            return _clean(value)
    raise EventRefusedError(Reason.EVENT_NOT_READABLE, f"It has no `{names[0]}`.")


def _version(data: Mapping[str, Any]) -> str:
    version = data.get("version")
    if version is None or version == "":
        address = data.get("id")
        parts = address.rstrip("/").split("/") if isinstance(address, str) else []
        version = parts[5] if len(parts) == 6 else None  # https: / / host / type / name / version
    if not isinstance(version, str) or not 0 < len(version) <= _LONGEST["version"]:
        raise EventRefusedError(Reason.EVENT_NOT_READABLE, "It does not say which version it is about.")
    return _clean(version).casefold()


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise EventRefusedError(Reason.EVENT_NOT_READABLE, "Its time is none.") from error
    if not LONG_AGO <= moment <= FAR_AWAY:
        raise EventRefusedError(Reason.EVENT_NOT_READABLE, "Its time lies outside of what can be stored.")
    return moment
