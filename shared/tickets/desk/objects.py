"""All objects of all vaults that the desk knows, page by page, from the index; and one of them with its versions.

What may have changed since the index followed is read from its own row before it is shown.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice

from shared.errors import Fault, InvalidInputError, NotFoundError
from shared.index.index import Index, Place, Stream, going_on
from shared.index.terms import SearchWords, partition_of_term, search_words
from shared.moments import LONG_AGO
from shared.outbox.gathered import GatheredOutbox, MarkedPartition, Unsettled
from shared.reasons import Reason
from shared.storage.cursors import decode_cursor, encode_cursor
from shared.storage.rows import Row
from shared.storage.tables import find_rows
from shared.text import KEY_FORBIDDEN, ascending, escape_key
from shared.tickets.configuration import Configuration
from shared.tickets.domain.decide import Expiry, ObjectRecord, expiry_of
from shared.tickets.inbound.known_vaults import KnownVaults
from shared.tickets.inbound.vault_rows import KnownVault
from shared.tickets.store.index_rows import (
    AFTER_ALL,
    BY_EXPIRY,
    BY_NAME,
    OBJECT_TERMS,
    SHARDS,
    by_scope,
    object_in,
    object_partition,
    object_terms,
)
from shared.tickets.store.repository import TicketRepository, record_of

BY_EXPIRY_ORDER, BY_NAME_ORDER = "expiry", "name"
# A filter that matches little must not read a whole desk in one call; the page is then short and has a `next`.
_MOST_EXAMINED = 2_000
_FIRST, _LAST = " ", "\uffff"
_OBJECT_ROW = "object:"
# Where little fits, rows are looked at in larger groups.
_GROWTH = 4


class ObjectStatus(StrEnum):
    """How an object stands by its current version."""

    USABLE = "usable"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    DISABLED = "disabled"
    GONE = "gone"


PRESENT = frozenset(ObjectStatus) - {ObjectStatus.GONE}


@dataclass(frozen=True)
class ObjectQuery:
    """Which objects, in which order. `sites` None are all; `owner` is case-folded."""

    order: str = BY_EXPIRY_ORDER
    states: frozenset[ObjectStatus] = PRESENT
    object_types: frozenset[str] = frozenset()
    scope: str | None = None
    words: SearchWords | None = None
    owner: str | None = None
    sites: frozenset[str] | None = None
    expires_before: datetime | None = None
    expires_after: datetime | None = None
    size: int = 50
    after: str | None = None


@dataclass(frozen=True)
class KnownObject:
    """An object as a person sees it. `sites` are those of its tickets, or else its vault's. `seen_at` is when a sweep
    last read it in its vault; to the day where only events told of it."""

    object_id: str
    shown: Expiry
    state: ObjectStatus
    owner: str | None
    sites: tuple[str, ...]
    seen_at: datetime | None

    @property
    def created_at(self) -> datetime | None:
        """As far as it is known: a list may leave it out."""
        return None if self.shown.created_at == LONG_AGO else self.shown.created_at


@dataclass(frozen=True)
class ObjectPage:
    """Objects, where to go on, and up to when changes are surely in it."""

    items: Sequence[KnownObject]
    next: str | None
    as_of: datetime


def query_of(
    *,
    order: str | None = None,
    states: Sequence[str] = (),
    object_types: Sequence[str] = (),
    scope: str | None = None,
    q: str | None = None,
    owner: str | None = None,
    sites: frozenset[str] | None = None,
    expires_before: datetime | None = None,
    expires_after: datetime | None = None,
    size: int = 50,
    after: str | None = None,
) -> ObjectQuery:
    """The query of parameters that are checked one by one; None stands for the default. Raises InvalidInputError."""
    if q and order is not None:
        said = "What is found by q comes in the order of the words found."
        raise InvalidInputError(Reason.PARAMETER_INVALID, said, faults=[Fault("order", "goes with no q")])
    return ObjectQuery(
        order or BY_EXPIRY_ORDER,
        frozenset(map(ObjectStatus, states)) or PRESENT,
        frozenset(object_types),
        None if scope is None else scope.strip().casefold(),
        search_words(q) if q else None,
        None if owner is None else owner.strip().casefold(),
        sites,
        expires_before,
        expires_after,
        size,
        after,
    )


def status_of(shown: Expiry, now: datetime) -> ObjectStatus:
    """What counts first: gone, disabled, expired, not valid yet."""
    if shown.gone_at is not None:
        return ObjectStatus.GONE
    if shown.enabled is False:
        return ObjectStatus.DISABLED
    if shown.expires_at is not None and shown.expires_at <= now:
        return ObjectStatus.EXPIRED
    early = shown.not_before is not None and shown.not_before > now
    return ObjectStatus.NOT_YET_VALID if early else ObjectStatus.USABLE


class ObjectLists:
    """Finds objects in the index, and what is known of their vaults beside them."""

    def __init__(
        self,
        index: Index,
        outbox: GatheredOutbox,
        repository: TicketRepository,
        vaults: KnownVaults,
        configured: Callable[[], Configuration | None],
        now: Callable[[], datetime],
    ) -> None:
        self._index = index
        self._outbox = outbox
        self._repository = repository
        self._vaults = vaults
        self._configured = configured
        self._now = now

    def page(self, query: ObjectQuery) -> ObjectPage:
        """One page. Raises InvalidInputError for an `after` of another list."""
        last: Place | None = None
        if query.after is not None:
            row_key, partition_key = decode_cursor(query.after, str, str)
            last = (row_key, partition_key)
        unsettled = self._outbox.unsettled(self._repository.table.name)
        rows = self._index.merged(going_on(_streams(query), last), query.size + 1)
        found: list[Row] = []
        place: Place | None = None
        following: str | None = None
        for examined, (row, one) in enumerate(self._seen(rows, query)):
            if len(found) == query.size or examined == _MOST_EXAMINED:
                following = None if place is None else encode_cursor(*place)
                break
            place = (row.row_key, row.partition_key)
            if _matches(one, row, query):
                found.append(row)
        items = [one for one in self._known(self._as_they_are(found, unsettled)) if _matches(one, None, query)]
        return ObjectPage(items, following, unsettled.as_of)

    def find(self, object_id: str) -> tuple[KnownObject, ObjectRecord]:
        """The object of that id, as it is now. Raises NotFoundError."""
        vault, _, rest = object_id.strip().casefold().partition(":")
        row_key = f"{_OBJECT_ROW}{rest}"
        asked = bool(vault and rest) and not KEY_FORBIDDEN.search(f"{vault}{row_key}")
        row = self._repository.table.find(vault, row_key) if asked else None
        shown = None if row is None else expiry_of(vault, record_of(row))
        if row is None or shown is None:
            said = f"There is no object {object_id[:100]!r}."
            raise NotFoundError(Reason.NOT_FOUND, said, remedy="List the objects: GET /api/v1/objects")
        (known,) = self._known([(row_key, shown)])
        return known, record_of(row)

    def of_rows(self, rows: Sequence[Row]) -> list[KnownObject | None]:
        """The objects of their own rows; None for a row that is about no object in a vault."""
        shown = [(row.row_key, expiry_of(row.partition_key, record_of(row))) for row in rows]
        known = iter(self._known([(row_key, one) for row_key, one in shown if one is not None]))
        return [None if one is None else next(known) for _, one in shown]

    # Within

    def _seen(self, rows: Iterator[Row], query: ObjectQuery) -> Iterator[tuple[Row, KnownObject]]:
        """Each row as an object; with what is known of its vault, where that is asked for."""
        size = query.size + 1
        while some := list(islice(rows, size)):
            told = [(row.text("row"), object_in(row)) for row in some]
            by_vault = query.sites is not None or query.owner is not None
            yield from zip(some, self._known(told) if by_vault else self._shown(told, {}), strict=True)
            size *= _GROWTH

    def _known(self, told: Sequence[tuple[str, Expiry]]) -> list[KnownObject]:
        return self._shown(told, self._vaults.beside({one.vault for _, one in told})) if told else []

    def _shown(self, told: Sequence[tuple[str, Expiry]], vaults: Mapping[str, KnownVault]) -> list[KnownObject]:
        configuration, now = self._configured(), self._now()
        named = {} if configuration is None else configuration.named_vaults

        def shown(row_key: str, one: Expiry) -> KnownObject:
            entry, vault = named.get(one.vault), vaults.get(one.vault)
            # What the settings say counts at once; of a vault that only a pattern names, what was read last.
            owner = entry.owner if entry is not None else None if vault is None else vault.owner
            site = entry.site if entry is not None else None if vault is None else vault.site
            sites = one.sites or ((site,) if site else ())
            object_id = f"{one.vault}:{row_key.removeprefix(_OBJECT_ROW)}"
            return KnownObject(object_id, one, status_of(one, now), owner or None, sites, _seen_at(one, vault))

        return [shown(row_key, one) for row_key, one in told]

    def _as_they_are(self, rows: Sequence[Row], unsettled: Unsettled) -> list[tuple[str, Expiry]]:
        """The objects of index rows; instead of one that the index may not have followed, the object's own row."""
        table = self._repository.table
        doubtful: dict[str, list[str]] = {}
        for row in rows:
            if unsettled.holds(MarkedPartition(table.name, row.text("vault"))):
                doubtful.setdefault(row.text("vault"), []).append(row.text("row"))
        fresh = {vault: find_rows(table, vault, keys) for vault, keys in doubtful.items()}
        shown: list[tuple[str, Expiry]] = []
        for row in rows:
            vault, row_key = row.text("vault"), row.text("row")
            present: Expiry | None = object_in(row)
            if vault in fresh:
                own = fresh[vault].get(row_key)
                present = None if own is None else expiry_of(vault, record_of(own))
            if present is not None:
                shown.append((row_key, present))
        return shown


