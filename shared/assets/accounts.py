"""What is known of a tenant's AWS accounts from one day to the next: which there are, their regions, what was empty.

Kept in the table of runs: the listing in a partition of the tenant, and what is known of an account in one for all
accounts whose ids begin alike. No partition answers for all of them, and one after the other they are in order.
It is all asked again; losing it costs a few calls.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from shared.errors import ChangedMeanwhileError
from shared.storage.rows import Delete, Operation, Row, Save, in_transactions
from shared.storage.tables import Condition, Table, partition, row_key_prefix, scan
from shared.text import few

# So long what an account or its organization said is taken as true. Shorter than from one daily run to the next.
ASKED_EVERY = timedelta(hours=20)
_LISTING = "listing"
_ACCOUNT = "account:"
_ANSWERS = "answers:"
_EMPTY = "empty:"
_OWN = "own"
_LOST = "lost"
# An account's id is twelve digits; a lane is all that begin with the same one.
_LANES = "0123456789"
# With some regions each, as many as a step of a run asks for.
_ACCOUNTS_AT_ONCE = 100


@dataclass(frozen=True)
class OrganizationAccount:
    """An account that is in use. `own` says that the tenant's access key is of it."""

    id: str
    name: str
    own: bool = False


@dataclass(frozen=True)
class OrganizationAccounts:
    """All that are in use, and how many others there are: suspended, closed, not yet there."""

    accounts: Sequence[OrganizationAccount]
    left_out: int


@dataclass(frozen=True)
class KnownAccount:
    """An account of the organization, as it was listed last."""

    id: str
    name: str
    own: bool
    added_at: datetime
    vanished_at: datetime | None = None


@dataclass(frozen=True)
class AccountListing:
    """The accounts of an organization. `before` is when it was asked the time before, None for the first time."""

    asked_at: datetime
    before: datetime | None
    left_out: int
    accounts: Mapping[str, KnownAccount]

    @property
    def present(self) -> list[KnownAccount]:
        return [account for account in self.accounts.values() if account.vanished_at is None]

    @property
    def message(self) -> str:
        """What a run tells: how many there are, and what changed since the time before."""
        said = [f"The organization had {len(self.present)} accounts in use at {self.asked_at:%Y-%m-%d %H:%M} UTC."]
        if self.left_out:
            said.append(f"Left out, as they are suspended, closed or not there yet: {self.left_out}.")
        if self.before is not None:
            since = self.before
            added = [one for one in self.present if one.added_at > since]
            gone = [one for one in self.accounts.values() if one.vanished_at is not None and one.vanished_at > since]
            said += [
                f"{word} since {since:%Y-%m-%d %H:%M} UTC: {_named(those)}."
                for word, those in (("New", added), ("No longer in use", gone))
                if those
            ]
        return " ".join(said)


@dataclass(frozen=True)
class AccountAnswers:
    """What one account said: its enabled regions, and what is known of it in its organization."""

    asked_at: datetime
    regions: Sequence[str] = ()
    units: Sequence[str] = ()
    tags: Mapping[str, str] | None = None


