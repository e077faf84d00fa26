"""Discovery: which vaults there are that the patterns allow, also those that never sent an event.

Each store that a pattern names is asked for the vaults that its identity sees, a page a message, once a day.

1. The vaults of a page that a pattern allows become known ones, and the sweep reads those that are new.
2. A vault has vanished that no sweep reached for two days and that is not listed either. It is swept no more. One
   that answers stays: an identity may have lost its right to see a vault that is there.

Every message may come twice or late. One that is lost costs the day: the next sweep asks again.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256

from shared.conditions import UNREPORTED, ConditionKind, ConditionReport, Conditions, over
from shared.errors import DeskbridgeError, TryLaterError
from shared.reasons import Reason
from shared.storage.rows import Row, Save, Value
from shared.storage.tables import Table
from shared.tickets.configuration import Configuration
from shared.tickets.inbound.known_vaults import KnownVaults
from shared.tickets.inbound.sweep_rows import Message, Sweep, message_text
from shared.tickets.inbound.vault_rows import KnownVault, VaultReport, known_vault, report_row

logger = logging.getLogger(__name__)

_PARTITION = "discoveries"
# The daily sweep asks; one that a person starts meanwhile need not ask again.
_ASKED_EVERY = timedelta(hours=20)
# As many as Azure Resource Graph lists at once: pages come one after the other, and behind the vaults that wait in the
# queue. A step sends a message for each vault that is new.
VAULTS_A_PAGE = 1_000
# They are named in one query.
_CONFIRMED_AT_ONCE = 100
_SILENT_FOR = timedelta(days=2)
# So often the list may ask to wait before it is left to the next sweep.
_WAITS = 6
_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 10.0, 600.0


READER_REMEDY = "Give it the role Reader on the subscriptions of the pattern."


@dataclass(frozen=True)
class ListedVault:
    """A vault as Azure lists it, its resource id in lower case."""

    resource_id: str
    tags: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def name(self) -> str:
        return self.resource_id.rpartition("/")[2]


@dataclass(frozen=True)
class ListedVaults:
    """A page. `next` is the token of the next one, empty at the end."""

    vaults: Sequence[ListedVault]
    next: str = ""


# From a store, the token of a page, and the names that are asked for, or none for all.
ListVaults = Callable[[str, str, Sequence[str]], ListedVaults]


class VaultDiscovery:
    """Carries out the steps of sweeps that find vaults. `later` sends a message that is to be seen after some
    seconds."""

    def __init__(
        self,
        table: Table,
        vaults: KnownVaults,
        configuration: Callable[[], Configuration | None],
        list_vaults: ListVaults,
        now: Callable[[], datetime],
        later: Callable[[str, float], None],
        conditions: Conditions = UNREPORTED,
    ) -> None:
        self._table = table
        self._vaults = vaults
        self._configuration = configuration
        self._list_vaults = list_vaults
        self._now = now
        self._later = later
        self._conditions = conditions

    def messages(self, sweep: Sweep) -> list[str]:
        """The first message for each store that was not asked today for the patterns as they are."""
        configuration = self._configuration()
        if configuration is None:
            return []
        stores = {pattern.store for pattern in configuration.document.vault_patterns if pattern.store is not None}
        asked = [store for store in sorted(stores) if not self._is_known(configuration, store)]
        return [message_text(sweep, store=store, after="") for store in asked]

    def step(self, sweep: Sweep, message: Message) -> list[str]:
        """Ask for one page; the messages to send."""
        configuration = self._configuration()
        if configuration is None:
            return []
        step = _Step(sweep, configuration, message)
        if not step.listed:
            page = self._page(step, ())
            return [] if page is None else self._add(step, page)
        refused = self._vaults.some_refused(_CONFIRMED_AT_ONCE, step.after)
        asked = self._silent(step, refused)
        page = self._page(step, sorted(asked)) if asked else ListedVaults(())
        if page is None:
            return []
        self._note_vanished(step, asked, page)
        further = len(refused) == _CONFIRMED_AT_ONCE
        return [step.message(after=refused[-1].vault, listed=step.listed)] if further else []

    def report_of(self, store: str) -> ConditionReport:
        """That the vaults which a store sees are not known, or that they are."""
        about, row = f"credential-stores/{store}", self._table.find(_PARTITION, store)
        since = row.time("failing_since") if row is not None else None
        if row is None or since is None:
            at = row.time("asked_at") if row is not None else None
            return over(ConditionKind.SWEEP_FAILING, about, at or self._now())
        return ConditionReport(
            ConditionKind.SWEEP_FAILING,
            about,
            since,
            row.time("failed_at") or since,
            reason=str(Reason.VAULTS_NOT_LISTED),
            message=f"The vaults that the store {store} sees are not known. {row.text('message')}",
            remedy="When that is mended, the next sweep asks again: POST /api/v1/sweeps.",
        )

    # Within

    def _page(self, step: "_Step", names: Sequence[str]) -> ListedVaults | None:
        """None when the list asks to wait, or refuses."""
        try:
            return self._list_vaults(step.store, step.token, names)
        except TryLaterError as error:
            if step.waits < _WAITS:
                again = step.message(
                    after=step.after, token=step.token, seen=step.seen, listed=step.listed, waits=step.waits + 1
                )
                seconds = error.retry_after or _WAIT_SECONDS * (step.waits + 1)
                self._later(again, min(seconds, _LONGEST_WAIT_SECONDS))
            else:
                self._tell(step, str(error))
        except DeskbridgeError as error:
            self._tell(step, str(error))
        return None

    def _add(self, step: "_Step", page: ListedVaults) -> list[str]:
        """Have rows of the vaults of a page, and messages of those that are new."""
        wanted: list[KnownVault] = []
        others: dict[str, str] = {}
        asked_for = {name for pattern in step.configuration.document.vault_patterns for name in pattern.tags}
        for vault in page.vaults:
            named = vault.name in step.configuration.named_vaults
            entry = None if named else step.configuration.entry(vault.name, vault.resource_id, vault.tags)
            tags = json.dumps({name: vault.tags[name] for name in sorted(asked_for & set(vault.tags))})
            if entry is None and asked_for and not named:
                others[vault.name] = tags
            if entry is not None and entry.store == step.store:
                wanted.append(replace(known_vault(vault.name, entry, self._now()), tags=tags))
        self._note_tags(step, others)
        known = self._vaults.keep(wanted, step.sweep.id)
        added = [one.name for one in wanted if one.name not in known or known[one.name].vanished_at is not None]
        if added:
            logger.info("%d vaults are new with the store %s, among them %s.", len(added), step.store, added[0])
        # A message that comes again finds those there which it added before: they are sent for once more.
        began_at = step.sweep.started_at
        again = [name for name, one in known.items() if one.tried_at is None and one.first_seen_at >= began_at]
        messages = [message_text(step.sweep, vault=name) for name in [*added, *again]]
        seen = step.seen + len(page.vaults)
        if page.next:
            return [*messages, step.message(token=page.next, seen=seen)]
        if not seen:
            # Whoever may see nothing is answered with an empty list, and without a word.
            self._tell(step, f"Azure Resource Graph lists no vault for the identity. {READER_REMEDY}")
            return messages
        values: dict[str, Value] = {"asked_at": self._now(), "patterns": _patterns_of(step.configuration, step.store)}
        before = self._table.find(_PARTITION, step.store)
        self._table.transact(_PARTITION, [Save(Row(_PARTITION, step.store, values))])
        if before is not None and "failing_since" in before.values:
            self._conditions.report(self.report_of(step.store))
        return [*messages, step.message(listed=seen)]

    def _note_tags(self, step: "_Step", others: Mapping[str, str]) -> None:
        """Those that were allowed may be so no more: their sweep finds it by their tags."""
        for name, known in self._vaults.find_all(list(others)).items() if others else ():
            if known.store == step.store and known.tags != others[name]:
                self._vaults.change(name, partial(replace, tags=others[name]))

    def _silent(self, step: "_Step", refused: Sequence[VaultReport]) -> dict[str, KnownVault]:
        """Those of the store that a pattern allows and that no sweep reached for long."""
        names = [one.vault for one in refused if one.reason == Reason.VAULT_UNREACHABLE]
        known = [self._vaults.find(name) for name in names if name not in step.configuration.named_vaults]
        silent_since = self._now() - _SILENT_FOR
        return {
            one.name: one
            for one in known
            if one is not None and one.store == step.store and (one.swept_at or one.first_seen_at) <= silent_since
        }

    def _note_vanished(self, step: "_Step", asked: Mapping[str, KnownVault], page: ListedVaults) -> None:
        now = self._now()
        for name in sorted(set(asked) - {vault.name for vault in page.vaults}):
            said = f"No sweep reached it for two days, and Azure lists it no more. It was {asked[name].resource_id}."
            report = report_row(step.sweep.id, VaultReport(name, "vanished", asked[name].reason, said))
            self._vaults.change(name, lambda vault: replace(vault, vanished_at=now), report)
            logger.warning("The vault %s has vanished. %s", name, said)

    def _tell(self, step: "_Step", message: str) -> None:
        logger.error("The vaults that the store %s sees are not known. %s", step.store, message)
        report = VaultReport(step.store, "not_listed", str(Reason.VAULTS_NOT_LISTED), message)
        self._vaults.tell(step.sweep.id, report)
        row = self._table.find(_PARTITION, step.store) or Row(_PARTITION, step.store)
        failed: dict[str, Value] = {"failed_at": step.sweep.started_at, "message": message[:1_000]}
        values = {"failing_since": step.sweep.started_at, **row.values, **failed}
        self._table.transact(_PARTITION, [Save(replace(row, values=values))])
        self._conditions.report(self.report_of(step.store))

    def _is_known(self, configuration: Configuration, store: str) -> bool:
        row = self._table.find(_PARTITION, store)
        asked_at = row.time("asked_at") if row is not None else None
        if row is None or asked_at is None or row.text("patterns") != _patterns_of(configuration, store):
            return False
        return self._now() - asked_at < _ASKED_EVERY


class _Step:
    """What a message of the queue asks for. `listed` is how many vaults the list had, 0 while it is being read."""

    def __init__(self, sweep: Sweep, configuration: Configuration, message: Message) -> None:
        self.sweep = sweep
        self.configuration = configuration
        self.store = str(message["store"])
        self.after = str(message["after"])
        self.token = str(message.get("token", ""))
        self.seen, self.listed, self.waits = (int(message.get(name, 0)) for name in ("seen", "listed", "waits"))

    def message(self, **members: str | int) -> str:
        """The message of another step."""
        return message_text(self.sweep, **{"store": self.store, "after": "", **members})


def _patterns_of(configuration: Configuration, store: str) -> str:
    """What tells the patterns of a store from others: changed ones are asked for at once."""
    patterns = [pattern for pattern in configuration.document.vault_patterns if pattern.store == store]
    return sha256(repr(patterns).encode()).hexdigest()
