"""Delivery without a public endpoint, in the whole lab: Event Grid writes to the queue, the host's trigger reads it."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.storage.queue import QueueServiceClient

from lab.desk import Choices, Desk
from lab.emulators.event_grid.destinations import StorageQueue
from lab.examples import settings_texts
from shared.storage.names import EVENTS_POISON_QUEUE, EVENTS_QUEUE, IMPORT_PARTS_POISON_QUEUE, SWEEPS_POISON_QUEUE
from tests.tickets.desk import PAYLOADS

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    said: list[str] = []
    with Desk(Choices(folder=tmp_path_factory.mktemp("lab"), any_ports=True), said.append) as desk:
        text = "\n---\n".join(text for _, text in settings_texts(desk))
        desk.call("POST", "/api/v1/settings", text.encode(), "application/yaml")
        yield desk


# Two that hold what failed, where a message is taken at once and never comes back.
QUEUES = (EVENTS_QUEUE, SWEEPS_POISON_QUEUE, IMPORT_PARTS_POISON_QUEUE)


def deliver(desk: Desk, *events: Any) -> None:
    destination = StorageQueue(desk.connection_string, EVENTS_QUEUE)
    try:
        for event in events:
            assert destination.deliver([event], earlier_attempts=0).status == 201
    finally:
        destination.close()


def eventually(what: Callable[[], Any], seconds: float = 60) -> Any:
    until = time.monotonic() + seconds
    while not (found := what()) and time.monotonic() < until:
        time.sleep(0.3)
    return found


def waiting(desk: Desk) -> int:
    with QueueServiceClient.from_connection_string(desk.connection_string) as service:
        queues = [service.get_queue_client(name) for name in (EVENTS_QUEUE, EVENTS_POISON_QUEUE)]
        return sum(queue.get_queue_properties().approximate_message_count or 0 for queue in queues)


def test_an_event_by_queue_becomes_a_ticket_and_what_is_no_event_is_quarantined(desk: Desk) -> None:
    event = json.loads(base64.b64decode((PAYLOADS / "storage_queue_message.txt").read_text("ascii")))
    # Of this minute: what comes from the future is quarantined.
    event["eventTime"] = datetime.now(UTC).isoformat()
    deliver(desk, event, event, {"no": "event"})
    tickets = eventually(lambda: desk.call("GET", "/api/v1/tickets?limit=50&scope=acorn-vault")["items"])
    assert eventually(lambda: waiting(desk) == 0)
    assert [(ticket["scope"], ticket["object_name"]) for ticket in tickets] == [("acorn-vault", "mail-password")]
    quarantined = eventually(lambda: desk.call("GET", "/api/v1/quarantine")["items"])
    assert [item["reason"] for item in quarantined] == ["event_type_unknown"]
    assert len(desk.call("GET", "/api/v1/tickets?limit=50&scope=acorn-vault")["items"]) == 1


def test_what_is_no_text_no_json_or_no_base64_ends_where_an_operator_looks(desk: Desk) -> None:
    """Case 08, and others of its kind: the trigger takes raw bytes, so the host refuses none of them."""
    known = {item["id"] for item in desk.call("GET", "/api/v1/quarantine")["items"]}
    strays = [b"\xff\xfe no text", b"no json", b"[" * 30_000, b"", b"x" * 48_000]
    with QueueServiceClient.from_connection_string(desk.connection_string) as service:
        for name in QUEUES:
            queue = service.get_queue_client(name)
            for content in strays:
                queue.send_message(base64.b64encode(content + name[-10:].encode()).decode())
        # The host itself moves this one: nothing of it reaches a function, and the queue's count tells of it.
        service.get_queue_client(EVENTS_QUEUE).send_message('{"id": "08", "plain": "text"}')

        def kept() -> list[dict[str, Any]]:
            items = desk.call("GET", "/api/v1/quarantine?limit=200")["items"]
            return [item for item in items if item["id"] not in known]

        assert eventually(lambda: len(kept()) >= len(QUEUES) * len(strays))
        assert len(kept()) == len(QUEUES) * len(strays)
        assert {item["reason"] for item in kept()} == {"body_not_readable"}
        poison = service.get_queue_client(EVENTS_POISON_QUEUE)
        assert eventually(lambda: (poison.get_queue_properties().approximate_message_count or 0) == 1)
        assert (service.get_queue_client(EVENTS_QUEUE).get_queue_properties().approximate_message_count or 0) == 0