class AccountDirectory:
    """The accounts of tenants. Everything may be written twice, and by two runs at once."""

    def __init__(self, table: Table, now: Callable[[], datetime]) -> None:
        self._table = table
        self.now = now

    def is_fresh(self, asked_at: datetime, changed_at: datetime) -> bool:
        """Whether an answer still counts. What was asked for another version of the document does not."""
        return asked_at >= changed_at and self.now() - asked_at < ASKED_EVERY

    # The organization

    def listing(self, tenant: str) -> AccountListing | None:
        head = self._table.find(_partition(tenant), _LISTING)
        if head is None:
            return None
        values: Any = head.values
        return AccountListing(values["asked_at"], values.get("before"), values["left_out"], self._known(tenant))

    def listed_at(self, tenant: str) -> datetime | None:
        """When the accounts were listed last."""
        head = self._table.find(_partition(tenant), _LISTING)
        return None if head is None else head.time("asked_at")

    def account(self, tenant: str, account_id: str) -> KnownAccount | None:
        row = self._table.find(_lane_of(tenant, account_id), _ACCOUNT + account_id)
        return None if row is None else _to_account(row)

    def present(self, tenant: str, begin: str) -> Iterator[KnownAccount]:
        """The accounts in use from this one on, by their ids; page after small page."""
        for account in self._accounts(tenant, begin, _ACCOUNTS_AT_ONCE):
            if account.vanished_at is None:
                yield account

    def renew(self, tenant: str, found: OrganizationAccounts) -> AccountListing:
        """The listing as it is now. Cut short and begun again, it tells the same accounts as new."""
        now = self.now()
        before = self.listing(tenant)
        known = dict(before.accounts) if before is not None else self._known(tenant)
        changed: dict[str, KnownAccount] = {}
        for one in found.accounts:
            there = known.get(one.id)
            came = there is None or there.vanished_at is not None
            account = KnownAccount(one.id, one.name, one.own, now if came or there is None else there.added_at)
            if account != there:
                changed[one.id] = account
        present = {one.id for one in found.accounts}
        gone = [account for account in known.values() if account.id not in present]
        if gone:
            self.note_loss(tenant)
        for account in gone:
            if account.vanished_at is None:
                changed[account.id] = replace(account, vanished_at=now)
            elif before is not None and account.vanished_at <= before.asked_at:
                # The run before has told it.
                del known[account.id]
                with suppress(ChangedMeanwhileError):
                    self._table.transact(_lane_of(tenant, account.id), [Delete(_ACCOUNT + account.id)])
        self._save(_account_row(tenant, account) for account in changed.values())
        asked_before = before.asked_at if before is not None else None
        listing = AccountListing(now, asked_before, found.left_out, {**known, **changed})
        head: dict[str, Any] = {"asked_at": now, "left_out": found.left_out}
        if asked_before is not None:
            head["before"] = asked_before
        self._save([Row(_partition(tenant), _LISTING, head)])
        return listing

    # One account

    def answers(self, tenant: str, account_id: str) -> AccountAnswers | None:
        row = self._table.find(_lane_of(tenant, account_id), _ANSWERS + account_id)
        if row is None:
            return None
        values: Any = row.values
        return AccountAnswers(asked_at=values["asked_at"], **json.loads(values["answers"]))

    def save_answers(self, tenant: str, account_id: str, answers: AccountAnswers) -> None:
        said = {"regions": list(answers.regions), "units": list(answers.units), "tags": answers.tags}
        values: dict[str, Any] = {"asked_at": answers.asked_at, "answers": json.dumps(said)}
        self._save([Row(_lane_of(tenant, account_id), _ANSWERS + account_id, values)])

    def empty_since(self, tenant: str, account_id: str, changed_at: datetime) -> Mapping[str, datetime]:
        """The regions of an account that were found empty, and when."""
        prefix = f"{_EMPTY}{account_id}:"
        rows = scan(self._table, [partition(_lane_of(tenant, account_id)), *row_key_prefix(prefix)])
        found: dict[str, Any] = {row.row_key.removeprefix(prefix): row.values["found_at"] for row in rows}
        return {region: at for region, at in found.items() if at >= changed_at}

    def save_empty(self, tenant: str, account_id: str, region: str) -> None:
        lane = _lane_of(tenant, account_id)
        self._save([Row(lane, f"{_EMPTY}{account_id}:{region}", {"found_at": self.now()})])

    # What is not there any more

    def own(self, tenant: str) -> str:
        """The account that the tenant's access key was of, when it was asked last; empty before."""
        row = self._table.find(_partition(tenant), _OWN)
        return "" if row is None else row.text("account")

    def save_own(self, tenant: str, account_id: str) -> None:
        if (before := self.own(tenant)) == account_id:
            return
        if before:
            self.note_loss(tenant)
        self._save([Row(_partition(tenant), _OWN, {"account": account_id})])

    def note_loss(self, tenant: str) -> None:
        """An account or a region is not there any more."""
        self._save([Row(_partition(tenant), _LOST, {"at": self.now()})])

    def lost(self, tenant: str) -> str:
        """When that was last, as a text; empty for never."""
        row = self._table.find(_partition(tenant), _LOST)
        return "" if row is None else row.text("at")

    # Within

    def _known(self, tenant: str) -> dict[str, KnownAccount]:
        return {account.id: account for account in self._accounts(tenant, "", 1_000)}

    def _accounts(self, tenant: str, begin: str, size: int) -> Iterator[KnownAccount]:
        """In the order of their ids, from this one on."""
        end = row_key_prefix(_ACCOUNT)[1]
        for lane in (one for one in _LANES if one >= begin[:1]):
            here = partition(f"{_partition(tenant)}:{lane}")
            where = [here, Condition("RowKey", "ge", _ACCOUNT + begin), end]
            yield from map(_to_account, scan(self._table, where, size=size))

    def _save(self, rows: Iterable[Row]) -> None:
        for lane, those in groupby(sorted(rows, key=_lane_and_key), key=lambda row: row.partition_key):
            operations: Iterable[tuple[Operation, Sequence[Operation]]] = ((Save(row), [Save(row)]) for row in those)
            for together in in_transactions(operations):
                self._table.transact(lane, together)


def _partition(tenant: str) -> str:
    return f"aws-accounts:{tenant}"


def _lane_of(tenant: str, account_id: str) -> str:
    """Where an account stands."""
    return f"{_partition(tenant)}:{account_id[:1]}"


def _lane_and_key(row: Row) -> tuple[str, str]:
    return row.partition_key, row.row_key


def _account_row(tenant: str, account: KnownAccount) -> Row:
    values: dict[str, Any] = {"name": account.name, "own": account.own, "added_at": account.added_at}
    if account.vanished_at is not None:
        values["vanished_at"] = account.vanished_at
    return Row(_lane_of(tenant, account.id), _ACCOUNT + account.id, values)


def _to_account(row: Row) -> KnownAccount:
    values: Any = row.values
    return KnownAccount(
        row.row_key.removeprefix(_ACCOUNT),
        values["name"],
        values["own"],
        values["added_at"],
        values.get("vanished_at"),
    )


def _named(accounts: Sequence[KnownAccount]) -> str:
    """A few by name, and how many there are."""
    return f"{len(accounts):,} ({few([f'{one.id} {one.name}'.rstrip() for one in accounts])})"
