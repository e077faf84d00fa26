"""Timers fire on time, one run at a time, remember when, and say when they are late."""

import itertools
import json
import time
from datetime import UTC, datetime
from pathlib import Path

from tests.lab.emulators.functions_host.conftest import Running, Start, wait_until


def test_a_timer_fires_each_second_and_sends_its_outputs(start: Start) -> None:
    with start(EACH_SECOND="* * * * * *") as running:
        running.wait_for("tick", 3)
        began = [each["began"] for each in running.notes("tick")]
        assert all(second % 1 < 0.5 for second in began)
        assert sorted(running.texts("ticks")[:4]) == ["tick", "tick", "tock", "tock"]


def test_a_time_span_is_a_schedule_too(start_default: Start) -> None:
    with start_default(EACH_SECOND="00:00:01") as running:
        running.wait_for("tick", 2)


def test_a_timer_never_overlaps_itself_not_even_by_hand(start: Start) -> None:
    with start(EACH_SECOND="* * * * * *", TICK_SECONDS="1.3") as running:
        running.wait_for("tick", 1)
        for _ in range(2):
            running.host.fire("tick")
        ticks = running.wait_for("tick", 4)
        for earlier, later in itertools.pairwise(sorted(ticks, key=lambda each: float(each["began"]))):
            assert later["began"] >= earlier["ended"]


def test_a_failed_run_at_start_is_retried_as_its_policy_says(start: Start) -> None:
    with start() as running:
        runs = running.wait_for("at_start", 3)
        assert [each["count"] for each in runs] == [0, 1, 2]
        assert runs[-1]["most"] == 2
        gaps = [
            (datetime.fromisoformat(later["at"]) - datetime.fromisoformat(earlier["at"])).total_seconds()
            for earlier, later in itertools.pairwise(runs)
        ]
        assert all(0.9 < gap < 3 for gap in gaps)


def remember(data: Path, name: str, last: datetime | None, updated: datetime) -> Path:
    path = data / "timers" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"Last": last and last.isoformat(), "Next": updated.isoformat(), "LastUpdated": updated.isoformat()}
    path.write_text(json.dumps(document))
    return path


def test_a_run_that_was_missed_is_made_up_for_once(start_default: Start, tmp_path: Path) -> None:
    long_ago = datetime(2024, 6, 1, tzinfo=UTC)
    path = remember(tmp_path, "yearly", long_ago, long_ago)
    with start_default(data=tmp_path) as running:
        run = running.wait_for("yearly", 1)[0]
        assert run["past_due"] is True
        assert run["status"]["Last"].startswith("2024-06-01T00:00:00")
        wait_until(lambda: json.loads(path.read_text())["Last"].startswith(f"{datetime.now(UTC):%Y-%m-%dT}"))
        time.sleep(0.3)
        assert len(running.notes("yearly")) == 1
    with start_default(data=tmp_path) as again:
        time.sleep(0.5)
        assert again.notes("yearly") == []


def test_a_first_start_is_remembered_and_not_late(start_default: Start, tmp_path: Path) -> None:
    with start_default(data=tmp_path) as running:
        path = tmp_path / "timers" / "yearly.json"
        wait_until(path.is_file)
        assert json.loads(path.read_text())["Last"] is None
        assert running.notes("yearly") == []
    # A start was noted before the occurrence, so the missed first run is noticed too.
    remember(tmp_path, "yearly", None, datetime(2024, 6, 1, tzinfo=UTC))
    with start_default(data=tmp_path) as again:
        assert again.wait_for("yearly", 1)[0]["past_due"] is True


def test_a_run_cut_short_by_a_kill_is_made_up_for(start_default: Start, tmp_path: Path) -> None:
    long_ago = datetime(2024, 6, 1, tzinfo=UTC)
    remember(tmp_path, "yearly", long_ago, long_ago)
    with start_default(data=tmp_path, YEARLY_SECONDS="30") as running:
        running.wait_for("yearly", 1)
        running.host.kill()
    with start_default(data=tmp_path) as again:
        assert again.wait_for("yearly", 1)[0]["past_due"] is True


def test_of_two_hosts_one_runs_the_timers_and_the_other_takes_over(start_default: Start, tmp_path: Path) -> None:
    def ticks(running: Running) -> int:
        return len(running.notes("tick"))

    with start_default(data=tmp_path, EACH_SECOND="* * * * * *") as first:
        wait_until(lambda: ticks(first) >= 1)
        with start_default(data=tmp_path, storage=first.storage, EACH_SECOND="* * * * * *") as second:
            before = ticks(first)
            wait_until(lambda: ticks(first) >= before + 2)
            assert ticks(second) == 0
            second.wait_for_line("Another host runs the timers")
            first.host.kill()
            wait_until(lambda: ticks(second) >= 1)
