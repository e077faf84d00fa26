"""Access tokens: what they cost, how soon a revocation holds, and that no value is kept anywhere."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.access.roles import Role
from shared.access.token_format import PATTERN, is_token, new_token
from shared.access.tokens import AccessTokens
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
