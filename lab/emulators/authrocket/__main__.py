"""`python -m lab.emulators.authrocket serve | ping | event`: the emulator alone, or one webhook to any URL."""

import argparse
import sys
import threading
import time
from pathlib import Path

import requests

from lab.emulators.authrocket import webhooks
from lab.emulators.authrocket.server import AuthRocketLab
from lab.emulators.ports import choose


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.emulators.authrocket", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="run the emulator until Ctrl-C")
    serve.add_argument("--port", type=int, default=0)
    serve.add_argument("--certificate", type=Path, help="PEM file; with --private-key the emulator speaks HTTPS")
    serve.add_argument("--private-key", type=Path)
    serve.add_argument("--users", type=int, default=250)
    for name, help_text in (("ping", "send the test event"), ("event", "record an event in an emulator and send it")):
        sender = commands.add_parser(name, help=help_text)
        sender.add_argument("url", help="the receiver; credentials may stand in it: http://user:password@host/…")
        if name == "event":
            sender.add_argument(
                "--lab", required=True, help="address of a running emulator, such as http://localhost:8090"
            )
            sender.add_argument("--realm", required=True)
            sender.add_argument("--type", default="user.updated")
            sender.add_argument("--user", required=True, help="the user's id (usr_…)")
            sender.add_argument("--times", type=int, default=1, help="deliver it this often, as retries do")
    words = list(sys.argv[1:] if arguments is None else arguments)
    # Only options: serve, as every emulator does when it is given a port.
    if not words or (words[0].startswith("--") and words[0] != "--help"):
        words.insert(0, "serve")
    given = parser.parse_args(words)
    return _serve(given) if given.command == "serve" else _send(given)


def _serve(given: argparse.Namespace) -> int:
    port = choose(given.port, "the AuthRocket emulator") if given.port else 0
    with AuthRocketLab(
        port, certificate=given.certificate, private_key=given.private_key, user_count=given.users
    ) as lab:
        print(f"endpoint {lab.url}\napi key  {lab.api_key}\nrealm    {lab.realm_id}", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print()
    return 0


def _send(given: argparse.Namespace) -> int:
    if given.command == "ping":
        event, times = webhooks.ping(time.time()), 1
    else:
        made = requests.post(
            f"{given.lab}/_lab/realms/{given.realm}/events",
            json={"event_type": given.type, "user_id": given.user},
            timeout=30,
        )
        made.raise_for_status()
        event, times = made.json(), given.times
    delivered = True
    for _ in range(times):
        delivery = webhooks.send(given.url, event)
        delivered = delivered and delivery.delivered
        print(f"{event['event_type']} {event['id']} -> {delivery.status} {delivery.body[:200]}".rstrip())
    return 0 if delivered else 1


if __name__ == "__main__":
    sys.exit(main())
