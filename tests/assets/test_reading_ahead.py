"""Pages are asked for one ahead: never more, in order, with every failure, and the thread ends when nobody reads on."""

import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from botocore.parsers import ResponseParserError

from lab.emulators.ec2.accounts import LONDON
from lab.emulators.ec2.server import EC2Lab
from shared.assets.aws.client import Ec2
from shared.assets.aws.prefetch import Turn, ahead
from shared.errors import TryLaterError
from shared.imports.collector import collector_put_off
from tests.assets.test_ec2 import _document, credentials, ec2, lab, running
from tests.assets.test_lean_ec2 import _later, _lean
from tests.imports.worlds import Ec2Case, World

__all__ = ["credentials", "ec2", "lab", "running"]


def _wait_until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + 10
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.005)


class _Asked:
    """Five pages; keeps what was asked for, and what was unpacked."""

    def __init__(self, turn: Turn, fails_at: int = 99) -> None:
        self.turn = turn
        self.fails_at = fails_at
        self.asked: list[int] = []
        self.unpacked: list[int] = []

    def __iter__(self) -> Iterator[int]:
        for number in range(5):
            self.asked.append(number)
            if number == self.fails_at:
                raise TimeoutError
            self.turn.wait()
            self.unpacked.append(number)
            yield number


@pytest.fixture
def world() -> World:
    new = World(Ec2Case())
    new.settle()
    return new


def _threads() -> int:
    return sum(thread.name == "ec2-pages" for thread in threading.enumerate())


def test_one_page_is_asked_for_ahead_and_unpacked_when_it_is_its_turn() -> None:
    turn = Turn()
    asked = _Asked(turn)
    pages = ahead(asked, turn)
    assert next(pages) == 0
    _wait_until(lambda: asked.asked == [0, 1])
    assert asked.unpacked == [0]
    assert next(pages) == 1
    assert list(pages) == [2, 3, 4]
    _wait_until(lambda: _threads() == 0)


def test_what_fails_while_asking_is_raised_after_the_pages_before_it() -> None:
    turn = Turn()
    pages = ahead(_Asked(turn, fails_at=2), turn)
    assert [next(pages), next(pages)] == [0, 1]
    with pytest.raises(TimeoutError):
        next(pages)
    _wait_until(lambda: _threads() == 0)


def test_the_thread_ends_when_nobody_reads_on() -> None:
    turn = Turn()
    asked = _Asked(turn)
    pages = ahead(asked, turn)
    next(pages)
    pages.close()
    _wait_until(lambda: _threads() == 0)
    assert asked.unpacked == [0]


def test_what_failed_leaves_no_circle_behind() -> None:
    class Body:
        """Stands for what the asking held."""

    held: list[weakref.ref[Body]] = []

    def asked(turn: Turn) -> Iterator[int]:
        body = Body()
        held.append(weakref.ref(body))
        turn.wait()
        yield 1
        raise TimeoutError

    def read() -> None:
        turn = Turn()
        with pytest.raises(TimeoutError):
            list(ahead(asked(turn), turn))

    with collector_put_off():
        read()
        _wait_until(lambda: held[0]() is None)


def test_the_thread_ends_with_the_work_while_the_error_is_still_held(world: World) -> None:
    turn = Turn()
    world.far.put("i-1")

    class Reading:
        def read_instances(self, *_where: object) -> Iterator[list[dict[str, Any]]]:
            with closing(ahead(_Asked(turn), turn)) as pages:
                for _ in pages:
                    # No instance that can be mapped: the work fails within its page.
                    yield [{}]

    source: Any = world.runner.sources[world.case.kind]
    source._ec2 = Reading
    _, [message] = world.start()
    with pytest.raises(KeyError) as failure:
        world.runner.do_part(message)
    _wait_until(lambda: _threads() == 0)
    del failure


def test_ec2_is_asked_for_the_next_page_while_one_is_worked_on(lab: EC2Lab, ec2: Ec2) -> None:
    document = _document()
    pages = ec2.read_instances(document, document.accounts[0], LONDON, page_size=100)
    found = [next(pages)]
    _wait_until(lambda: len([call for call in lab.journal if call.action == "DescribeInstances"]) == 2)
    time.sleep(0.05)
    assert len([call for call in lab.journal if call.action == "DescribeInstances"]) == 2
    found += list(pages)
    ids = [instance["InstanceId"] for page in found for instance in page]
    assert len(ids) == len(set(ids)) == 230
    _wait_until(lambda: _threads() == 0)


def test_a_failed_page_fails_the_reading_after_those_before_it(lab: EC2Lab, ec2: Ec2) -> None:
    lab.script("malformed", action="DescribeInstances", page=3, times=None)
    document = _document()
    pages = ec2.read_instances(document, document.accounts[0], LONDON, page_size=100)
    assert [len(next(pages)), len(next(pages))] == [100, 100]
    with pytest.raises(TryLaterError):
        next(pages)


_PAGE = "<DescribeInstancesResponse><requestId>1</requestId>{}</DescribeInstancesResponse>"
_SET = "<reservationSet><item><ownerId>1</ownerId><instancesSet/></item></reservationSet>"


@pytest.mark.parametrize(
    ("inner", "token"),
    [
        (f"{_SET}<nextToken>abc</nextToken>", "abc"),
        (f"{_SET}\n  <nextToken>a+/=</nextToken>\n", "a+/="),
        (f"{_SET}<nextToken></nextToken>", ""),
        (f"{_SET}<nextToken>a&amp;b</nextToken>", "a&b"),
        (f"{_SET}<nextToken>a\r\nb</nextToken>", "a\nb"),
        (f"{_SET}<nextToken>ä</nextToken>", "ä"),
        (f"<nextToken>abc</nextToken>{_SET}", "abc"),
        (f"<nextToken>abc</nextToken>{_SET}<requestId>2</requestId>", "abc"),
        (f"{_SET}<requestId>2</requestId><nextToken>abc</nextToken>", "abc"),
        ("<reservationSet/><nextToken>abc</nextToken>", "abc"),
        ("<reservationSet></reservationSet>", None),
        (f"{_SET}<!-- </reservationSet><nextToken>no</nextToken> --><nextToken>abc</nextToken>", "abc"),
        (f"{_SET}<nextToken><![CDATA[abc]]></nextToken>", "abc"),
        ("", None),
    ],
)
def test_the_token_is_known_before_the_page_is_read_or_the_page_is_read_for_it(inner: str, token: str | None) -> None:
    body = _PAGE.format(inner).encode()
    assert _lean(body).get("NextToken") == token
    assert _later(body).get("NextToken") == token


def test_a_token_that_is_no_text_is_an_answer_that_cannot_be_read() -> None:
    with pytest.raises(ResponseParserError):
        _later(_PAGE.format(f"{_SET}<nextToken>abc</nextToken>").encode().replace(b"abc", b"a\xff"))


def test_a_page_is_read_later_only_when_its_end_says_all() -> None:
    plain: dict[str, Any] = _later(_PAGE.format(f"{_SET}<nextToken>abc</nextToken>").encode())
    assert plain["Reservations"] == []
    assert "Unread" in plain
    assert "Unread" not in _later(_PAGE.format(f"{_SET}<nextToken>a&amp;b</nextToken>").encode())
