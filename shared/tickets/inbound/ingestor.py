"""Takes events in, whichever door they came by: those of a vault to the reconciler, what is none to the quarantine."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.access.strangers import REFUSALS
from shared.errors import DeskbridgeError
from shared.reasons import Reason
from shared.tickets.configuration import Configuration, Sender
from shared.tickets.domain.model import ChangeType, Context, KeyVaultEvent, ObjectType
from shared.tickets.inbound.event_grid import EventRefusedError, parse_event
from shared.tickets.inbound.quarantine import Quarantine, Quarantined, Refused
from shared.tickets.reconciler import TicketReconciler, changes_of, object_key
from shared.tickets.transactions import UnstorableError

# Clocks differ by seconds. A date in the future would outweigh whatever happens until then.
MOST_AHEAD = timedelta(minutes=15)
# The parts of a resource id by which a vault of the same name may differ.
_PARTS = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourcegroups/(?P<resource_group>[^/]+)"
    r"/providers/microsoft\.keyvault/(?P<type>[^/]+)/[^/]+"
)
# What is done with events that are refused; the ids of the items that they are kept as.
_Keep = Callable[[Sequence[Refused]], list[str]]


@dataclass(frozen=True)
class IngestResult:
    """What became of a delivery's members."""

    events: int
    quarantined: tuple[str, ...]


class EventIngestor:
    """Records events. `secret_changed` is called with (vault, secret) when a secret has a new version.

    An event more than 15 minutes ahead of `now` is refused: a replay records it once its time has come.
    """

    def __init__(
        self,
        reconciler: TicketReconciler,
        quarantine: Quarantine,
        *,
        now: Callable[[], datetime],
        secret_changed: Callable[[str, str], None],
        seen: Callable[[str, str, Configuration], None] = lambda _vault, _source, _configuration: None,
    ) -> None:
        """`seen` is told of each vault that no entry names, with its resource id, before its events are stored."""
        self._reconciler = reconciler
        self._quarantine = quarantine
        self._now = now
        self._secret_changed = secret_changed
        self._seen = seen

    def record(
        self, members: Iterable[Any], configuration: Configuration, sender: Sender | None = None
    ) -> IngestResult:
        """Store what becomes of each member; what cannot become a ticket is quarantined.

        `sender` is who delivers them; None stands for a way in that only Azure's own rights open.

        Raises TryLaterError and MisconfiguredError of the storage; repeating the call does no harm.
        """
        return self._record(members, configuration, self._keep, sender)

    def replay(self, item: Quarantined, configuration: Configuration) -> bool:
        """Whether a quarantined event is recorded now: then it is out of the quarantine.

        One that is refused again stays; one that somebody removed meanwhile is not brought back. Raises as `record`.
        """

        def keep(refused: Sequence[Refused]) -> list[str]:
            return [self._quarantine.change(item, one.reason, one.message) for one in refused]

        if self._record([item.event], configuration, keep).quarantined:
            return False
        self._quarantine.remove(item)
        return True

    # Within

    def _record(
        self, members: Iterable[Any], configuration: Configuration, keep: _Keep, sender: Sender | None = None
    ) -> IngestResult:
        by_vault: dict[str, list[tuple[KeyVaultEvent, Any]]] = {}
        refused: list[Refused] = []
        count = 0
        latest = self._now() + MOST_AHEAD
        for member in members:
            try:
                event = _event_of(member, configuration, sender, latest)
            except EventRefusedError as refusal:
                refused.append(Refused(member, refusal.reason, refusal.message))
                continue
            by_vault.setdefault(event.vault, []).append((event, member))
            count += 1
        quarantined = keep(refused) if refused else []
        for vault, found in by_vault.items():
            # All of them are of the one vault of that name that is allowed.
            source = found[0][0].source
            if vault not in configuration.named_vaults:
                self._seen(vault, source, configuration)
            if unstorable := self._reconcile(found, configuration.context(vault, source)):
                quarantined += keep([Refused(member, error.reason, error.message) for member, error in unstorable])
                count -= len(unstorable)
        return IngestResult(count, tuple(quarantined))

    def _reconcile(self, found: list[tuple[KeyVaultEvent, Any]], context: Context) -> list[tuple[Any, DeskbridgeError]]:
        """Store the events of a vault; answers with the members whose object cannot be stored."""
        unstorable: list[tuple[Any, DeskbridgeError]] = []
        while True:
            try:
                events = [event for event, _ in found]
                self._reconciler.reconcile(changes_of(events), context)
            except UnstorableError as error:
                by_key = [(object_key(event.object_type, event.object_name), event, member) for event, member in found]
                unstorable += [(member, error) for key, _, member in by_key if key == error.key]
                found = [(event, member) for key, event, member in by_key if key != error.key]
                continue
            for event in events:
                if event.change is ChangeType.NEW_VERSION_CREATED and event.object_type is ObjectType.SECRET:
                    self._secret_changed(event.vault, event.object_name)
            return unstorable

    def _keep(self, refused: Sequence[Refused]) -> list[str]:
        for one in refused:
            REFUSALS.note("An event is quarantined", DeskbridgeError(one.reason, one.message))
        return self._quarantine.keep_all(refused)


def _event_of(member: Any, configuration: Configuration, sender: Sender | None, latest: datetime) -> KeyVaultEvent:
    event = parse_event(member)
    if event.at > latest:
        raise EventRefusedError(
            Reason.EVENT_FROM_THE_FUTURE,
            f"It says that it happened at {event.at:%Y-%m-%d %H:%M} UTC, which is yet to come. Replay it after that "
            "time if the sender's clock was wrong, or remove it.",
        )
    if not configuration.allowed(event.vault, event.source):
        raise EventRefusedError(Reason.VAULT_NOT_ALLOWED, _why_not_allowed(event, configuration))
    entry = configuration.entry(event.vault, event.source)
    if sender is not None and entry is not None and not sender.may_report(entry):
        raise EventRefusedError(
            Reason.SENDER_NOT_ALLOWED, f"The credential of its delivery is not one of the vault {event.vault}."
        )
    return event


def _why_not_allowed(event: KeyVaultEvent, configuration: Configuration) -> str:
    """What tells a vault that was moved, or another of the same name, from one that nobody allowed."""
    entry = configuration.named_vaults.get(event.vault)
    if entry is None or entry.resource_id is None:
        return f"The vault {event.vault} ({event.source}) is not an allowed one."
    was, now = (_PARTS.fullmatch(each) for each in (entry.resource_id, event.source))
    assert was is not None and now is not None  # noqa: PT018, S101 - both passed their check
    parts = [
        f"its {name.replace('_', ' ')} is {now[name]}, not {was[name]}"
        for name in was.groupdict()
        if was[name] != now[name]
    ]
    return (
        f"The vault {event.vault} is allowed under another resource id: {'; '.join(parts)}. If it was moved, correct "
        "resource_id in allowed_vaults of key-vault-events/default, and replay this event."
    )
