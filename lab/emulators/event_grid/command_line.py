"""The command line: what each command does, and how it tells a person what happened."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab.emulators.event_grid import arguments as words
from lab.emulators.event_grid.dead_letters import DeadLetterBlobs
from lab.emulators.event_grid.destinations import Answer, StorageQueue
from lab.emulators.event_grid.events import (
    EXAMPLE_AZURE_SUBSCRIPTION_ID,
    EXAMPLE_RESOURCE_GROUP,
    VAULT_ACCESS_POLICY_CHANGED,
    EventDefaults,
    KeyVaultEvent,
    Schema,
    event_type,
    make_event,
    one_of_each_type,
    vault_resource_id,
)
from lab.emulators.event_grid.handshake import HandshakeResult
from lab.emulators.event_grid.report import DeliveryNotice, Outcome, Report
from lab.emulators.event_grid.retries import Delivered, GiveUp, Retry, in_words
from lab.emulators.event_grid.simulator import EventGrid
from lab.emulators.event_grid.topic import KEY, Topic
from lab.emulators.ports import choose

_SAID_SHOWN = 200


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    parser = words.parser()
    given = list(sys.argv[1:] if argv is None else argv)
    # Only options: be a topic, as every emulator serves when it is given a port.
    if given and given[0].startswith("--") and given[0] != "--help":
        given.insert(0, "serve")
    arguments = parser.parse_args(given)
    try:
        return _COMMANDS[arguments.command](arguments)
    except (ValueError, OSError) as error:
        # Every refusal of an option is a ValueError whose sentence says what would be right.
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def _show(arguments: argparse.Namespace) -> int:
    made = [event.to_json(arguments.schema) for event in _events(arguments)]
    single_cloud_event = arguments.schema is Schema.CLOUD_EVENTS and len(made) == 1
    print(json.dumps(made[0] if single_cloud_event else made, indent=2))
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    port = choose(arguments.port, "the Event Grid emulator") if arguments.port else 0
    with _grid(arguments, events=(), max_events=arguments.batch or 1) as grid, Topic(grid, port) as topic:
        print(topic.url)
        print(f"# key: {KEY} (header aeg-sas-key); delivers to {arguments.to}", flush=True)
        threading.Event().wait()
    return 0


def _send(arguments: argparse.Namespace) -> int:
    return _deliver_events(arguments, _events(arguments), default_batch=1)


def _deliver(arguments: argparse.Namespace) -> int:
    events = _read_events(arguments.file)
    return _deliver_events(arguments, events, default_batch=max(1, len(events)))


def _handshake(arguments: argparse.Namespace) -> int:
    with _grid(arguments, events=(), max_events=1) as grid:
        return _tell_handshake(arguments, grid.subscribe())


def _subscribe(arguments: argparse.Namespace) -> int:
    events: list[Any] = _read_events(arguments.file) if arguments.file else list(one_of_each_type(arguments.vault))
    with _grid(arguments, events=events, max_events=arguments.batch or 1) as grid:
        status = _tell_handshake(arguments, grid.subscribe())
        if status == 0:
            status = _tell_report(arguments, grid.deliver(events))
            if arguments.then_unsubscribe:
                status = max(status, _tell_deletion(arguments, grid.unsubscribe()))
        return status


def _unsubscribe(arguments: argparse.Namespace) -> int:
    with _grid(arguments, events=(), max_events=1) as grid:
        return _tell_deletion(arguments, grid.unsubscribe())


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "serve": _serve,
    "show": _show,
    "send": _send,
    "deliver": _deliver,
    "handshake": _handshake,
    "subscribe": _subscribe,
    "unsubscribe": _unsubscribe,
}


def _events(arguments: argparse.Namespace) -> list[KeyVaultEvent]:
    if arguments.count < 1:
        raise ValueError("--count must be at least 1")
    if arguments.id and (arguments.count > 1 or arguments.type.lower() == "all"):
        raise ValueError("--id is for a single event")
    defaults = EventDefaults(now=arguments.at or datetime.now(UTC))
    if arguments.type.lower() == "all":
        made = [event for _ in range(arguments.count) for event in one_of_each_type(arguments.vault, defaults=defaults)]
    else:
        full_type = event_type(arguments.type)
        base = arguments.name or (arguments.vault if full_type == VAULT_ACCESS_POLICY_CHANGED else "example")
        made = [
            make_event(
                full_type,
                vault=arguments.vault,
                name=base if arguments.count == 1 else f"{base}-{number}",
                version=arguments.version,
                expires_at=arguments.expires,
                not_before=arguments.not_before,
                event_id=arguments.id,
                defaults=defaults,
            )
            for number in range(1, arguments.count + 1)
        ]
    source = vault_resource_id(
        arguments.vault,
        azure_subscription_id=arguments.azure_subscription or EXAMPLE_AZURE_SUBSCRIPTION_ID,
        resource_group=arguments.resource_group or EXAMPLE_RESOURCE_GROUP,
    )
    return [dataclasses.replace(event, source=source) for event in made]


def _read_events(file: str) -> list[Any]:
    text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{file} is not JSON: {error}") from None
    return content if isinstance(content, list) else [content]


def _schema(arguments: argparse.Namespace, events: Sequence[Any]) -> Schema:
    """The schema that was asked for, else the one that the events of a file are written in."""
    if arguments.schema is not None:
        return Schema(arguments.schema)
    read = [event for event in events if isinstance(event, dict)]
    return Schema.CLOUD_EVENTS if any("specversion" in event for event in read) else Schema.EVENT_GRID


@contextlib.contextmanager
def _grid(arguments: argparse.Namespace, *, events: Sequence[Any], max_events: int) -> Iterator[EventGrid]:
    schema = _schema(arguments, events)
    if "speed" not in arguments:
        with EventGrid(words.subscription_of(arguments, schema=schema, max_events=max_events)) as grid:
            yield grid
        return
    storage = words.storage_connection_string(arguments)
    with contextlib.ExitStack() as opened:
        dead_letters = queue = None
        if arguments.dead_letters:
            dead_letters = opened.enter_context(contextlib.closing(DeadLetterBlobs(storage, arguments.dead_letters)))
        if arguments.queue:
            queue = opened.enter_context(contextlib.closing(StorageQueue(storage, arguments.queue)))
        subscription = words.subscription_of(
            arguments,
            schema=schema,
            max_events=max_events,
            endpoint=queue.url if queue else None,
            dead_letters=dead_letters,
        )
        grid = EventGrid(
            subscription,
            speed=arguments.speed,
            workers=arguments.workers,
            disorder=words.disorder_of(arguments),
            destination=queue,
            on_delivery=None if arguments.json else _Teller(arguments.speed),
        )
        yield opened.enter_context(grid)


def _deliver_events(arguments: argparse.Namespace, events: Sequence[Any], *, default_batch: int) -> int:
    with _grid(arguments, events=events, max_events=arguments.batch or default_batch) as grid:
        return _tell_report(arguments, grid.deliver(events))


class _Teller:
    """Says after each answer what the real Event Grid would do next."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._lock = threading.Lock()

    def __call__(self, notice: DeliveryNotice) -> None:
        attempt = notice.attempt
        first = notice.events[0].title
        others = f" and {len(notice.events) - 1} more" if len(notice.events) > 1 else ""
        duplicate = " (a duplicate)" if attempt.duplicate and len(notice.events) == 1 else ""
        answered = f"{attempt.status}" if attempt.status is not None else f"no answer ({attempt.outcome})"
        line = f"{first}{others}{duplicate}, attempt {attempt.number}: {answered} after {attempt.seconds:.2f} s."
        line = f"{line} {self._next(notice)}"
        if attempt.status is not None and not isinstance(notice.next_step, Delivered) and attempt.said.strip():
            line = f"{line}\n    the endpoint said: {' '.join(attempt.said.split())[:_SAID_SHOWN]}"
        with self._lock:
            print(line, flush=True)

    def _next(self, notice: DeliveryNotice) -> str:
        match notice.next_step:
            case Delivered():
                return "Delivered."
            case Retry(after_seconds):
                here = f" (here after {after_seconds / self._speed:.3g} s)" if self._speed != 1 else ""
                return f"Event Grid tries again after {in_words(after_seconds)}{here}."
            case GiveUp(reason):
                fate = (
                    "Event Grid writes it to the dead letters five minutes later"
                    if notice.dead_lettering
                    else "Event Grid drops it, for no dead-letter container is set: it is lost"
                )
                return f"Never tried again ({reason}). {fate}."


