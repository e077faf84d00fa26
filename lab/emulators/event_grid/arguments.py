"""The command line's words: options, their help, and the objects that they ask for."""

from __future__ import annotations

import argparse
import os
from datetime import UTC, datetime
from typing import Final

from lab.emulators.event_grid.dead_letters import DeadLetters
from lab.emulators.event_grid.delivery_plan import Disorder
from lab.emulators.event_grid.events import EVENT_PREFIX, EVENT_TYPES, Schema, vault_resource_id
from lab.emulators.event_grid.retries import DEFAULT_MAX_ATTEMPTS, DEFAULT_TTL_MINUTES, RetryPolicy
from lab.emulators.event_grid.subscription import EventSubscription, basic_authorization

PASSWORD_VARIABLE: Final = "EVENT_GRID_PASSWORD"
STORAGE_VARIABLE: Final = "EVENT_GRID_STORAGE"
DEFAULT_ENDPOINT: Final = "http://localhost:7071/api/events/key-vault"
DEFAULT_SPEED: Final = 1000.0
# Azurite on its default ports: what Functions' tools mean by UseDevelopmentStorage=true. Microsoft publishes the key.
_ACCOUNT: Final = "devstoreaccount1"
_KEY: Final = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_DEVELOPMENT_STORAGE: Final = (
    f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_KEY};"
    f"BlobEndpoint=http://127.0.0.1:10000/{_ACCOUNT};"
    f"QueueEndpoint=http://127.0.0.1:10001/{_ACCOUNT};"
    f"TableEndpoint=http://127.0.0.1:10002/{_ACCOUNT};"
)

_DESCRIPTION = """\
An emulator of Azure Event Grid: sends Key Vault events to a webhook, with the headers, schemas, handshakes, retries
and dead letters of the real service, and says after every answer what the real service would do next."""

_EPILOG = f"""\
examples
  A secret is about to expire (the password comes from the environment, so that no process list shows it):
    {PASSWORD_VARIABLE}=… python -m lab.emulators.event_grid send --type SecretNearExpiry --vault acorn-vault \\
        --name mail-password --expires 2027-01-01 --user event-grid
  All ten event types as CloudEvents, in batches of four, shuffled, every fifth delivered twice:
    python -m lab.emulators.event_grid send --type all --schema cloudevents --batch 4 --shuffle --duplicates 0.2 \\
        --user event-grid
  Is the endpoint ready for a subscription, as Azure would ask when one is created?
    python -m lab.emulators.event_grid handshake --to https://desk.example.com/api/events/key-vault --user event-grid
  A file, as one delivery:
    python -m lab.emulators.event_grid deliver --file tests/payloads/event_grid/batch_with_one_bad_event.json \\
        --user event-grid
  What does such an event look like?
    python -m lab.emulators.event_grid show --type CertificateExpired --vault acorn-vault --name web-tls

what the real service does, and so this one
  200 to 204 is a success, and nothing else. 400, 401, 403 and 413 are never retried: the event is dropped, or goes to
  the dead letters when a container is given. Everything else is retried after 10 s, 30 s, 1, 5, 10, 30 min, 1, 3, 6 h
  and then every 12 h, at most 30 times within 24 h. --speed shortens these waits; 1 is real time.

exit status
  0 all events were delivered (or the handshake was accepted), 1 not, 2 the command line is wrong."""


