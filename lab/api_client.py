"""One client of `lab.api_load` as its writes see it: whom it calls, what all share, and what it remembers."""

import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from lab.api_accepted import Accepted
from lab.api_operations import Known
from lab.desk import Desk
from lab.emulators.authrocket import AuthRocketLab
from lab.emulators.event_grid import DeadLetterBlobs

# No credential keeps it for others. It is the webhook's of AuthRocket.
FREE_SECRET = "authrocket-webhook"
# Where `Known` has the entry of the outbox that can always be tried again.
FAILED_ENTRY = "failed entries of the outbox"


@dataclass(frozen=True)
class Reply:
    """An answer: its JSON, or None for another type."""

    status: int
    json: Any
    etag: str

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


class Caller(Protocol):
    """Who calls: see `lab.api_load`."""

    def call(
        self,
        operation: str,
        address: str | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        query: str = "",
    ) -> Reply: ...

    def fault(self, sentence: str) -> None: ...


@dataclass(frozen=True)
class Stage:
    """What all clients share."""

    desk: Desk
    known: Known
    accepted: Accepted
    blobs: DeadLetterBlobs
    counted: Mapping[str, str]
    ticket: str

    @property
    def authrocket(self) -> AuthRocketLab:
        assert self.desk.authrocket is not None
        return self.desk.authrocket


class Client:
    """Every name that it makes is its own."""

    def __init__(self, number: int, caller: Caller, stage: Stage) -> None:
        self._number = number
        self._caller = caller
        self._stage = stage
        self._accepted = stage.accepted
        self._known = stage.known
        self._random = random.Random(number)
        self._numbers = itertools.count()
        self._user = ""
        self._tokens: dict[str, str] = {}

    def name(self, what: str) -> str:
        """A new one."""
        return f"{what}-{self._number}-{next(self._numbers)}"

    # What is remembered

    def _remember_note(self, ticket: str, text: str) -> None:
        with self._accepted.lock:
            self._accepted.notes[ticket].add(text)

    def _remember_titles(self, reply: Reply | None, titles: Mapping[str, str]) -> None:
        with self._accepted.lock:
            for name, title in titles.items():
                if reply is not None and reply.ok:
                    self._accepted.titles[name].add(title)
                else:
                    self._accepted.refused.add(title)

    def _count(self, address: str) -> None:
        with self._accepted.lock:
            self._accepted.edits[address] += 1
