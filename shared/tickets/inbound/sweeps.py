"""Sweeps as the queue carries them out: each vault is a message, and so is each piece of the list of vaults.

1. A sweep is a row. Its first messages name its vaults, or have the vaults of the settings registered.
2. `register` makes rows of the vaults that the settings name, piece by piece. Then come the fan-out of each lane, and
   the discovery of each store that a pattern names.
3. The fan-out sends a message for each vault that was not tried since the sweep began, the oldest first, page by page.
4. The message of a vault reads it, step by step. What it came to is counted once.

Every message may come twice or late. What was lost, `resume` sends again.
"""

import logging
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime, timedelta

from shared.conditions import UNREPORTED, Conditions
from shared.errors import ChangedMeanwhileError, ConflictError, DeskbridgeError, NotFoundError, TryLaterError
from shared.reasons import Reason
from shared.storage.rows import Create, Delete, Replace, Row, pack
from shared.storage.tables import Condition, Table, partition
from shared.text import KEY_FORBIDDEN, descending
from shared.tickets.configuration import Configuration
from shared.tickets.inbound.known_vaults import KnownVaults
from shared.tickets.inbound.sweep import VaultObjects, VaultSweep, VaultThrottledError
from shared.tickets.inbound.sweep_conditions import report_of_vault, tells
from shared.tickets.inbound.sweep_rows import (
    FINISHED,
    PROGRESS_PARTITION,
    RUNNING,
    SWEEPS_PARTITION,
    UNFINISHED,
    Sweep,
    SweepProgress,
    message_text,
    parse_message,
    sweep_row,
    to_sweep,
    to_vault_progress,
)
from shared.tickets.inbound.sweep_starts import missing_start
from shared.tickets.inbound.vault_discovery import ListVaults, VaultDiscovery
from shared.tickets.inbound.vault_progress import VaultProgress, message_of, reason_of, refused_whole, without_type
from shared.tickets.inbound.vault_rows import LANES, KnownVault, SweptVault, VaultReport, known_vault, swept_vault

logger = logging.getLogger(__name__)

# A step sends a message a vault, and the host sends them one after the other.
FANNED_OUT_AT_ONCE = 200
# Of each lane. A queue takes 2,000 messages a second, and a vault is three: sent, fetched and deleted.
_FANNED_OUT_A_SECOND = 40
REGISTERED_AT_ONCE = 500
# So often a vault may ask to wait before the type that it throttles is given up for this sweep.
_WAITS = 6
_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 30.0, 600.0
# A sweep that nothing was heard of for so long has lost its messages.
_SILENT_AFTER = timedelta(minutes=30)
_RESUMED_FOR = timedelta(days=1)
_KEPT_FOR = timedelta(days=30)
_LOOKED_AT = 50
_LONGEST_ID = 100

# From a store and a vault's resource id to the vault's objects; without an id the vault is the store's own.
Opener = Callable[[str, str], VaultObjects]