def moment(text: str) -> datetime:
    """A date or time as a person types it; without a zone it is UTC."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date: write 2027-01-01 or 2027-01-01T12:00:00Z") from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def share(text: str) -> float:
    """A share from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 1") from None
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 1")
    return value


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    made = argparse.ArgumentParser(
        prog="python -m lab.emulators.event_grid",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, help_text: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name, help=help_text, description=help_text[0].upper() + help_text[1:] + ".", allow_abbrev=False
        )

    serve = command("serve", "be a topic: take published events by HTTP and deliver them")
    serve.add_argument("--port", type=int, default=0, help="loopback port (default: any free one)")
    _target_options(serve)
    _delivery_options(serve)

    send = command("send", "make Key Vault events and deliver them")
    _event_options(send)
    _target_options(send)
    _delivery_options(send)

    show = command("show", "print the body of such a delivery and send nothing")
    _event_options(show)
    show.add_argument("--schema", choices=list(Schema), type=Schema, default=Schema.EVENT_GRID)

    deliver = command("deliver", "deliver the events of a JSON file as they are, by default in one delivery")
    deliver.add_argument("--file", required=True, metavar="FILE", help="an array of events, or one event; - is stdin")
    _target_options(deliver)
    _delivery_options(deliver)

    handshake = command(
        "handshake", "ask the endpoint whether it accepts a subscription, as Azure does on creating one"
    )
    _target_options(handshake)

    subscribe = command("subscribe", "do the handshake and, once accepted, deliver a file or one event of each type")
    subscribe.add_argument("--vault", default="acorn-vault", help="default: acorn-vault")
    subscribe.add_argument("--file", metavar="FILE", help="events to deliver instead of one of each type")
    subscribe.add_argument("--then-unsubscribe", action="store_true", help="end with the SubscriptionDeletion notice")
    _target_options(subscribe)
    _delivery_options(subscribe)

    unsubscribe = command("unsubscribe", "send the notice that the subscription was deleted")
    _target_options(unsubscribe)
    return made


def _event_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the event")
    types = ", ".join(name.removeprefix(EVENT_PREFIX) for name in EVENT_TYPES)
    group.add_argument("--type", required=True, help=f"one of {types}; or all, for one of each (objects of their own)")
    group.add_argument("--vault", default="acorn-vault", help="the vault's name; default: acorn-vault")
    group.add_argument("--name", help="the secret's, key's or certificate's name; default: example")
    group.add_argument("--version", help="its version; default: derived from vault, name and expiry date")
    group.add_argument("--expires", type=moment, metavar="DATE", help="its expiry date, 2027-01-01; UTC")
    group.add_argument("--not-before", type=moment, metavar="DATE", help="its activation date")
    group.add_argument("--at", type=moment, metavar="TIME", help="when the event happened; default: now")
    group.add_argument("--id", help="the event's id; default: a new one. The same id again is a duplicate")
    group.add_argument(
        "--count", type=int, default=1, metavar="N", help="so many events, for objects NAME-1 to NAME-N; default: 1"
    )
    group.add_argument("--azure-subscription", metavar="ID", help="Azure subscription id in topic or source")
    group.add_argument("--resource-group", metavar="NAME", help="resource group in topic or source")


def _target_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the event subscription")
    group.add_argument(
        "--to", default=DEFAULT_ENDPOINT, metavar="URL", help=f"the webhook; default: {DEFAULT_ENDPOINT}"
    )
    group.add_argument("--user", help="user name of the Authorization header (HTTP Basic)")
    group.add_argument("--password", help=f"its password; better in the variable {PASSWORD_VARIABLE}")
    group.add_argument(
        "--header", action="append", default=[], metavar="NAME=VALUE", help="a further static delivery header"
    )
    group.add_argument("--schema", choices=list(Schema), type=Schema, help="delivery schema; default: eventgrid")
    group.add_argument("--subscription", default="deskbridge-kv", metavar="NAME", help="default: deskbridge-kv")
    group.add_argument(
        "--no-headers-on-handshake",
        action="store_true",
        help="leave the static headers out of the handshake (Microsoft does not say whether they ride on it)",
    )
    group.add_argument("--timeout", type=float, default=30.0, metavar="S", help="seconds to answer; default: 30")
    group.add_argument("--ca-file", metavar="FILE", help="certificate authority of an https endpoint")
    group.add_argument("--json", action="store_true", help="print the result as JSON instead of sentences")


