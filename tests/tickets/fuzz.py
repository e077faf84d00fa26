"""Hostile deliveries against the webhook: `python -m tests.tickets.fuzz --tries 10000 --seed 1`.

Whatever comes, the answer is one of 200, 400, 401, 405 and 413, small, JSON, without a trace of a stack; and what was
taken in leaves tables that Azure would accept. 503 would be storage, which does not fail here.
"""

import argparse
import copy
import json
import logging
import random
import sys
import time
from typing import Any

from tests.tickets.desk import AUTHORIZATION, PAYLOADS, Desk, configuration, pair

ALLOWED = {200, 400, 401, 405, 413}
BODY_LIMIT = 100_000
_METHODS = (*["POST"] * 30, "OPTIONS", "OPTIONS", "GET", "PUT", "post", "", "P\u00d6ST", "TRACE")
_ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    2**63,
    -(2**63),
    10**400,
    1e308,
    float("nan"),
    float("inf"),
    "",
    " ",
    "\x00",
    "\ud800",
    "\U0001f600" * 300,
    "a" * 20_000,
    "../../etc/passwd",
    "{object_name.__class__}",
    "%s%s%n",
    "'; DROP TABLE tickets; --",
    "<script>",
    "/subscriptions/x",
    "https://evil.example/",
    "9999-12-31T23:59:59.9999999+00:00",
    "0001-01-01T00:00:00-14:00",
    "2026-13-45",
    "1798761600",
    "-62135596800",
    "1e9",
    "\u0661\u0662",
    [],
    {},
    [[[]]],
    {"a": {"b": {}}},
)


class Fuzzer:
    """Makes requests from real payloads by breaking them; the same seed makes the same ones."""

    def __init__(self, seed: int) -> None:
        # Not for secrets: a seed must give the same requests again.
        self._chance = random.Random(seed)
        self._seeds = [path.read_bytes() for path in sorted(PAYLOADS.glob("*.json"))]
        self._parsed = [json.loads(body) for body in self._seeds]

    def request(self) -> tuple[str, dict[str, str], bytes]:
        return self._chance.choice(_METHODS), self._headers(), self._body()

    def _headers(self) -> dict[str, str]:
        chance = self._chance
        headers: dict[str, str] = {}
        if chance.random() < 0.9:
            good = chance.random() < 0.8
            headers[chance.choice(["Authorization", "authorization", "AUTHORIZATION"])] = (
                AUTHORIZATION
                if good
                else chance.choice([pair("a", "b"), "Basic", "Basic =", "\x00", "Bearer x", "Ä" * 50])
            )
        if chance.random() < 0.8:
            headers["aeg-event-type"] = chance.choice(
                [
                    "Notification",
                    "SubscriptionValidation",
                    "SubscriptionDeletion",
                    "notification ",
                    "",
                    "x" * 5000,
                    "\ud800",
                ]
            )
        if chance.random() < 0.5:
            headers["aeg-subscription-name"] = chance.choice(["DESKBRIDGE-KV", "other", "", "\r\nX: y", "\u0130" * 9])
        if chance.random() < 0.3:
            headers["WebHook-Request-Origin"] = chance.choice(["eventgrid.azure.net", "evil.example", "*", "a\r\nb: c"])
            headers["WebHook-Request-Callback"] = "http://169.254.169.254/"
        headers["content-type"] = chance.choice(["application/json", "text/plain", "", "application/cloudevents+json"])
        return headers

    def _body(self) -> bytes:
        chance = self._chance
        way = chance.random()
        if way < 0.1:
            return chance.randbytes(chance.randrange(200))
        if way < 0.3:
            return self._broken_bytes(chance.choice(self._seeds))
        if way < 0.33:
            return (b"[" * chance.randrange(1, 60_000)) + b"]"
        if way < 0.36:
            depth = chance.randrange(100, 1_100)
            return b'[{"data":' + b"[" * depth + b"]" * depth + b"}]"
        if way < 0.38:
            return b" " * chance.choice([BODY_LIMIT, BODY_LIMIT + 1])
        content = json.loads(json.dumps(chance.choice(self._parsed)))
        for _ in range(chance.randrange(1, 6)):
            content = self._broken(content)
        return json.dumps(content).encode()

    def _broken_bytes(self, body: bytes) -> bytes:
        chance = self._chance
        broken = bytearray(body)
        for _ in range(chance.randrange(1, 8)):
            place = chance.randrange(len(broken))
            match chance.randrange(3):
                case 0:
                    broken[place] = chance.randrange(256)
                case 1:
                    del broken[place : place + chance.randrange(1, 30)]
                case _:
                    broken[place:place] = chance.choice(
                        [b'"', b"{", b"\xff", b"null", b"\\u0000", b"\\ud800", b"9" * 99]
                    )
            if not broken:
                return b""
        return bytes(broken)

    def _broken(self, content: Any) -> Any:
        """The same with one thing changed somewhere inside."""
        chance = self._chance
        if isinstance(content, dict) and content and chance.random() < 0.9:
            name = chance.choice(list(content))
            match chance.randrange(6):
                case 0:
                    del content[name]
                case 1:
                    content[name.upper() + chance.choice(["", " ", "\u0130"])] = content.pop(name)
                case 2:
                    content[name] = copy.deepcopy(chance.choice(_ODD))
                case _:
                    content[name] = self._broken(content[name])
            return content
        if isinstance(content, list) and content and chance.random() < 0.9:
            place = chance.randrange(len(content))
            if chance.random() < 0.2:
                content.insert(place, copy.deepcopy(chance.choice([*_ODD, *content])))
            else:
                content[place] = self._broken(content[place])
            return content
        return copy.deepcopy(chance.choice(_ODD))


def run(tries: int, seed: int) -> dict[int, int]:
    """Send that many requests; answers with how often each status came. Raises AssertionError with what went wrong."""
    fuzzer = Fuzzer(seed)
    counts: dict[int, int] = {}
    desk = _desk()
    for number in range(tries):
        if number % 500 == 0:
            desk = _desk()
        method, headers, body = fuzzer.request()
        answer = desk.receive(method, headers, body)
        counts[answer.status] = counts.get(answer.status, 0) + 1
        said = json.dumps([answer.body, dict(answer.headers)])
        told = f"try {number} of seed {seed}: {method!r} {headers!r} {body[:2000]!r} is answered {answer.status} {said}"
        if answer.status not in ALLOWED or "Traceback" in said or ".py" in said or len(said) > 5_000:
            raise AssertionError(told)
        if any("\r" in value or "\n" in value for value in answer.headers.values()):
            raise AssertionError(f"a header was split: {told}")
    return counts


def _desk() -> Desk:
    return Desk(configured=configuration("acorn-vault", "other-vault"), body_limit=BODY_LIMIT)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.tickets.fuzz", description=__doc__)
    parser.add_argument("--tries", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    began = time.monotonic()
    counts = run(chosen.tries, chosen.seed)
    listed = ", ".join(f"{status}: {count}" for status, count in sorted(counts.items()))
    sys.stdout.write(f"{chosen.tries} hostile requests in {time.monotonic() - began:.1f} s: {listed}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
