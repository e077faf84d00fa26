"""The simulator: what is shared over time, and a run of 2,000 parts with 200 vaults through the real code."""

import random
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
from bench.scale.run import Result, play, search
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

    name = "made up"
    begins_with = frozenset({"parts"})

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

    def elsewhere(self, call: Call, chance: random.Random) -> Call:
        del chance
        return call


def test_what_is_played_after_another_and_refused_is_not_done() -> None:
    engine, flow = Engine(datetime(2026, 5, 1, tzinfo=UTC)), _Flow()
    player = Player(engine, [flow], sample=0, real_instances=0, seed=1)
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
def played() -> Result:
    return play(Fleet(118, 8_000), 200, 4, sample=5, others=(1, 1000))


@pytest.mark.timeout(240)
def test_two_thousand_parts_and_the_vaults_are_all_done_and_cost_as_much_as_a_few(played: Result) -> None:
    parts, vaults = played.flows["import"], played.flows["sweep"]
    assert (parts.units, parts.done, parts.state) == (118 * len(REGIONS), 2_006, "succeeded")
    assert (vaults.units, vaults.done, vaults.state) == (200, 200, "swept")
    assert (played.lost("import"), played.lost("sweep"), dict(played.player.errors)) == (0, 0, {})
    # Some of each kind ran in truth, and the rest after them.
    ran = [played.player.real, played.player.played]
    assert min(sum(one.values()) for one in ran) > 15
    assert sum(sum(one.values()) for one in ran) == sum(one.executions for one in played.outcome.of.values())
    few = play(Fleet(3, 204), 50, 4, sample=5)
    assert (few.flows["import"].done, few.flows["import"].state) == (51, "succeeded")
    assert calls_a_unit(played, "import") <= 1.1 * calls_a_unit(few, "import")
    assert calls_a_unit(played, "sweep") <= 1.1 * calls_a_unit(few, "sweep")


@pytest.mark.timeout(240)
def test_the_index_follows_wherever_something_changed(played: Result) -> None:
    near = sum(is_near(vault_name(number)) for number in range(200))
    # A part of 22 instances may have run in truth and have no changed one.
    assert 0 < near < 3 * 118 < len(played.lags) + 15 < 3 * 118 + near + 15
    assert played.not_followed == 0
    assert max(played.lags) < 120


@pytest.mark.timeout(240)
def test_more_instances_take_less_time_until_a_limit_is_met(played: Result) -> None:
    one, many = played.again
    for flow in ("import", "sweep"):
        assert one.outcome.of[flow].ends > played.outcome.of[flow].ends > many.outcome.of[flow].ends
        assert one.outcome.of[flow].executions == played.outcome.of[flow].executions
        assert one.tally.of[flow].processor == pytest.approx(played.tally.of[flow].processor, rel=0.05)


def test_a_search_among_many_takes_six_storage_calls_at_most() -> None:
    searches = search(Fleet(400, 200_000))
    assert [one.calls <= 6 and one.found > 0 for one in searches] == [True] * 4
    assert max(one.rows for one in searches) > 1_000


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