def _delivery_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("delivery")
    group.add_argument("--batch", type=int, metavar="N", help="at most so many events in one delivery (1 to 5000)")
    group.add_argument(
        "--batch-kib", type=int, default=64, metavar="KIB", help="preferred size of a batch; default: 64"
    )
    group.add_argument(
        "--max-attempts", type=int, default=DEFAULT_MAX_ATTEMPTS, metavar="N", help="1 to 30; default: 30"
    )
    group.add_argument(
        "--ttl", type=int, default=DEFAULT_TTL_MINUTES, metavar="MIN", help="time to live, 1 to 1440 minutes"
    )
    group.add_argument(
        "--speed", type=float, default=DEFAULT_SPEED, metavar="X", help="waits are so many times shorter; default: 1000"
    )
    group.add_argument("--workers", type=int, default=1, metavar="N", help="deliveries at the same time; default: 1")
    group.add_argument("--queue", metavar="NAME", help="deliver to a storage queue instead of the webhook")
    group.add_argument("--dead-letters", metavar="CONTAINER", help="blob container for what fails for good; must exist")
    group.add_argument(
        "--storage",
        metavar="CONNECTION_STRING",
        help=f"for --queue and --dead-letters; better in {STORAGE_VARIABLE}; default: Azurite on its usual ports",
    )
    disorder = parser.add_argument_group("disorder, repeatable by its seed")
    disorder.add_argument(
        "--duplicates", type=share, default=0.0, metavar="P", help="share of events delivered twice, 0 to 1"
    )
    disorder.add_argument("--shuffle", action="store_true", help="deliver in random order")
    disorder.add_argument(
        "--delay", type=float, default=0.0, metavar="S", help="hold deliveries back up to so many seconds (see --speed)"
    )
    disorder.add_argument("--seed", type=int, default=0, help="default: 0")


def storage_connection_string(arguments: argparse.Namespace) -> str:
    """From the option, else from the environment, else Azurite on its usual ports."""
    given = arguments.storage or os.environ.get(STORAGE_VARIABLE) or "UseDevelopmentStorage=true"
    return _DEVELOPMENT_STORAGE if given.strip().rstrip(";").lower() == "usedevelopmentstorage=true" else given


def static_headers(arguments: argparse.Namespace) -> dict[str, str]:
    """The delivery headers: Basic authorization when a user is named, and each --header."""
    headers: dict[str, str] = {}
    if arguments.user is not None:
        password = arguments.password if arguments.password is not None else os.environ.get(PASSWORD_VARIABLE)
        if password is None:
            raise ValueError(f"--user needs a password: set {PASSWORD_VARIABLE} (or give --password)")
        headers["Authorization"] = basic_authorization(arguments.user, password)
    elif arguments.password is not None:
        raise ValueError("--password needs --user")
    for pair in arguments.header:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise ValueError("--header needs NAME=VALUE")
        headers[name] = value
    return headers


def subscription_of(
    arguments: argparse.Namespace,
    *,
    schema: Schema,
    max_events: int,
    endpoint: str | None = None,
    dead_letters: DeadLetters | None = None,
) -> EventSubscription:
    """The event subscription that the options describe."""
    return EventSubscription(
        endpoint=endpoint or arguments.to,
        name=arguments.subscription,
        schema=schema,
        headers=static_headers(arguments),
        headers_on_handshake=not arguments.no_headers_on_handshake,
        max_events_per_batch=max_events,
        preferred_batch_kib=getattr(arguments, "batch_kib", 64),
        retry=RetryPolicy(
            getattr(arguments, "max_attempts", DEFAULT_MAX_ATTEMPTS), getattr(arguments, "ttl", DEFAULT_TTL_MINUTES)
        ),
        dead_letters=dead_letters,
        response_timeout_seconds=arguments.timeout,
        ca_file=arguments.ca_file,
        topic=vault_resource_id(getattr(arguments, "vault", "acorn-vault")),
    )


def disorder_of(arguments: argparse.Namespace) -> Disorder:
    return Disorder(
        seed=arguments.seed,
        duplicates=arguments.duplicates,
        shuffle=arguments.shuffle,
        max_delay_seconds=arguments.delay,
    )
