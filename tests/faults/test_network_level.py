"""The same promises with the real client libraries, on sockets that break."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest

from lab.emulators.ec2.accounts import ACORN, LONDON
from lab.emulators.ec2.server import EC2Lab
from lab.faults.network_level import network_scenario, of_day, run_on_network
from lab.faults.network_level_ec2 import read_ec2_on_network
from lab.faults.network_level_proxy import KINDS
from lab.faults.scenario import BEGINS
from tests.storage_emulator import Storage

SERVICES = {"tables", "blobs", "identity", "secrets", "vault", "authrocket"}


@pytest.mark.timeout(300)
def test_on_a_wire_that_breaks_every_flow_ends_as_if_undisturbed(new_storage: Callable[[], Storage]) -> None:
    injected: Counter[str] = Counter()
    for seed in (2, 4):
        outcome = run_on_network(seed, new_storage().connection_string)
        assert not outcome.findings, (seed, *outcome.findings)
        injected += outcome.injected
    assert {fault.split()[1] for fault in injected} == SERVICES
    assert len({fault.split(maxsplit=2)[2] for fault in injected}) >= len(KINDS)


def test_a_story_on_the_wire_has_something_for_every_far_side() -> None:
    """Nothing is shown by flows in which nothing happens."""
    scenarios = [network_scenario(seed) for seed in (2, 4)]
    assert all(
        scenario.steps.dead_letters and scenario.deliveries and all(scenario.swept.values()) for scenario in scenarios
    )
    assert any(scenario.steps.user_events for scenario in scenarios)
    assert any(scenario.steps.grants for scenario in scenarios)


@pytest.mark.parametrize("seed", [2, 4])
def test_nothing_comes_before_its_time_on_the_wire(seed: int) -> None:
    """Else it is put aside or taken by how late trouble lets it in."""
    scenario = network_scenario(seed)
    came: list[object] = []
    for number in range(len(scenario.days)):
        for _, batch, _ in of_day(number, scenario.deliveries):
            came += batch
            latest = max(datetime.fromisoformat(event["eventTime"]) for event in batch)
            assert latest <= BEGINS + timedelta(days=number)
        came += of_day(number, scenario.steps.dead_letters)
    assert len(came) == sum(len(batch) for _, batch, _ in scenario.deliveries) + len(scenario.steps.dead_letters)


@pytest.fixture(scope="module")
def ec2() -> Iterator[EC2Lab]:
    with EC2Lab({(ACORN, LONDON): 90}) as lab:
        yield lab


@pytest.mark.timeout(300)
def test_a_region_is_read_whole_or_refused_in_words(ec2: EC2Lab) -> None:
    injected: Counter[str] = Counter()
    for seed in range(1, 9):
        outcome = read_ec2_on_network(seed, ec2, 90)
        assert not outcome.findings, (seed, *outcome.findings)
        injected += outcome.injected
    assert sum(injected.values()) > 5
