"""The simulator: what is shared over time, and a run of 2,000 parts with 200 vaults through the real code."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.scale.__main__ import main, write
from bench.scale.capacity import Buckets, Processor
from bench.scale.engine import Call, Engine
from bench.scale.host import Message
from bench.scale.parts import REGIONS, Fleet
from bench.scale.player import Player
from bench.scale.report import BEGIN, END, calls_a_unit
from bench.scale.run import Result, play_parts, play_vaults
from bench.scale.stated import LIMITS
from bench.scale.vaults import is_near, vault_name


def test_a_processor_does_a_second_of_work_a_second_whoever_asks_first() -> None:
    processor = Processor()
    assert processor.spend(10.0, 0.25) == pytest.approx(10.25)
    # Beside it, and asked later for an earlier moment.
    assert processor.spend(10.0, 0.25) == pytest.approx(10.5)
    assert processor.spend(9.0, 0.5) == pytest.approx(9.5)
    assert processor.spend(9.9, 0.2) == pytest.approx(10.6)


def test_a_bucket_refuses_what_is_over_its_limit_and_all_or_nothing() -> None:
    buckets, limit = Buckets(), LIMITS["rows of a partition"].units
    rows, requests = "rows of a partition", "requests of the account"
    assert buckets.take(5.1, ((rows, "a", limit), (requests, "", 1))) == ""
    for _ in range(3):
        assert buckets.take(5.9, ((requests, "", 1), (rows, "a", 1))) == rows
    assert buckets.take(5.9, ((rows, "b", 1),)) == ""
    assert buckets.take(6.0, ((rows, "a", 1),)) == ""
    assert buckets.busiest()[requests] == ("", 1 / LIMITS[requests].units)
    assert buckets.longest_over() == (1, "rows of a partition: a")


class _Flow:
    """Messages of one kind."""

    def __init__(self) -> None:
        self.settled: list[Message] = []

    def kind_of(self, message: Message) -> str:
        del message
        return "any"

    def places_of(self, message: Message) -> tuple[str, ...]:
        del message
        return ()

    def prepare(self, message: Message) -> None:
        raise AssertionError("nothing runs in truth here")

    def forget(self, message: Message) -> None:
        raise AssertionError("nothing runs in truth here")

    def settle(self, message: Message) -> None:
        self.settled.append(message)


def test_what_is_played_after_another_and_refused_is_not_done() -> None:
    engine, flow = Engine(datetime(2026, 5, 1, tzinfo=UTC)), _Flow()
    player = Player(engine, flow, sample=0, real_instances=0, seed=1)
    player.left = lambda _: 1
    rows = ("rows of a partition", "runs", LIMITS["rows of a partition"].units)
    player._known["any"] = [[(0.1, Call("table read", (rows,), 1)), (0.1, None)]]
    player._begun.add(("parts", 0))
    done = player.play(Message("parts", "", (0,)), 0, Processor())
    assert (done.failed, len(flow.settled)) == (False, 1)
    for second in range(60):
        engine.tally.buckets.take(second, (rows,))
    engine.at = 1.0
    refused = player.play(Message("parts", "", (1,)), 0, Processor())
    assert (refused.failed, len(flow.settled)) == (True, 1)
    # As long as the table client waits between four tries.
    assert engine.at > 1.0 + 0.3 + 0.6 + 1.2


@pytest.fixture(scope="module")
def parts() -> Result:
    return play_parts(Fleet(118, 8_000), 4, sample=5, others=(1, 1000))


@pytest.mark.timeout(240)
def test_two_thousand_parts_are_all_done_and_cost_as_much_as_a_few(parts: Result) -> None:
    assert (parts.units, parts.done, parts.state, parts.lost) == (118 * len(REGIONS), 2_006, "succeeded", 0)
    assert not parts.player.errors
    # Some of each kind ran in truth, and the rest after them.
    assert sum(parts.player.real.values()) > 15
    assert sum(parts.player.real.values()) + sum(parts.player.played.values()) == sum(parts.outcome.executions.values())
    few = play_parts(Fleet(3, 204), 4, sample=5)
    assert (few.state, few.done) == ("succeeded", 51)
    assert calls_a_unit(parts) <= 1.1 * calls_a_unit(few)


@pytest.mark.timeout(240)
def test_more_instances_take_less_time_until_a_limit_is_met(parts: Result) -> None:
    one, many = parts.again
    assert one.outcome.ends > parts.outcome.ends > many.outcome.ends
    assert one.outcome.executions == parts.outcome.executions
    assert one.tally.processor == pytest.approx(parts.tally.processor, rel=0.05)


@pytest.mark.timeout(240)
def test_a_sweep_finds_every_vault_and_what_is_near_its_end() -> None:
    swept = play_vaults(200, 2, sample=3)
    assert (swept.units, swept.done, swept.lost) == (200, 200, 0)
    ran = swept.player.real + swept.player.played
    near = sum(number for kind, number in ran.items() if kind.startswith("vault with a secret near its end"))
    assert near == sum(is_near(vault_name(number)) for number in range(200)) > 0
    assert not swept.player.errors


def test_the_page_keeps_one_section(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text("# Performance\n", "utf-8")
    write(page, "first")
    write(page, "second")
    assert page.read_text("utf-8") == f"# Performance\n\n{BEGIN}\n\nsecond\n\n{END}\n"


@pytest.mark.timeout(240)
def test_what_it_prints_says_how_much_ran_in_truth_and_which_aims_are_met(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "performance.md"
    page.write_text("# Performance\n", "utf-8")
    sizes = ["--parts", "17", "--instances", "30", "--vaults", "20", "--workers", "2", "--others", "1"]
    assert main([*sizes, "--sample", "2", "--page", str(page)]) == 0
    shown = capsys.readouterr().out
    for words in ("ran the real code", "The next limit", "| all of it: under 6 USD a day |", "in 17 parts"):
        assert words in shown
        assert words in page.read_text("utf-8")
