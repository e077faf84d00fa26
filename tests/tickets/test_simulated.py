"""Event Grid as the lab simulates it, over HTTP, against storage that fails: nothing is lost and nothing doubled."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lab.emulators.event_grid.dead_letters import DeadLettersInMemory
from lab.emulators.event_grid.delivery_plan import Disorder
from lab.emulators.event_grid.events import KeyVaultEvent, Schema, make_event, vault_resource_id
from lab.emulators.event_grid.simulator import EventGrid
from lab.emulators.event_grid.subscription import EventSubscription
from shared.errors import TryLaterError
from shared.reasons import Reason
from tests.fakes.tables import MemoryTables, WatchedTables
from tests.outbox.settling import settled
from tests.tickets.desk import AFTERWARDS, AUTHORIZATION, Desk, configuration

BEGIN = datetime(2026, 6, 1, tzinfo=UTC)
VAULTS = ("acorn-vault", "elm-vault", "oak-vault")


@contextmanager
def served(desk: Desk) -> Iterator[str]:
    """The webhook at an address of its own."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Otherwise the client's delayed acknowledgement costs 40 ms an answer.
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = desk.receive(self.command, dict(self.headers), body)
            content = b"" if answer.body is None else b'{"validationResponse":null}'
            if answer.body is not None and "validationResponse" in answer.body:
                content = content.replace(b"null", f'"{answer.body["validationResponse"]}"'.encode())
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_OPTIONS = do_POST  # noqa: N815 - the name that http.server looks for

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/api/events/key-vault"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def history(count: int, chance: random.Random) -> list[KeyVaultEvent]:
    """Lives of objects: a version, its near expiry, its expiry or its successor, and so on."""
    events: list[KeyVaultEvent] = []
    number = 0
    while len(events) < count:
        number += 1
        vault, name = chance.choice(VAULTS), f"object-{number}"
        kind = chance.choice(("Secret", "Key", "Certificate"))
        at = BEGIN + timedelta(minutes=chance.randrange(10_000))
        for version in range(chance.randrange(1, 4)):
            expires_at = at.replace(microsecond=0) + timedelta(days=90)
            moments = {"NewVersionCreated": at, "NearExpiry": expires_at - timedelta(days=30), "Expired": expires_at}
            for change, moment in list(moments.items())[: chance.randrange(1, 4)]:
                events.append(
                    make_event(
                        f"{kind}{change}",
                        vault=vault,
                        name=name,
                        version=f"{number:016x}{version:016x}",
                        occurred_at=moment,
                        expires_at=expires_at,
                    )
                )
            at = expires_at + timedelta(minutes=5)
    return events[:count]


def conditions(events: list[KeyVaultEvent]) -> set[tuple[str, str, str, str, str]]:
    """What there must be a ticket for, worked out from the events alone."""
    return {
        (
            event.vault,
            event.object_type.lower(),
            event.object_name,
            str(event.object_version),
            "new_version" if event.event_type.endswith("NewVersionCreated") else "expiry",
        )
        for event in events
    }


def test_a_thousand_events_with_duplicates_shuffled_and_failing_storage_end_in_exactly_their_tickets() -> None:
    chance = random.Random(3)
    lock = threading.Lock()

    def fail(_table: str, _verb: str, when: str) -> None:
        with lock:
            failing = chance.random() < 0.05  # before and after: a tenth of the calls
        if failing:
            raise TryLaterError(Reason.STORAGE_UNAVAILABLE, f"The storage fails {when} the call.")

    events = history(1_000, random.Random(7))
    tables, dead = MemoryTables(), DeadLettersInMemory()
    desk = Desk(WatchedTables(tables, fail), configuration(*VAULTS), now=AFTERWARDS)
    with served(desk) as address:
        subscription = EventSubscription(
            address,
            headers={"Authorization": AUTHORIZATION},
            schema=Schema.CLOUD_EVENTS,
            max_events_per_batch=5,
            dead_letters=dead,
            topic=vault_resource_id(VAULTS[0]),
        )
        disorder = Disorder(seed=1, duplicates=0.2, shuffle=True)
        with EventGrid(subscription, speed=10_000, workers=4, disorder=disorder) as grid:
            assert grid.subscribe().accepted
            report = grid.deliver(events)
    assert report.all_delivered, report.summary()
    assert dead.events == []
    left = Desk(tables, configuration(*VAULTS))
    assert left.rows("item:") == []
    found = [
        tuple(str(row[name]) for name in ("scope", "object_type", "object_name", "version", "kind"))
        for row in left.tickets()
    ]
    assert len(found) == len(set(found))
    assert set(found) == conditions(events)
    clean = Desk(MemoryTables(), configuration(*VAULTS), now=AFTERWARDS)
    for event in sorted(events, key=lambda event: event.occurred_at):
        assert clean.post(event.to_json(Schema.EVENT_GRID)).status == 200
    assert isinstance(clean.tables, MemoryTables)
    assert settled(Desk(tables, now=AFTERWARDS).outbox, tables) == settled(clean.outbox, clean.tables)