def _tell_handshake(arguments: argparse.Namespace, result: HandshakeResult) -> int:
    if arguments.json:
        status = result.answer.status if result.answer else None
        print(json.dumps({"state": result.state.value, "explanation": result.explanation, "status": status}))
    else:
        word = "accepted" if result.accepted else "not accepted"
        print(f"Handshake {word}: {result.explanation}. Azure would show the subscription as {result.state.value}.")
        if not result.accepted and result.answer is not None and result.answer.body.strip():
            print(f"    the endpoint said: {' '.join(result.answer.body.split())[:_SAID_SHOWN]}")
    return 0 if result.accepted else 1


def _tell_deletion(arguments: argparse.Namespace, answer: Answer) -> int:
    taken = answer.status is not None and 200 <= answer.status <= 204
    if arguments.json:
        print(json.dumps({"status": answer.status}))
    else:
        answered = answer.status if answer.status is not None else f"no answer ({answer.result})"
        print(f"SubscriptionDeletion notice: {answered}. Event Grid does not repeat it, whatever the answer.")
    return 0 if taken else 1


def _tell_report(arguments: argparse.Namespace, report: Report) -> int:
    if arguments.json:
        print(json.dumps(report.to_json(), indent=2))
    else:
        print(report.summary())
        for event in report.events:
            if event.outcome is not Outcome.DELIVERED:
                where = f" in {event.dead_letter_blob}" if event.dead_letter_blob else ""
                print(f"  {event.outcome.value}: {event.title} ({event.reason}){where}")
    return 0 if report.all_delivered else 1
