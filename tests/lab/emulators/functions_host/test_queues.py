"""Queue triggers and outputs on the real storage emulator, as host.json says."""

import base64
import contextlib
import json
import time
from datetime import datetime, timedelta
from typing import Any

import pytest
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from tests.lab.emulators.functions_host.conftest import Running, Start, wait_until


def test_a_message_is_worked_on_once_and_its_result_sent(running: Running) -> None:
    assert running.send(one="plain ä").status == 202
    note = running.work_on("plain ä")[0]
    assert note["dequeue_count"] == 1
    assert note["id"]
    assert note["receipt"] is True
    inserted, expires = datetime.fromisoformat(note["inserted"]), datetime.fromisoformat(note["expires"])
    assert inserted.utcoffset() == timedelta(0)
    assert expires - inserted == timedelta(days=7)
    # A host takes a message for ten minutes, and renews that.
    assert timedelta(minutes=9) < datetime.fromisoformat(note["visible"]) - inserted < timedelta(minutes=11)
    wait_until(lambda: "done plain ä" in running.texts("results"))
    time.sleep(0.5)
    assert len(running.work_on("plain ä")) == 1
    assert running.texts("work") == []


def test_a_list_is_a_message_for_each_element(running: Running) -> None:
    running.send(many=["first of many", '{"json": 1}'])
    assert running.work_on("first of many")
    assert running.work_on('{"json": 1}')


def test_a_text_that_is_a_json_array_is_split_as_in_azure(running: Running) -> None:
    running.send(one='["split", {"a": 1}]')
    assert running.work_on("split")
    assert running.work_on('{\n  "a": 1\n}')


def test_json_is_indented_anew_as_in_azure(running: Running) -> None:
    running.send(one='{"b":[1,{}],"a":"ä"}')
    assert running.work_on('{\n  "b": [\n    1,\n    {}\n  ],\n  "a": "ä"\n}')


def test_a_failing_function_sends_nothing(running: Running) -> None:
    assert running.send(one="never sent", fail=True).status == 500
    time.sleep(0.5)
    assert not [each for each in running.notes("work") if each["body"] == "never sent"]


def test_an_output_that_cannot_be_sent_fails_the_invocation(running: Running) -> None:
    assert running.send(one="x" * 49_152).status == 202
    assert running.send(one="x" * 49_153).status == 500
    running.wait_for_line("could not be sent")


def test_a_failing_message_is_tried_as_often_as_allowed_and_then_kept_in_the_poison_queue(running: Running) -> None:
    running.send(one="fail always")
    assert running.wait_for("poison", 1, where=lambda note: note["body"] == "fail always")
    attempts = running.work_on("fail always", 3)
    assert [each["dequeue_count"] for each in attempts] == [1, 2, 3]
    assert len({each["id"] for each in attempts}) == 1
    assert running.texts("work") == []


def test_a_message_that_is_not_base64_goes_to_the_poison_queue_and_its_batch_goes_on(start_default: Start) -> None:
    with start_default() as running, running.queue("work", is_base64=False) as queue:
        with contextlib.suppress(ResourceExistsError):
            queue.create_queue()
        queue.send_message("not base64!")
        running.send(one="good")
        assert running.work_on("good")
        running.wait_for_line("is not valid Base64")
        with running.queue("work-poison") as poison:
            # Taken there by keep_poison, which cannot read it either and has no further queue to put it in.
            wait_until(lambda: poison.get_queue_properties().approximate_message_count == 1)
        assert running.notes("poison") == []


def test_a_message_that_fails_in_a_poison_queue_waits_out_its_lease_and_stays(start_default: Start) -> None:
    polling: dict[str, Any] = {"AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:01:00"}
    with start_default(lease_seconds=4, **polling) as running:
        running.send(one="fail even here")
        noted = running.wait_for("poison", 2)
        # Three seconds after the lease (603 s on the real host), however seldom an empty queue is polled.
        first, second = (datetime.fromisoformat(each["at"]) for each in noted[:2])
        assert 3 < (second - first).total_seconds() < 9
        assert {each["body"] for each in noted} == {"fail even here"}
        with running.queue("work-poison") as poison:
            assert poison.get_queue_properties().approximate_message_count == 1


def test_the_visibility_timeout_delays_the_next_attempt(start_default: Start) -> None:
    with start_default(AzureFunctionsJobHost__extensions__queues__visibilityTimeout="00:00:02") as running:
        running.send(one="fail slowly")
        running.work_on("fail slowly")
        began = time.monotonic()
        running.work_on("fail slowly", 2)
        assert time.monotonic() - began > 1.5


def test_messages_may_travel_without_base64(start_default: Start) -> None:
    with start_default(AzureFunctionsJobHost__extensions__queues__messageEncoding="none") as running:
        running.send(one="<plain & simple>")
        assert running.work_on("<plain & simple>")
        wait_until(lambda: running.texts("results", is_base64=False) == ["done <plain & simple>"])


