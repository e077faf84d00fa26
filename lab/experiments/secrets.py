"""Experiments on the objects of the watched vault: what changes there, Event Grid reports, or the sweep finds."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from lab.emulators.event_grid import KeyVaultEvent, make_event
from lab.emulators.key_vault.documents import ObjectType
from lab.experiments.experiment import Experiment, ExperimentError, Parts, one_of
from lab.first_run import deliver, sweep_vaults
from lab.following import follow_changes
from lab.story import VAULT

_SINGULAR: dict[ObjectType, str] = {"secrets": "Secret", "keys": "Key", "certificates": "Certificate"}
_NEAR = timedelta(days=20)
_YEAR = timedelta(days=365)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _find(parts: Parts, name: str) -> tuple[ObjectType, dict[str, Any]]:
    """Type and description of an object of the watched vault. A certificate comes before its own key and secret."""
    described = parts.vaults.call("describe_vault", vault=VAULT)["objects"]
    objects = {one["name"]: one for one in described if not one["managed"]}
    found = objects[one_of(name, sorted(objects), f"object in {VAULT} named")]
    return found["object_type"], found


def _publish(parts: Parts, what: str, name: str, object_type: ObjectType, found: dict[str, Any]) -> KeyVaultEvent:
    expires = found["expires_at"]
    event = make_event(
        f"{_SINGULAR[object_type]}{what}",
        vault=VAULT,
        name=name,
        version=found["versions"][-1],
        expires_at=datetime.fromisoformat(expires) if expires else None,
    )
    if refused := deliver(parts.desk, [event]):
        raise ExperimentError(f"the desk did not take the event: {refused}")
    return event


def _tickets(parts: Parts, name: str) -> Iterator[str]:
    follow_changes(parts.desk.connection_string)
    yield f"The tickets of {name} are now:"
    query = f"state=all&scope={VAULT}&object_name={quote(name)}&limit=50"
    tickets = parts.desk.call("GET", f"/api/v1/tickets?{query}")["items"]
    for ticket in sorted(tickets, key=lambda one: str(one["opened_at"])):
        yield f"  {ticket['id']}  {ticket['status']:<11}  {ticket['priority']:<8}  {ticket['summary']}"
    if not tickets:
        yield "  none"
        return
    newest = max(tickets, key=lambda one: str(one["updated_at"]))
    yield f"Look: ./lab/do get tickets/{newest['id']}"


def sweep(parts: Parts, arguments: Sequence[str]) -> Iterator[str]:
    """Read the vaults now, as the daily timer does."""
    del arguments
    sweep_id = sweep_vaults(parts.desk)
    for vault in parts.desk.call("GET", "/api/v1/vaults")["items"]:
        told = vault["message"] if vault["reason"] else f"{vault['objects']} objects"
        yield f"Swept {vault['name']}: {told}"
    yield f"Look: ./lab/do get sweeps/{sweep_id}"


def _expire(parts: Parts, arguments: Sequence[str]) -> Iterator[str]:
    object_type, found = _find(parts, arguments[0])
    name, before = found["name"], found["expires_at"]
    if before is None or datetime.fromisoformat(before) > _now():
        parts.vaults.vault(VAULT).change(name, object_type=object_type, expires_at=_now())
    object_type, found = _find(parts, name)
    _publish(parts, "Expired", name, object_type, found)
    yield f"{name} in {VAULT} expired at {found['expires_at']}, and Event Grid said so."
    yield from _tickets(parts, name)


def _near_expiry(parts: Parts, arguments: Sequence[str]) -> Iterator[str]:
    object_type, found = _find(parts, arguments[0])
    name = found["name"]
    parts.vaults.vault(VAULT).change(name, object_type=object_type, expires_at=_now() + _NEAR)
    object_type, found = _find(parts, name)
    _publish(parts, "NearExpiry", name, object_type, found)
    yield f"{name} in {VAULT} expires at {found['expires_at']}, and Event Grid said so."
    yield from _tickets(parts, name)


def _rotate(parts: Parts, arguments: Sequence[str]) -> Iterator[str]:
    object_type, found = _find(parts, arguments[0])
    name, vault, ends = found["name"], parts.vaults.vault(VAULT), _now() + _YEAR
    if object_type == "secrets":
        vault.add_secret(name, f"lab-only-{len(found['versions']) + 1}", expires_at=ends)
    elif object_type == "keys":
        vault.add_key(name, expires_at=ends)
    else:
        vault.add_certificate(name, expires_at=ends)
    object_type, found = _find(parts, name)
    _publish(parts, "NewVersionCreated", name, object_type, found)
    yield f"{name} in {VAULT} has a new version that expires at {found['expires_at']}, and Event Grid said so."
    yield from _tickets(parts, name)


def _disable(parts: Parts, arguments: Sequence[str]) -> Iterator[str]:
    object_type, found = _find(parts, arguments[0])
    parts.vaults.vault(VAULT).change(found["name"], object_type=object_type, enabled=False)
    yield f"{found['name']} in {VAULT} is disabled. Key Vault sends no event for that, so the sweep has to find it."
    yield from sweep(parts, ())
    yield from _tickets(parts, found["name"])


def _delete(parts: Parts, arguments: Sequence[str]) -> Iterator[str]:
    object_type, found = _find(parts, arguments[0])
    parts.vaults.vault(VAULT).delete(found["name"], object_type=object_type)
    yield f"{found['name']} in {VAULT} is deleted. Key Vault sends no event for that, so the sweep has to find it."
    yield from sweep(parts, ())
    yield from _tickets(parts, found["name"])


def _forge(parts: Parts, arguments: Sequence[str]) -> Iterator[str]:
    del arguments
    event = make_event("SecretExpired", vault=VAULT, name="forged")
    yield f"An event with a wrong password: {deliver(parts.desk, [event], password='guessed') or 'it was taken!'}"
    stranger = make_event("SecretExpired", vault="somebody-elses-vault", name="forged")
    came_of_it = deliver(parts.desk, [stranger]) or "taken, and put into quarantine. No ticket came of it."
    yield f"An event of a vault that is not allowed: {came_of_it}"
    yield "Look: ./lab/do get quarantine"


EXPERIMENTS = (
    Experiment("expire-secret", "NAME", "a secret, key or certificate expires now", _expire),
    Experiment("near-expiry", "NAME", "it expires in 20 days", _near_expiry),
    Experiment("rotate-secret", "NAME", "it gets a new version, good for a year", _rotate),
    Experiment("disable-secret", "NAME", "it is disabled; the sweep finds it", _disable),
    Experiment("delete-secret", "NAME", "it is deleted; the sweep finds it", _delete),
    Experiment(
        "forge-event", "", "somebody without the password, and a vault that is not allowed, send events", _forge
    ),
    Experiment("sweep", "", "read the vaults now, as the daily timer does", sweep),
)
