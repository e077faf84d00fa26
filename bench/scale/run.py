"""One flow played from its timer to its end: the real code, its clock, and what came of it."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from unittest.mock import patch

from bench.scale.clouds import IDENTITY_ENDPOINT, Aws, Identity
from bench.scale.doors import Door, opened
from bench.scale.engine import Engine, Tally
from bench.scale.follow_ups import FollowUps
from bench.scale.host import Host, Message, Outcome
from bench.scale.parts import Fleet, PartsFlow
from bench.scale.player import Player, again
from bench.scale.searches import Searched, Searches
from bench.scale.storage import CONNECTION, Storage
from bench.scale.vaults import Vaults, VaultsFlow
from shared import bootstrap

_BEGINS = datetime(2026, 11, 30, 2, 0, tzinfo=UTC)
# An instance has its own caches and clients, which cost memory here as they do there: so many run in truth.
_REAL_INSTANCES = 2


@dataclass
class Played:
    """What the flows came to on so many instances of each function."""

    instances: int
    outcome: Outcome
    tally: Tally


@dataclass(frozen=True)
class Done:
    """What came of one flow: of so many parts or vaults so many are done, and how it ended."""

    units: int
    done: int
    state: str


@dataclass
class Result(Played):
    """The first time they were played, each flow by its name; and after how many seconds the index had followed, for
    each partition that changed. `again` are other numbers of instances, which take the executions as they were."""

    flows: Mapping[str, Done]
    player: Player
    lags: Sequence[float]
    not_followed: int
    again: list[Played] = field(default_factory=list[Played])

    def lost(self, flow: str) -> int:
        return self.flows[flow].units - self.flows[flow].done + self.outcome.of[flow].poisoned


class _World:
    def __init__(self, fleet: Fleet, changed_percent: float, vaults: int = 0) -> None:
        self.engine = Engine(_BEGINS)
        self.aws = Aws(self.engine, fleet.accounts, fleet.count_of, changed_percent)
        self.storage = Storage(self.engine)
        self._vaults, self._identity = Vaults(self.engine, vaults), Identity(self.engine)

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


def play(
    fleet: Fleet | None,
    vaults: int,
    instances: int,
    *,
    sample: int,
    others: Sequence[int] = (),
    changed_percent: float = 1,
    seed: int = 1,
) -> Result:
    """A daily import of the fleet and a daily sweep of the vaults, both at once, and the index behind them."""
    world = _World(fleet or Fleet(0, 0), changed_percent, vaults)
    with world.entered():
        follow_ups = FollowUps(world.engine, world.storage)
        flows: list[tuple[PartsFlow | VaultsFlow, int]] = []
        if fleet is not None:
            parts = PartsFlow(world.engine, world.storage, world.aws, fleet, follow_ups)
            follow_ups.make = parts.make_changed
            flows.append((parts, fleet.parts))
        if vaults:
            flows.append((VaultsFlow(world.engine, world.storage, vaults, follow_ups), vaults))
        settle_store()
        for flow, _ in flows:
            flow.settle_settings()
        player = Player(world.engine, [*(flow for flow, _ in flows), follow_ups], sample, _REAL_INSTANCES, seed)
        timers = [flow.timer for flow, _ in flows]
        host = Host(world.engine, instances, player.play, player.flow_of, follow_ups.wakes)
        player.left = host.left
        outcome = _begun(host, timers)
        done = {flow.name: Done(units, *flow.done()) for flow, units in flows}
        left = follow_ups.left
        result = Result(instances, outcome, world.engine.tally, done, player, follow_ups.lags, left)
        for other in others:
            world.engine.tally = Tally()
            replayed = Host(world.engine, other, again(player, player.ran), player.flow_of, lambda _: None)
            result.again.append(Played(other, _begun(replayed, timers), world.engine.tally))
    return result


def settle_store() -> None:
    """The vault of the desk's own secrets, which lists the other vaults too."""
    vault = {"vault_url": "https://acorn.vault.azure.net", "method": "system_assigned"}
    bootstrap.settings().put("credential-stores", "kv", vault, by="scale")


def _begun(host: Host, timers: Sequence[str]) -> Outcome:
    """All of what these timers start."""
    for number, timer in enumerate(timers):
        host.put(Message(timer, "", (number,)), 0.0)
    return host.run()


def search(fleet: Fleet) -> list[Searched]:
    """Searches among all instances of the fleet, while none of its parts is followed yet."""
    world = _World(fleet, 0)
    with world.entered():
        follow_ups = FollowUps(world.engine, world.storage)
        settle_store()
        PartsFlow(world.engine, world.storage, world.aws, fleet, follow_ups).settle_settings()
        return Searches(world.engine, world.storage, fleet, follow_ups).play()
