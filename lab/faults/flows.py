"""What the product is asked to do in a simulation, and which faults each of it must have met."""

from collections import Counter
from collections.abc import Iterator, Mapping
from enum import StrEnum

from lab.faults.disturbances import OF_PAGES, POOR, Fault

# Counted by the invocation: nothing happens at one moment.
SKEWED = "clock skew"


class Flow(StrEnum):
    """What was being done when something went wrong."""

    DELIVERY = "event delivery"
    QUEUE = "event queue"
    DEAD_LETTERS = "dead letters"
    QUARANTINE = "quarantine"
    SWEEP = "vault sweep"
    OLD_ROWS = "old ticket rows"
    TICKETS = "work on tickets"
    ASSETS = "asset import"
    USERS = "user import"
    USER_EVENT = "user event"
    HOUSEKEEPING = "housekeeping"
    RECORDS = "edits of records"
    STARTING = "previews and confirmations"
    SETTINGS = "changes of settings"
    FOLLOWING = "what follows in the index"


_EC2 = (
    "RequestLimitExceeded",
    "InternalError",
    "Unavailable",
    "ExpiredToken",
    "RequestTimeTooSkewed",
    "UnauthorizedOperation",
    "AuthFailure",
    "refused",
    "reset",
    "timed out",
    "unparsable",
    "slow",
    "empty page",
    "instance listed twice",
    POOR,
)
_AUTHROCKET = (
    "429",
    "429 Retry-After",
    "503",
    "503 Retry-After",
    "403",
    "refused",
    "timed out",
    "reset",
    "truncated",
    "malformed",
    "html",
    "slow",
)
_LISTS = ("repeated page", "empty page")
_VAULT = ("unreachable", "forbidden", "slow")
_BLOBS = ("refused", "reset", "timed out", "503", "429", "slow", "answer lost", "truncated")
_QUEUE = ("outputs lost", "half the outputs")
_MESSAGES = ("message late", "message doubled", "not removed")
# They only read a row here and there, and never a page.
_WITHOUT_PAGES = frozenset({Flow.RECORDS})
_TIMERS = (Flow.ASSETS, Flow.USERS, Flow.HOUSEKEEPING, Flow.SWEEP, Flow.OLD_ROWS, Flow.DEAD_LETTERS, Flow.FOLLOWING)

# What a flow meets beside storage, the death of its worker, and clocks that differ, which all do.
_OF_ITS_OWN: Mapping[Flow, tuple[tuple[str, tuple[str, ...]], ...]] = {
    Flow.DELIVERY: (("vault", _VAULT),),
    Flow.QUEUE: (("queue", _MESSAGES),),
    Flow.DEAD_LETTERS: (("blob", _BLOBS),),
    Flow.SWEEP: (("sweep", (*_VAULT, "throttled")), ("queue", (*_QUEUE, *_MESSAGES))),
    Flow.ASSETS: (("ec2", _EC2), ("vault", _VAULT), ("queue", (*_QUEUE, *_MESSAGES))),
    Flow.USERS: (("authrocket", (*_AUTHROCKET, *_LISTS, POOR)), ("vault", _VAULT), ("queue", (*_QUEUE, *_MESSAGES))),
    Flow.USER_EVENT: (("authrocket", (*_AUTHROCKET, *_LISTS)), ("vault", _VAULT)),
    Flow.STARTING: (("queue", _QUEUE),),
    Flow.HOUSEKEEPING: (("queue", _QUEUE),),
    Flow.FOLLOWING: (("queue", (*_QUEUE, *_MESSAGES)),),
}


def expected() -> Iterator[tuple[Flow, str]]:
    """Every flow with every kind of fault that can come in it."""
    for flow in Flow:
        for fault in Fault:
            if fault not in OF_PAGES or flow not in _WITHOUT_PAGES:
                yield flow, f"storage {fault}"
        yield flow, SKEWED
        for what, kinds in _OF_ITS_OWN.get(flow, ()):
            for kind in kinds:
                yield flow, f"{what} {kind}"
    for flow in _TIMERS:
        yield flow, "timer missed"


def never_met(by_flow: Counter[tuple[str, str]]) -> list[str]:
    """What never came in a flow where it can come."""
    return [f"{flow}: {fault}" for flow, fault in expected() if not by_flow[flow, fault]]
