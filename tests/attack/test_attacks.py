"""Every attack of `make attack` on one desk of the lab; and that an attack which gets through is told."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lab.attack.__main__ import ATTACKS, attacked_desk, play
from lab.attack.attack import Attack, Outcome, refused
from lab.attack.target import MOST_REQUESTS, Answer, Target, TooManyRequestsError
from lab.desk import Desk

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with attacked_desk() as target:
        yield target


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_the_desk_holds(target: Target, attack: Attack) -> None:
    outcome = play(attack, target)
    assert outcome.held, outcome.answer


def test_what_was_taken_or_took_long_is_broken() -> None:
    no = Answer(400, '{"reason": "document_invalid"}', {}, 0.1)
    assert refused(no).held
    assert not refused(no, Answer(200, "{}", {}, 0.1)).held
    assert not refused(no, Answer(500, "", {}, 0.1)).held
    assert not refused(Answer(400, "", {}, 11.0)).held
    assert not refused(no, reason="host_refused").held


def test_an_attack_that_did_not_take_place_is_broken() -> None:
    def fails(target: Target) -> Outcome:
        raise ConnectionResetError

    nobody: Any = None
    assert play(Attack("it", "nowhere", fails), nobody) == Outcome(False, "ConnectionResetError: ")


def test_no_request_leaves_loopback_and_none_comes_after_the_bound() -> None:
    elsewhere = Target(cast("Desk", SimpleNamespace(url="http://desk.example:80")))
    with pytest.raises(TooManyRequestsError, match="loopback"):
        elsewhere.as_stranger("GET", "/")
    nobody = Target(cast("Desk", SimpleNamespace(url="http://127.0.0.1:1")))
    for _ in range(MOST_REQUESTS):
        with pytest.raises(ConnectionRefusedError):
            nobody.as_stranger("GET", "/")
    with pytest.raises(TooManyRequestsError, match="more than"):
        nobody.as_stranger("GET", "/")
