"""The same promises with the real client libraries, on sockets that break."""

import re
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from lab.ec2.accounts import ACORN, LONDON
from lab.ec2.server import EC2Lab
from lab.faults.wire import KINDS
from lab.faults.wired import read_ec2_wired, run_wired
from tests.storage_emulator import Storage


def _endpoint(connection_string: str) -> str:
    found = re.search(r"TableEndpoint=(http://[^/;]+)", connection_string)
    assert found is not None
    return found[1]


@pytest.mark.timeout(300)
def test_on_a_wire_that_breaks_the_tables_end_as_those_of_an_undisturbed_run(
    new_storage: Callable[[], Storage],
) -> None:
    injected: Counter[str] = Counter()
    for seed in range(1, 3):
        storage = new_storage()
        outcome = run_wired(seed, storage.connection_string, _endpoint(storage.connection_string))
        assert not outcome.findings, (seed, *outcome.findings)
        injected += outcome.injected
    assert len(injected) > len(KINDS) // 2


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