def _streams(query: ObjectQuery) -> list[Stream]:
    if query.words is not None:
        term = escape_key(query.words.first)
        return [Stream(partition_of_term(OBJECT_TERMS, query.words.first), term, term + _LAST)]
    begin, end = _FIRST, _LAST
    if query.order == BY_EXPIRY_ORDER:
        # Those that are gone stand behind all others.
        gone_too = ObjectStatus.GONE in query.states
        begin, end = (_FIRST if query.states & PRESENT else AFTER_ALL), (_LAST if gone_too else AFTER_ALL)
        if query.expires_after is not None and query.states & PRESENT:
            begin = ascending(query.expires_after)
        if query.expires_before is not None and not gone_too:
            end = ascending(query.expires_before)
    order = BY_EXPIRY if query.order == BY_EXPIRY_ORDER else BY_NAME
    listed = SHARDS if query.scope is None else [by_scope(query.scope)]
    return [Stream(object_partition(order, by), begin, end) for by in listed]


def _matches(known: KnownObject, row: Row | None, query: ObjectQuery) -> bool:
    """`row` is the index row that found it; None for an object that was found before."""
    shown = known.shown
    if known.state not in query.states or (query.object_types and str(shown.object_type) not in query.object_types):
        return False
    if query.scope is not None and shown.vault.casefold() != query.scope:
        return False
    if query.owner is not None and (known.owner or "").casefold() != query.owner:
        return False
    if query.sites is not None and not query.sites & set(known.sites):
        return False
    if query.expires_before is not None and (shown.expires_at is None or shown.expires_at >= query.expires_before):
        return False
    if query.expires_after is not None and (shown.expires_at is None or shown.expires_at < query.expires_after):
        return False
    if query.words is None:
        return True
    terms = object_terms(shown)
    if not query.words.fit(terms):
        return False
    # Of several rows that are found, the first alone shows the object.
    first = min(f"{escape_key(term)}|" for term in terms if term.startswith(query.words.first))
    return row is None or row.row_key.startswith(first)


def _seen_at(shown: Expiry, vault: KnownVault | None) -> datetime | None:
    told = datetime.fromisoformat(shown.seen_on).replace(tzinfo=UTC) if shown.seen_on else None
    swept = vault.swept_at if vault is not None and shown.gone_at is None else None
    return max(filter(None, (told, swept)), default=None)
