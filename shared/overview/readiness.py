"""Whether all that the desk needs is there: each thing with its state, its reason and what to do."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from shared.errors import DeskbridgeError
from shared.imports.runs.statuses import ImportStatus, ImportStatuses
from shared.index.housekeeping import IndexHousekeeping
from shared.outbox.gathered import GatheredOutbox
from shared.outbox.model import OutboxState
from shared.outbox.outbox import Outbox
from shared.overview.condition_looks import FOLLOW_UP_WITHIN, MESSAGE_READ_WITHIN
from shared.reasons import Reason
from shared.settings.store import SettingsStore
from shared.settings.stored import UnreadableDocument
from shared.storage.names import (
    SETTINGS_TABLE,
    TABLES,
    VAULTS_TABLE,
    WORKED_QUEUES,
)
from shared.storage.queues import Queues
from shared.storage.tables import Tables
from shared.tickets.inbound.known_vaults import KnownVaults
from shared.tickets.inbound.sweep_conditions import SWEEP_EXPECTED_WITHIN
from shared.vaults.checks import CredentialChecks
from shared.vaults.documents.credential_stores import CredentialStore

_REMEMBERED = timedelta(minutes=1)
# A clock that was set back makes nothing younger than now.
_EARLIEST = timedelta(0)
# The timer goes on with a comparison after a quarter of an hour.
_STANDS_STILL = timedelta(hours=2)
# What is compared with what is stored, each day.
_COMPARED = {
    "index": (Reason.INDEX_DIFFERED, "rows of the index showed something else than what is stored"),
    "counts": (Reason.COUNTS_DIFFERED, "rows of counts differed from a full count"),
}
_VAULTS_TOLD = 5
_UNREAD_TOLD = 3
_SECONDS_FOR_VAULTS = 20.0
_VAULTS_AT_ONCE = 8


class ReadinessState(StrEnum):
    """`failing`: the desk cannot do its work. `degraded`: a part of it cannot, or somebody should look."""

    READY = "ready"
    DEGRADED = "degraded"
    FAILING = "failing"


@dataclass(frozen=True)
class ReadinessPart:
    """One thing that the desk needs. `reason` is a code of shared/reasons.py, or empty."""

    name: str
    state: ReadinessState
    message: str
    reason: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Readiness:
    state: ReadinessState
    parts: Sequence[ReadinessPart]


class ReadinessChecks:
    def __init__(
        self,
        tables: Tables,
        queues: Callable[[], Queues],
        settings: SettingsStore,
        checks: Callable[[], CredentialChecks],
        statuses: Callable[[], ImportStatuses],
        outbox: Callable[[], Outbox],
        gathered: Callable[[], GatheredOutbox],
        index: Callable[[], IndexHousekeeping],
        now: Callable[[], datetime],
    ) -> None:
        self._outbox = outbox
        self._gathered = gathered
        self._index = index
        self._tables = tables
        self._queues = queues
        self._settings = settings
        self._checks = checks
        self._statuses = statuses
        self._now = now
        self._lock = threading.Lock()
        self._last: tuple[datetime, Readiness] | None = None

    def check(self) -> Readiness:
        """Every part, as it was within the last minute. What cannot be reached is a part that fails; nothing is raised.

        It signs in to every vault, so it is asked once however many ask.
        """
        with self._lock:
            now = self._now()
            if self._last is None or not _EARLIEST <= now - self._last[0] < _REMEMBERED:
                self._last = (now, self._check())
            return self._last[1]

    def _check(self) -> Readiness:
        parts = [self._one("storage", ReadinessState.FAILING, self._storage)]
        if parts[0].state is not ReadinessState.READY:
            # The rest needs storage, and would fail for the same reason.
            return Readiness(ReadinessState.FAILING, parts)
        parts.append(self._one("settings", ReadinessState.DEGRADED, self._documents))
        parts.append(self._one("outbox", ReadinessState.DEGRADED, self._waiting))
        parts += [self._one(name, ReadinessState.DEGRADED, self._compared, name) for name in _COMPARED]
        for queue, poison in WORKED_QUEUES:
            parts.append(self._one(f"queue {queue}", ReadinessState.FAILING, self._queue, queue))
            parts.append(self._one(f"queue {poison}", ReadinessState.DEGRADED, self._poison, poison))
        parts += self._vaults()
        parts.append(self._one("sweeps", ReadinessState.DEGRADED, self._sweeps))
        parts += self._imports()
        worst = max((part.state for part in parts), key=list(ReadinessState).index)
        return Readiness(worst, parts)

    def _one(
        self, name: str, when_wrong: ReadinessState, look: Callable[..., ReadinessPart], *arguments: str
    ) -> ReadinessPart:
        try:
            return look(*arguments)
        except DeskbridgeError as error:
            return ReadinessPart(name, when_wrong, error.message, str(error.reason), error.remedy)

    def _storage(self) -> ReadinessPart:
        for name in TABLES:
            self._tables.table(name).find("readiness", "readiness")
        return ReadinessPart("storage", ReadinessState.READY, f"The tables {', '.join(TABLES)} answer.")

    def _documents(self) -> ReadinessPart:
        found = [stored for _, stored in self._settings.list_all()]
        for stored in found:
            if isinstance(stored, UnreadableDocument):
                raise stored.refusal
        return ReadinessPart(
            "settings", ReadinessState.READY, f"{len(found)} documents in {SETTINGS_TABLE} pass their check."
        )

    def _waiting(self) -> ReadinessPart:
        failed, _ = self._outbox().page(OutboxState.FAILED, 1, None)
        if failed:
            return ReadinessPart(
                "outbox",
                ReadinessState.DEGRADED,
                f"What follows from a change failed for good: {failed[0].explanation}",
                failed[0].reason,
                "List it with GET /api/v1/outbox?state=failed, end the cause, and try it again.",
            )
        waiting, _ = self._outbox().page(OutboxState.PENDING, 1, None)
        if waiting and self._now() - waiting[0].at > FOLLOW_UP_WITHIN:
            return ReadinessPart(
                "outbox",
                ReadinessState.DEGRADED,
                f"Something has waited since {waiting[0].at:%Y-%m-%d %H:%M} UTC to follow from a change.",
                remedy="See whether the function carry_out_follow_ups is enabled, and what its log says.",
            )
        late = self._gathered().behind()
        if late is not None:
            return ReadinessPart(
                "outbox",
                ReadinessState.DEGRADED,
                f"Lists and searches are {late // timedelta(minutes=1)} minutes behind what was changed.",
                remedy="See whether follow_marked_partitions and carry_out_follow_ups run, and what their log says.",
            )
        return ReadinessPart("outbox", ReadinessState.READY, "Nothing failed, and nothing has waited for long.")

    def _compared(self, what: str) -> ReadinessPart:
        reason, wrong = _COMPARED[what]
        passes, now = self._index().passes(), self._now()
        passes = [one for one in passes if one.name.startswith("counts") is (what == "counts")]
        still = [one.name for one in passes if one.is_open and now - one.touched_at > _STANDS_STILL]
        if still:
            return ReadinessPart(
                what,
                ReadinessState.DEGRADED,
                f"It is no longer compared with {', '.join(still)}.",
                remedy="See whether compare_index and carry_out_follow_ups run, and what their log says.",
            )
        repaired = sum(max(one.repaired, one.last_repaired) for one in passes)
        if repaired:
            return ReadinessPart(
                what,
                ReadinessState.DEGRADED,
                f"{repaired} {wrong}, and were repaired.",
                str(reason),
                "The log names them. GET /api/v1/index says when. It is ready again when a comparison finds nothing.",
            )
        if not passes:
            return ReadinessPart(what, ReadinessState.READY, "The first comparison is still to come.")
        return ReadinessPart(what, ReadinessState.READY, "Nothing differed at the last comparison.")

    def _queue(self, queue: str) -> ReadinessPart:
        name = f"queue {queue}"
        state = self._queues().state(queue)
        if state is None:
            return ReadinessPart(name, ReadinessState.READY, "It is made with its first message.")
        if state.oldest_at is not None and self._now() - state.oldest_at > MESSAGE_READ_WITHIN:
            minutes = int((self._now() - state.oldest_at).total_seconds() // 60)
            return ReadinessPart(
                name,
                ReadinessState.DEGRADED,
                f"{state.messages} messages; the oldest has waited {minutes} minutes.",
                remedy="See whether the function that reads it is enabled, and what its log says.",
            )
        return ReadinessPart(name, ReadinessState.READY, f"{state.messages} messages.")

    def _poison(self, queue: str) -> ReadinessPart:
        name = f"queue {queue}"
        state = self._queues().state(queue)
        if state is None or not state.messages:
            return ReadinessPart(name, ReadinessState.READY, "0 messages.")
        return ReadinessPart(
            name,
            ReadinessState.DEGRADED,
            f"{state.messages} messages that failed for good.",
            remedy="The function that records them takes them up by itself. What is no Base64 stays for ever: look "
            f"at it with `az storage message peek --queue-name {queue}`, and remove it.",
        )

    def _vaults(self) -> list[ReadinessPart]:
        try:
            names = [stored.name for stored in self._settings.list(CredentialStore, fresh=True)]
        except DeskbridgeError:
            # The part `settings` says it already.
            return []
        if not names:
            return []
        checks = self._checks()
        pool = ThreadPoolExecutor(min(_VAULTS_AT_ONCE, len(names)), thread_name_prefix="readiness")
        asked = {
            name: pool.submit(self._one, f"vault {name}", ReadinessState.DEGRADED, self._vault(checks), name)
            for name in names
        }
        wait(asked.values(), timeout=_SECONDS_FOR_VAULTS)
        # Those that are late end by themselves; nobody waits for them here.
        pool.shutdown(wait=False, cancel_futures=True)
        return [
            each.result()
            if each.done() and not each.cancelled()
            else ReadinessPart(
                f"vault {name}", ReadinessState.DEGRADED, f"It did not answer within {_SECONDS_FOR_VAULTS:.0f} seconds."
            )
            for name, each in asked.items()
        ]

    @staticmethod
    def _vault(checks: CredentialChecks) -> Callable[[str], ReadinessPart]:
        def look(name: str) -> ReadinessPart:
            check = checks.check_store(name)
            state = ReadinessState.READY if check.ok else ReadinessState.DEGRADED
            return ReadinessPart(f"vault {name}", state, check.summary, str(check.reason or ""), check.remedy)

        return look

    def _sweeps(self) -> ReadinessPart:
        vaults = KnownVaults(self._tables.table(VAULTS_TABLE))
        overdue = vaults.overdue(self._now() - SWEEP_EXPECTED_WITHIN, _VAULTS_TOLD)
        if overdue:
            return ReadinessPart(
                "sweeps",
                ReadinessState.DEGRADED,
                f"No sweep has come for 26 hours to {', '.join(overdue)}, and perhaps to further vaults.",
                str(Reason.SWEEP_OVERDUE),
                "Sweep them: POST /api/v1/sweeps. See whether the functions sweep_vaults and sweep_vault are enabled, "
                "and what their logs say.",
            )
        refused = vaults.some_refused(1)
        if refused:
            return ReadinessPart(
                "sweeps",
                ReadinessState.DEGRADED,
                f"The last sweep could not read {refused[0].vault} to its end: {refused[0].message}",
                refused[0].reason,
                "List the vaults with GET /api/v1/vaults: each refused one has its reason.",
            )
        return ReadinessPart("sweeps", ReadinessState.READY, "Every vault was swept in time.")

    def _imports(self) -> list[ReadinessPart]:
        try:
            statuses = self._statuses().all()
        except DeskbridgeError as error:
            return [ReadinessPart("imports", ReadinessState.DEGRADED, error.message, str(error.reason), error.remedy)]
        return [_import(status) for status in statuses]


def _import(status: ImportStatus) -> ReadinessPart:
    name = f"import {status.kind}/{status.name}"
    if status.warning:
        remedy = f"Look at its runs: GET /api/v1/runs?kind={status.kind}&name={status.name}"
        return ReadinessPart(name, ReadinessState.DEGRADED, status.warning, status.reason, remedy)
    if status.withheld is not None:
        held = status.withheld
        return ReadinessPart(
            name,
            ReadinessState.DEGRADED,
            f"{held.count} changes are withheld since {held.since:%Y-%m-%d %H:%M} UTC.",
            str(Reason.IMPORT_WITHHELD),
            f"Look at GET /api/v1/runs/{held.run_id}/errors, and confirm the run if that is right.",
        )
    if status.unread:
        first = status.unread[0]
        said = " ".join(f"{one.part}: {one.message}" for one in status.unread[:_UNREAD_TOLD])
        return ReadinessPart(name, ReadinessState.DEGRADED, said, first.reason, first.remedy)
    if status.last_success_at is None:
        return ReadinessPart(name, ReadinessState.READY, "The first import is still to come.")
    return ReadinessPart(
        name, ReadinessState.READY, f"The last success was at {status.last_success_at:%Y-%m-%d %H:%M} UTC."
    )
