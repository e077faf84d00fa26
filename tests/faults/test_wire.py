"""The same promises with the real client libraries, on sockets that break."""

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from lab.emulators.ec2.accounts import ACORN, LONDON
from lab.emulators.ec2.server import EC2Lab
from lab.faults.wire import KINDS
from lab.faults.wired import run_wired, wired_story
from lab.faults.wired_ec2 import read_ec2_wired
from tests.storage_emulator import Storage

SERVICES = {"tables", "blobs", "identity", "secrets", "vault", "authrocket"}


@pytest.mark.timeout(300)
def test_on_a_wire_that_breaks_every_flow_ends_as_if_undisturbed(new_storage: Callable[[], Storage]) -> None:
    injected: Counter[str] = Counter()
    for seed in (2, 4):
        outcome = run_wired(seed, new_storage().connection_string)
        assert not outcome.findings, (seed, *outcome.findings)
        injected += outcome.injected
    assert {fault.split()[1] for fault in injected} == SERVICES
    assert len({fault.split(maxsplit=2)[2] for fault in injected}) >= len(KINDS)


def test_a_story_on_the_wire_has_something_for_every_far_side() -> None:
    """Nothing is shown by flows in which nothing happens."""
    stories = [wired_story(seed) for seed in (2, 4)]
    assert all(story.also.dead_letters and story.deliveries and all(story.swept.values()) for story in stories)
    assert any(story.also.user_events for story in stories)
    assert any(story.also.grants for story in stories)


@pytest.fixture(scope="module")
def ec2() -> Iterator[EC2Lab]:
    with EC2Lab({(ACORN, LONDON): 90}) as lab:
        yield lab


@pytest.mark.timeout(300)
def test_a_region_is_read_whole_or_refused_in_words(ec2: EC2Lab) -> None:
    injected: Counter[str] = Counter()
    for seed in range(1, 9):
        outcome = read_ec2_wired(seed, ec2, 90)
        assert not outcome.findings, (seed, *outcome.findings)
        injected += outcome.injected
    assert sum(injected.values()) > 5
