"""Many clients at once, over every operation. `make api-load` does it for a minute."""

import pytest

from lab.api_accepted import Aftermath
from lab.api_load import Findings, load, report
from lab.api_operations import operations_of
from lab.desk import Desk

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def found(desk: Desk) -> Findings:
    return load(desk, clients=50, seconds=5)


def test_many_clients_at_once_meet_no_server_error_and_no_undocumented_answer_and_lose_nothing(found: Findings) -> None:
    assert not found.faults, report(found)


def test_every_operation_of_the_document_was_called_and_did_what_it_is_there_for(desk: Desk, found: Findings) -> None:
    operations = set(operations_of(desk.call("GET", "/api/v1/openapi.json")))
    assert set(found.calls) == operations
    assert found.succeeded == operations


def test_every_kind_of_write_was_acknowledged_and_looked_for_afterwards(found: Findings) -> None:
    accepted = found.accepted
    kinds = (accepted.notes, accepted.records, accepted.edits, accepted.titles, accepted.refused, accepted.removals)
    assert all(
        (
            *kinds,
            accepted.runs,
            accepted.objects,
            accepted.strays,
            accepted.strays_removed,
            accepted.names,
            accepted.sweeps,
            accepted.tokens,
            accepted.revoked,
        )
    )


def test_what_was_acknowledged_and_is_not_there_is_told(desk: Desk, found: Findings) -> None:
    accepted = found.accepted
    (address, _), *_ = accepted.edits.items()
    name = next(iter(accepted.titles))
    accepted.edits[address] += 1
    accepted.notes[next(iter(accepted.notes))].add("never written")
    accepted.records["manual:never-added"] = "never-added"
    accepted.titles[name].add("never put")
    accepted.removals[name] += 1
    accepted.runs.add("998204690743439166-aws-tenants-000000")
    accepted.objects.add("never-delivered")
    accepted.strays.add("stray-never-delivered")
    accepted.later.add("later-never-delivered")
    accepted.sweeps.add("998204690743439166-never0")
    accepted.tokens.add("token-never-made")
    told = "\n".join(Aftermath(desk, accepted).missing())
    for one in ("counts", "never written", "never-added", "never put", "removals", "gone", "never-delivered"):
        assert one in told
    for one in ("stray-never-delivered", "later-never-delivered", "998204690743439166-never0", "token-never-made"):
        assert one in told