class Sweeps:
    """Starts sweeps and carries out their messages. `later` sends a message that is to be seen after some seconds."""

    def __init__(
        self,
        table: Table,
        configuration: Callable[[], Configuration | None],
        open_vault: Opener,
        vault_sweep: VaultSweep,
        now: Callable[[], datetime],
        later: Callable[[str, float], None],
        list_vaults: ListVaults,
        conditions: Conditions = UNREPORTED,
    ) -> None:
        self._table = table
        self.vaults = KnownVaults(table)
        self.discovery = VaultDiscovery(table, self.vaults, configuration, list_vaults, now, later, conditions)
        self._configuration = configuration
        self._open_vault = open_vault
        self._vault_sweep = vault_sweep
        self._now = now
        self._later = later
        self._conditions = conditions

    def start(self, vaults: Sequence[str] | None, by: str) -> tuple[Sweep, list[str]]:
        """A new sweep of all vaults, or of those that are named, and the messages to send.

        Raises ConflictError before anything is written when one that is named cannot be swept.
        """
        now = self._now()
        names = tuple(dict.fromkeys(vault.casefold() for vault in vaults or ()))
        targets = [self._target(name) for name in names]
        self.vaults.keep(targets)
        sweep = Sweep(f"{descending(now)}-{secrets.token_hex(3)}", now, by, names)
        self._table.transact(SWEEPS_PARTITION, [Create(sweep_row(sweep))])
        return sweep, self._messages(sweep)

    def do(self, text: str) -> list[str]:
        """Carry out one message; the messages to send. What it raises, the queue gives again."""
        message = parse_message(text)
        sweep = self._find(str(message["sweep"]))
        if sweep is None:
            logger.warning("The sweep %s of a message is not there any more.", message["sweep"])
            return []
        if "vault" in message:
            return self._sweep_vault(sweep, str(message["vault"]), text)
        if "store" in message:
            return self.discovery.step(sweep, message)
        if "lane" in message:
            return self._fan_out(sweep, int(message["lane"]), str(message["after"]))
        return self._register(sweep, str(message["after"]))

    def give_up(self, text: str) -> None:
        """Record a vault or a discovery whose message the queue gave up on; `resume` repeats a step of the fan-out."""
        message = parse_message(text)
        refusal = "Five tries failed for reasons of the desk's own; its log says which."
        if "store" in message:
            report = VaultReport(str(message["store"]), "not_listed", str(Reason.INTERNAL), refusal)
            self.vaults.tell(str(message["sweep"]), report)
            logger.error("The queue gave up on the discovery with the store %s; the next sweep asks.", report.vault)
            return
        if "vault" not in message:
            logger.error("The queue gave up on a step of the sweep %s; housekeeping repeats it.", message["sweep"])
            return
        swept = SweptVault(str(message["vault"]), self._now(), reason=str(Reason.INTERNAL), message=refusal)
        self.vaults.finish(str(message["sweep"]), swept)
        known = self.vaults.find(swept.vault)
        if known is not None:
            self._conditions.report(report_of_vault(known, swept.at))
        logger.error("The sweep of %s failed for good.", swept.vault)

    def resume(self) -> list[str]:
        """Messages of sweeps that lost theirs, and of one that the timer could not start; what is old is removed.

        A bounded look at the newest sweeps.
        """
        now = self._now()
        messages = self._made_up_for(now)
        for sweep in self._page(_LOOKED_AT, None)[0]:
            if sweep.state != RUNNING:
                continue
            progress = self._progress(sweep)
            state = progress.state
            if state == RUNNING and now - sweep.started_at > _RESUMED_FOR:
                state = UNFINISHED
            heard_at = max(filter(None, (sweep.started_at, sweep.hurried_at, progress.count.last_at)))
            if state == RUNNING and now - heard_at < _SILENT_AFTER:
                continue
            changed = (
                replace(sweep, hurried_at=now)
                if state == RUNNING
                else replace(sweep, state=state, ended=progress.count)
            )
            # Another worker is at it.
            with suppress(ChangedMeanwhileError):
                self._table.transact(SWEEPS_PARTITION, [Replace(sweep_row(changed))])
                if state == RUNNING:
                    logger.warning("The sweep %s has lost messages; they are sent again.", sweep.id)
                    messages += self._messages(sweep, left_only=True)
        self._remove_old(now)
        return messages

    def _made_up_for(self, now: datetime) -> list[str]:
        """A sweep that the timer should have started. All its tries failed, and the next is a day away."""
        configuration = self._configuration()
        by = missing_start(self._table, now) if configuration is not None and configuration.is_swept else None
        if by is None:
            return []
        sweep, messages = self.start(None, by)
        logger.warning("The timer started no sweep; the sweep %s is started in its place.", sweep.id)
        return messages

    # What people see

    def page(self, size: int, after: str | None) -> tuple[list[SweepProgress], str | None]:
        """Newest first."""
        found, following = self._page(size, after)
        return [self._progress(sweep) for sweep in found], following

    def get(self, sweep_id: str) -> SweepProgress:
        """Raises NotFoundError."""
        found = None if len(sweep_id) > _LONGEST_ID or KEY_FORBIDDEN.search(sweep_id) else self._find(sweep_id)
        if found is None:
            raise NotFoundError(Reason.NOT_FOUND, f"There is no sweep {sweep_id[:40]!r}.", remedy="List the sweeps.")
        return self._progress(found)

    # Within

    def _target(self, name: str, known: KnownVault | None = None) -> KnownVault:
        """The vault as the settings have it. Raises ConflictError when it is not swept."""
        configuration = self._configuration()
        named = configuration is None or name in configuration.named_vaults
        known = None if named else known or self.vaults.find(name)
        source, tags = ("", {}) if known is None else (known.resource_id, known.listed_tags)
        entry = configuration.entry(name, source, tags) if configuration is not None else None
        if entry is None or entry.store is None:
            raise ConflictError(
                Reason.VAULT_NOT_SWEPT,
                f"The vault {name[:64]} is not an allowed one, or has no store to list it with.",
                remedy="Name it in allowed_vaults of key-vault-events/default, with its store.",
            )
        return known_vault(name, entry, self._now())

    def _messages(self, sweep: Sweep, *, left_only: bool = False) -> list[str]:
        """What a sweep begins with; with `left_only` without the vaults that it has done."""
        if not sweep.vaults:
            return [message_text(sweep, after="")]
        found = [(name, self.vaults.find(name)) for name in sweep.vaults] if left_only else []
        done = {name for name, known in found if known is None or sweep.id in known.sweeps}
        return [message_text(sweep, vault=name) for name in sweep.vaults if name not in done]

    def _register(self, sweep: Sweep, after: str) -> list[str]:
        """Make rows of a piece of the vaults that the settings name."""
        configuration = self._configuration()
        names = sorted(configuration.named_vaults) if configuration is not None else []
        some = [name for name in names if name > after][:REGISTERED_AT_ONCE]
        if configuration is not None:
            entries = [(name, configuration.named_vaults[name]) for name in some]
            self.vaults.keep([known_vault(name, entry, self._now()) for name, entry in entries])
        if some and some[-1] != names[-1]:
            return [message_text(sweep, after=some[-1])]
        if not sweep.registered:
            self._table.transact(SWEEPS_PARTITION, [Replace(sweep_row(replace(sweep, registered=True)))])
        lanes = [message_text(sweep, lane=lane, after="") for lane in range(LANES)]
        return [*lanes, *self.discovery.messages(sweep)]

    def _fan_out(self, sweep: Sweep, lane: int, after: str) -> list[str]:
        due = self.vaults.due(lane, sweep.started_at, FANNED_OUT_AT_ONCE, after)
        messages = [message_text(sweep, vault=name) for _, name in due]
        # A page of storage may be short before the end.
        following = [message_text(sweep, lane=lane, after=key) for key, _ in due[-1:]]
        if len(due) < FANNED_OUT_AT_ONCE:
            return [*messages, *following]
        self._later(following[0], len(due) / _FANNED_OUT_A_SECOND)
        return messages

    def _sweep_vault(self, sweep: Sweep, vault: str, text: str) -> list[str]:
        known = self.vaults.find(vault)
        row = self._table.find(PROGRESS_PARTITION, f"{sweep.id}:{vault}")
        if known is None or sweep.id in known.sweeps:
            # Whoever finished it may have died before it removed this, and before it told.
            self._forget(row)
            if known is not None and known.reason:
                self._conditions.report(report_of_vault(known, self._now()))
            return []
        configuration = self._configuration()
        before = VaultProgress(self._now()) if row is None else to_vault_progress(row)
        try:
            target = self._target(vault, known)
            assert configuration is not None  # noqa: S101 - or there is no target
            named = vault in configuration.named_vaults
            source = self._open_vault(target.store, "" if named else target.resource_id)
        except TryLaterError:
            # It is the desk's own storage that does not answer.
            raise
        except DeskbridgeError as error:
            return self._finish(sweep, known, row, refused_whole(before, error))
        try:
            after = self._vault_sweep.step(
                source,
                configuration.context(vault, target.resource_id, known.listed_tags),
                configuration.document.sweep,
                before,
            )
        except VaultThrottledError as throttled:
            return self._wait(sweep, vault, row, throttled, text)
        if after.done:
            return self._finish(sweep, known, row, after)
        return [text] if self._save(sweep, vault, row, after) else []

    def _wait(self, sweep: Sweep, vault: str, row: Row | None, throttled: VaultThrottledError, text: str) -> list[str]:
        """Obey the vault that asks to wait, by a message that is hidden as long. Asked too often, give up the type."""
        waits = throttled.progress.waits + 1
        if waits > _WAITS:
            given_up = replace(without_type(throttled.progress, throttled.refusal), waits=0)
            return [text] if self._save(sweep, vault, row, given_up) else []
        if self._save(sweep, vault, row, replace(throttled.progress, waits=waits)):
            seconds = throttled.refusal.retry_after or _WAIT_SECONDS * waits
            self._later(text, min(seconds, _LONGEST_WAIT_SECONDS))
        return []

    def _save(self, sweep: Sweep, vault: str, row: Row | None, progress: VaultProgress) -> bool:
        """False when another worker went on with the vault: then it is that one's."""
        packed = pack("progress", asdict(progress))
        changed = Row(PROGRESS_PARTITION, f"{sweep.id}:{vault}", packed, "" if row is None else row.etag)
        try:
            self._table.transact(PROGRESS_PARTITION, [Create(changed) if row is None else Replace(changed)])
        except ConflictError:
            return False
        return True

    def _finish(self, sweep: Sweep, known: KnownVault, row: Row | None, progress: VaultProgress) -> list[str]:
        vault = known.name
        reason, message = reason_of(progress), message_of(progress)
        counts = (progress.objects, progress.near_or_past_expiry, progress.gone)
        # Clocks of two workers differ by seconds: the vault must not seem to be due in this sweep again.
        at = max(progress.began_at, sweep.started_at)
        swept = SweptVault(vault, at, *counts, reason, message, whole=not progress.refusals)
        self.vaults.finish(sweep.id, swept, known)
        if reason == Reason.VAULT_NOT_SWEPT:
            self.vaults.change(vault, lambda known: replace(known, store=""))
        self._forget(row)
        after = swept_vault(known, sweep.id, swept)
        if tells(known, after):
            self._conditions.report(report_of_vault(after, at))
        if reason:
            logger.error("The sweep of %s failed: %s", vault, message)
        else:
            logger.info("The vault %s was swept: %d objects, %d near or past their expiry, %d gone.", vault, *counts)
        return []

    def _forget(self, row: Row | None) -> None:
        if row is not None:
            # Another worker has finished it too.
            with suppress(ChangedMeanwhileError):
                self._table.transact(PROGRESS_PARTITION, [Delete(row.row_key)])

    def _progress(self, sweep: Sweep) -> SweepProgress:
        if sweep.ended is not None:
            return SweepProgress(sweep, sweep.ended, sweep.state)
        count = self.vaults.count(sweep.id)
        all_tried = sweep.registered and not self.vaults.some_due(sweep.started_at, 1) if not sweep.vaults else False
        finished = all_tried or 0 < len(sweep.vaults) <= count.done
        return SweepProgress(sweep, count, FINISHED if finished else RUNNING)

    def _page(self, size: int, after: str | None) -> tuple[list[Sweep], str | None]:
        page = self._table.page([partition(SWEEPS_PARTITION)], size=size, after=after)
        return [to_sweep(row) for row in page.rows], page.next

    def _find(self, sweep_id: str) -> Sweep | None:
        row = self._table.find(SWEEPS_PARTITION, sweep_id)
        return None if row is None else to_sweep(row)

    def _remove_old(self, now: datetime) -> None:
        """Some of the sweeps that nobody looks at any more, with what they counted."""
        where = [partition(SWEEPS_PARTITION), Condition("RowKey", "gt", descending(now - _KEPT_FOR))]
        for row in self._table.page(where, size=_LOOKED_AT).rows:
            self.vaults.forget_sweep(row.row_key)
            # Another worker removes it too.
            with suppress(ChangedMeanwhileError):
                self._table.transact(SWEEPS_PARTITION, [Delete(row.row_key)])