def test_a_listener_far_between_polls_is_told_of_what_the_host_itself_sends(start_default: Start) -> None:
    with start_default(AzureFunctionsJobHost__extensions__queues__maxPollingInterval="00:01:00") as running:
        time.sleep(3)  # several empty polls: the next would be seconds away
        began = time.monotonic()
        running.send(one="fail at once")
        running.wait_for("poison", 1)
        assert time.monotonic() - began < 1.5


def overlap(running: Running) -> int:
    """The most messages that were worked on at the same time."""
    begun = [(datetime.fromisoformat(each["at"]), 1) for each in running.notes("work")]
    ended = [(datetime.fromisoformat(each["at"]), -1) for each in running.notes("slept")]
    most = now = 0
    for _, change in sorted(begun + ended):
        now += change
        most = max(most, now)
    return most


def test_no_more_messages_run_at_once_than_batch_and_threshold_allow(start_default: Start) -> None:
    with start_default(PYTHON_THREADPOOL_THREAD_COUNT="16") as running:
        running.send(many=[f"sleep 0.4 {number}" for number in range(14)])
        running.wait_for("slept", 14)
        # host.json: batches of four, a new one as soon as two or fewer run.
        assert 2 < overlap(running) <= 6


def test_one_thread_runs_one_message_at_a_time(start: Start) -> None:
    with start(PYTHON_THREADPOOL_THREAD_COUNT="1") as running:
        running.send(many=[f"sleep 0.1 {number}" for number in range(4)])
        running.wait_for("slept", 4)
        assert overlap(running) == 1


def test_a_long_run_keeps_its_message_beyond_the_lease(start_default: Start) -> None:
    with start_default(lease_seconds=1) as running:
        running.send(one="sleep 3")
        running.wait_for("slept", 1)
        time.sleep(1.5)
        assert len(running.notes("work")) == 1
        assert running.texts("work") == []


def test_a_killed_host_leaves_its_message_to_the_next(start_default: Start) -> None:
    with start_default(lease_seconds=2) as first:
        first.send(one="sleep 1.5")
        first.wait_for("work", 1)
        first.host.kill()
        assert first.notes("slept") == []
        with start_default(storage=first.storage, lease_seconds=2) as second:
            assert second.wait_for("slept", 1)
            assert [each["dequeue_count"] for each in second.notes("work")] == [2]


def test_two_hosts_share_the_messages_and_double_none(start_default: Start) -> None:
    with start_default() as first, start_default(storage=first.storage) as second:
        bodies = [f"shared {number}" for number in range(40)]
        first.send(many=bodies)

        def both() -> list[Any]:
            return first.notes("work") + second.notes("work")

        wait_until(lambda: len(both()) >= len(bodies))
        time.sleep(0.5)
        assert sorted(each["body"] for each in both()) == sorted(bodies)


def test_a_storage_that_is_away_is_waited_for(start_default: Start) -> None:
    away = "QueueEndpoint=http://127.0.0.1:9/devstoreaccount1;AccountName=devstoreaccount1;AccountKey=a2V5;"
    with start_default(AzureWebJobsStorage=away) as running:
        running.wait_for_line("cannot be read, trying on", seconds=30)
        assert running.call("GET", "/api/any").status == 200
        master = {"x-functions-key": running.host.keys["master"]}
        assert json.loads(running.call("GET", "/admin/host/status", headers=master).body)["state"] == "Running"


def test_a_queue_that_is_missing_is_a_warning_and_is_not_created(start_default: Start) -> None:
    with start_default() as running:
        running.wait_for_line("WARNING", "Azure.Core", "queue work of function work does not exist")
        with running.queue("work") as queue, pytest.raises(ResourceNotFoundError):
            queue.get_queue_properties()
        running.send(one="made by an output")
        assert running.work_on("made by an output")


def test_a_message_that_is_no_utf8_never_reaches_a_function_that_takes_text(start_default: Start) -> None:
    with start_default(lease_seconds=1) as running, running.queue("work", is_base64=False) as queue:
        queue.create_queue()
        queue.send_message(base64.b64encode(b"\xff\xfe").decode())
        running.wait_for_line("Exception binding parameter 'text'")
        with running.queue("work-poison") as poison:
            assert poison.get_queue_properties().approximate_message_count == 1
        assert running.notes("work") == running.notes("poison") == []


def test_a_binary_trigger_takes_a_message_that_is_no_utf8(running: Running) -> None:
    with running.queue("bytes", is_base64=False) as queue:
        queue.create_queue()
        queue.send_message(base64.b64encode(b"\xff\xfe").decode())
    assert running.wait_for("bytes", 1)[0]["body"] == "fffe"
