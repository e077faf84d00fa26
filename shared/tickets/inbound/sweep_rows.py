"""Sweeps as rows and messages: what stands in the table `vaults` beside the vaults, and what the queue carries."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.errors import InvalidInputError
from shared.reasons import Reason
from shared.storage.rows import Row, Value, pack, unpack
from shared.text import KEY_FORBIDDEN
from shared.tickets.inbound.vault_progress import ObjectRefused, TypeRefused, VaultProgress
from shared.tickets.inbound.vault_rows import LANES, SweepCount

SWEEPS_PARTITION = "sweeps"
# How far a large vault was read, between two steps: `<sweep>:<vault>`.
PROGRESS_PARTITION = "progress"
RUNNING, FINISHED, UNFINISHED = "running", "finished", "unfinished"
_LONGEST_TEXT = 200


Message = Mapping[str, Any]


@dataclass(frozen=True)
class Sweep:
    """One sweep. `vaults` are those that were asked for, empty for all. `registered` says that the vaults of the
    settings have their rows. `ended` and `state` are stored once it has."""

    id: str
    started_at: datetime
    started_by: str
    vaults: tuple[str, ...] = ()
    registered: bool = False
    hurried_at: datetime | None = None
    ended: SweepCount | None = None
    state: str = RUNNING
    etag: str = ""


@dataclass(frozen=True)
class SweepProgress:
    """A sweep with what it has done so far."""

    sweep: Sweep
    count: SweepCount
    state: str


def parse_message(text: str) -> Message:
    """Raises InvalidInputError for what is no message of a sweep."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict) or not _is_message(message):
        raise InvalidInputError(Reason.BODY_INVALID, "It is no message of a sweep.")
    return message


def _is_message(message: dict[Any, Any]) -> bool:
    texts = [message.get("sweep"), message.get("vault", message.get("after"))]
    if not all(isinstance(one, str) and len(one) < _LONGEST_TEXT and not KEY_FORBIDDEN.search(one) for one in texts):
        return False
    named = all(message.get(name) != "" for name in ("sweep", "vault", "store"))
    return named and message.get("lane", 0) in range(LANES) and _is_discovery(message)


def _is_discovery(message: dict[Any, Any]) -> bool:
    numbers = [message.get(name, 0) for name in ("seen", "listed", "waits")]
    store, token = message.get("store", "any"), message.get("token", "")
    if not isinstance(store, str) or len(store) >= _LONGEST_TEXT or KEY_FORBIDDEN.search(store):
        return False
    return isinstance(token, str) and all(isinstance(number, int) and number >= 0 for number in numbers)


def message_text(sweep: Sweep, **members: str | int) -> str:
    """The message of a vault, of a lane, of the list of vaults, or of the discovery with a store."""
    return json.dumps({"sweep": sweep.id, **members})


def sweep_row(sweep: Sweep) -> Row:
    """The row of a sweep."""
    values: dict[str, Value] = {
        "started_at": sweep.started_at,
        "started_by": sweep.started_by,
        "registered": sweep.registered,
        **pack("vaults", sweep.vaults),
    }
    moments = {"hurried_at": sweep.hurried_at, "last_at": sweep.ended.last_at if sweep.ended is not None else None}
    values |= {name: moment for name, moment in moments.items() if moment is not None}
    if sweep.ended is not None:
        values |= {"state": sweep.state, "done": sweep.ended.done, "failed": sweep.ended.failed}
    return Row(SWEEPS_PARTITION, sweep.id, values, sweep.etag)


def to_sweep(row: Row) -> Sweep:
    """The sweep of a row."""
    started_at = row.time("started_at")
    assert started_at is not None  # noqa: S101 - every row is written with it
    return Sweep(
        row.row_key,
        started_at,
        row.text("started_by"),
        tuple(unpack(row, "vaults", [])),
        row.values.get("registered") is True,
        row.time("hurried_at"),
        SweepCount(row.number("done"), row.number("failed"), row.time("last_at")) if "state" in row.values else None,
        row.text("state", RUNNING),
        row.etag,
    )


def to_vault_progress(row: Row) -> VaultProgress:
    members = unpack(row, "progress")
    unlisted = members["unlisted"]
    return VaultProgress(
        **{
            **members,
            "began_at": datetime.fromisoformat(members["began_at"]),
            "unlisted": None if unlisted is None else tuple(unlisted),
            "without_expiry": tuple(members["without_expiry"]),
            "refusals": tuple(TypeRefused(**one) for one in members["refusals"]),
            "refused_objects": tuple(ObjectRefused(**one) for one in members["refused_objects"]),
        }
    )
