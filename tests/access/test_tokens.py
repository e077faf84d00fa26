"""Access tokens: what they cost, how soon a revocation holds, and that no value is kept anywhere."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.access.roles import Role
from shared.access.token_format import PATTERN, is_token, new_token
from shared.access.tokens import LONGEST_LIFE, AccessTokens
from shared.errors import AlreadyExistsError, NotAuthorisedError
from shared.reasons import Reason
from tests.fakes.tables import MemoryTables, WatchedTables


class Desk:
    """Two workers on one table, a clock, and a count of what storage was asked."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.asked: list[str] = []
        self.memory = MemoryTables()
        watched = WatchedTables(self.memory, self._ask)
        self.one, self.other = (AccessTokens(watched.table("access"), self.now, lambda: self.seconds) for _ in "ab")

    def _ask(self, table: str, operation: str, moment: str) -> None:
        if moment == "before":
            self.asked.append(operation)

    def now(self) -> datetime:
        return datetime(2026, 5, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)


def refused(tokens: AccessTokens, token: str) -> Reason:
    with pytest.raises(NotAuthorisedError) as error:
        tokens.authenticate(token)
    return error.value.reason


def test_garbage_costs_no_reading_and_made_up_tokens_at_most_one_a_second() -> None:
    desk = Desk()
    for text in ("", "x", "desk_", new_token()[:-1], new_token() + "0", "desk_" + "A" * 49):
        assert refused(desk.one, text) is Reason.ACCESS_TOKEN_MALFORMED
    assert desk.asked == []
    for _ in range(1000):
        assert refused(desk.one, new_token()) is Reason.ACCESS_TOKEN_UNKNOWN
    assert len(desk.asked) == 1


def test_an_ordinary_call_reads_nothing_and_its_use_is_noted_every_few_minutes() -> None:
    desk = Desk()
    _, token = desk.one.make("ci", by="kim", role=Role.OPERATOR)
    desk.one.authenticate(token)
    desk.asked.clear()
    for _ in range(100):
        assert desk.one.authenticate(token).role is Role.OPERATOR
    assert desk.asked == []
    desk.seconds = 301
    desk.one.authenticate(token)
    assert desk.asked.count("transact") == 1
    assert desk.one.get("ci").last_used_at == desk.now()


def test_a_revocation_holds_here_at_once_and_elsewhere_within_a_minute() -> None:
    desk = Desk()
    _, token = desk.one.make("ci", by="kim")
    assert desk.other.authenticate(token).name == "ci"
    desk.one.revoke("ci", by="kim")
    assert refused(desk.one, token) is Reason.ACCESS_TOKEN_REVOKED
    desk.seconds += 59
    assert refused(desk.other, token) is Reason.ACCESS_TOKEN_REVOKED


def test_a_token_expires_and_its_name_is_never_given_twice() -> None:
    desk = Desk()
    _, token = desk.one.make("ci", by="kim", expires_at=desk.now() + timedelta(seconds=10))
    desk.one.authenticate(token)
    desk.seconds = 10
    assert refused(desk.one, token) is Reason.ACCESS_TOKEN_EXPIRED
    with pytest.raises(AlreadyExistsError):
        desk.one.make("ci", by="kim")


def test_the_value_stands_in_no_row() -> None:
    desk = Desk()
    _, token = desk.one.make("ci", by="kim")
    desk.one.authenticate(token)
    assert is_token(token)
    assert PATTERN.startswith("desk_")
    assert token not in repr(desk.memory.contents())


def test_a_row_that_cannot_be_read_opens_nothing() -> None:
    desk = Desk()
    _, token = desk.one.make("ci", by="kim")
    for row in desk.memory.table("access").rows.values():
        row.values.pop("customers")  # type: ignore[attr-defined]
    assert refused(desk.other, token) is Reason.ACCESS_TOKEN_UNKNOWN


def test_a_token_is_forgotten_long_after_its_end_and_a_thousand_at_most_at_a_time() -> None:
    desk = Desk()
    for number in range(1002):
        desk.one.make(f"t{number:04}", by="kim", expires_at=desk.now() + timedelta(days=1))
    desk.one.make("revoked", by="kim", expires_at=desk.now() + LONGEST_LIFE)
    desk.one.make("in-use", by="kim", expires_at=desk.now() + LONGEST_LIFE)
    desk.one.revoke("revoked", by="kim")
    desk.seconds = timedelta(days=400).total_seconds()
    assert desk.one.remove_old() == 0
    desk.seconds += 1
    assert desk.one.remove_old() == 1
    desk.seconds += timedelta(days=1).total_seconds()
    assert (desk.one.remove_old(), desk.other.remove_old(), desk.one.remove_old()) == (1000, 2, 0)
    assert [token.name for token in desk.one.page(10, None)[0]] == ["in-use"]


def test_two_workers_that_forget_the_same_tokens_do_no_harm() -> None:
    desk = Desk()
    for name in ("a", "b"):
        desk.one.make(name, by="kim", expires_at=desk.now() + timedelta(days=1))
    desk.seconds = timedelta(days=402).total_seconds()
    removed: list[int] = []

    def remove_first(table: str, operation: str, moment: str) -> None:
        if (operation, moment) == ("transact", "before") and not removed:
            removed.append(-1)
            removed.append(desk.other.remove_old())

    watched = WatchedTables(desk.memory, remove_first)
    late = AccessTokens(watched.table("access"), desk.now, lambda: desk.seconds)
    assert late.remove_old() == 0
    assert removed == [-1, 2]
    assert late.page(10, None) == ([], None)


def test_a_use_that_is_noted_late_does_not_bring_a_revoked_token_back() -> None:
    desk = Desk()
    _, token = desk.one.make("ci", by="kim", role=Role.OPERATOR)
    desk.one.authenticate(token)
    desk.seconds = 301
    revoked: list[bool] = []

    def revoke_meanwhile(table: str, operation: str, moment: str) -> None:
        if operation == "transact" and moment == "before" and not revoked:
            revoked.append(True)
            late.revoke("ci", by="kim")
            assert refused(late, token) is Reason.ACCESS_TOKEN_REVOKED

    late = AccessTokens(WatchedTables(desk.memory, revoke_meanwhile).table("access"), desk.now, lambda: desk.seconds)
    late.authenticate(token)
    assert revoked
    assert refused(late, token) is Reason.ACCESS_TOKEN_REVOKED
