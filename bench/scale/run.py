"""One flow played from its timer to its end: the real code, its clock, and what came of it."""

import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from unittest.mock import patch

from bench.scale.clouds import IDENTITY_ENDPOINT, Aws, Identity
from bench.scale.doors import Door, opened
from bench.scale.engine import Engine, Tally
from bench.scale.host import Host, Message, Outcome
from bench.scale.parts import Fleet, PartsFlow
from bench.scale.player import Player, again
from bench.scale.storage import CONNECTION, Storage
from bench.scale.vaults import Vaults, VaultsFlow
from shared import bootstrap

_BEGINS = datetime(2026, 11, 30, 2, 0, tzinfo=UTC)
# Messages that the product itself sends, beside its bindings, have numbers from here on.
_SIDEWAYS = 1_000_000_000
# An instance has its own caches and clients, which cost memory here as they do there: so many run in truth.
_REAL_INSTANCES = 2


@dataclass
class Played:
    """What a flow came to on so many instances."""

    instances: int
    outcome: Outcome
    tally: Tally


@dataclass
class Result(Played):
    """The first time it was played. `again` are other numbers of instances, which take its executions as they were."""

    units: int
    done: int
    state: str
    player: Player
    again: list[Played] = field(default_factory=list[Played])

    @property
    def lost(self) -> int:
        return self.units - self.done + len(self.outcome.poisoned)


class _World:
    def __init__(self, fleet: Fleet, changed_percent: float, vaults: int = 0) -> None:
        self.engine = Engine(_BEGINS)
        self.host: Host | None = None
        self.aws = Aws(self.engine, fleet.accounts, fleet.count_of, changed_percent)
        self._sideways = itertools.count(_SIDEWAYS)
        self.storage = Storage(self.engine, self._put)
        self._vaults, self._identity = Vaults(self.engine, vaults), Identity(self.engine)

    def _put(self, queue: str, text: str) -> None:
        # What settings send while they are written was yesterday's.
        if self.engine.on and self.host is not None:
            self.host.put(Message(queue, text, (next(self._sideways),)), self.engine.at)

    def door_of(self, host: str) -> Door:
        if host.endswith(".amazonaws.com"):
            return self.aws.answer
        if host.endswith(".vault.azure.net"):
            return self._vaults.answer
        doors = {
            "acorn.table.example": self.storage.tables,
            "acorn.queue.example": self.storage.queues,
            "identity.example": self._identity.answer,
            "management.azure.com": self._vaults.list,
        }
        return doors[host]

    @contextmanager
    def entered(self) -> Iterator[None]:
        environment = {
            "AzureWebJobsStorage": CONNECTION,
            "IDENTITY_ENDPOINT": IDENTITY_ENDPOINT,
            "IDENTITY_HEADER": "header",
        }
        before = bootstrap.swap_instances({})
        try:
            with patch.dict(os.environ, environment), opened(self.engine, self.door_of):
                yield
        finally:
            bootstrap.swap_instances(before)


def play_parts(
    fleet: Fleet, instances: int, *, sample: int, others: Sequence[int] = (), changed_percent: float = 1, seed: int = 1
) -> Result:
    """A daily import of the fleet."""
    world = _World(fleet, changed_percent)
    with world.entered():
        flow = PartsFlow(world.engine, world.storage, world.aws, fleet)
        flow.settle_settings()
        player = Player(world.engine, flow, sample, _REAL_INSTANCES, seed)
        outcome = _play(world, player, flow.timer, instances)
        (run,) = bootstrap.runs().page("", "", 2, None)[0]
        result = Result(
            instances, outcome, world.engine.tally, fleet.parts, run.counts.get("parts_done", 0), run.state, player
        )
        _play_again(world, result, flow.timer, others)
    return result


def play_vaults(vaults: int, instances: int, *, sample: int, others: Sequence[int] = (), seed: int = 1) -> Result:
    """A daily sweep of the vaults."""
    world = _World(Fleet(0, 0), 0, vaults)
    with world.entered():
        flow = VaultsFlow(world.engine, world.storage, vaults)
        flow.settle_settings()
        player = Player(world.engine, flow, sample, _REAL_INSTANCES, seed)
        outcome = _play(world, player, flow.timer, instances)
        due = flow.left()
        result = Result(
            instances, outcome, world.engine.tally, vaults, vaults - due, "swept" if not due else "not swept", player
        )
        _play_again(world, result, flow.timer, others)
    return result


def _play(world: _World, player: Player, timer: str, instances: int) -> Outcome:
    world.host = Host(world.engine, instances, player.play)
    player.left = world.host.left
    world.host.put(Message(timer, "", (0,)), 0.0)
    return world.host.run()


def _play_again(world: _World, result: Result, timer: str, others: Sequence[int]) -> None:
    for instances in others:
        world.engine.tally = Tally()
        host = Host(world.engine, instances, again(result.player, result.player.ran))
        host.put(Message(timer, "", (0,)), 0.0)
        result.again.append(Played(instances, host.run(), world.engine.tally))
