"""A short run of the seeded schedules, and the proof that they would notice: mutations must be found."""

import logging
import os
import time
from collections.abc import Callable
from typing import Any

import pytest

from lab.faults.flows import expected, never_met
from lab.faults.kill_points import kill_pass, points_of, rich_seeds
from lab.faults.mutations import MUTATIONS
from lab.faults.parallel_runs import Total, run_many, spread
from lab.faults.scenario import FLOWS
from lab.faults.schedule import run_seed
from shared.access.audit import AuditEntries
from shared.errors import TryLaterError
from shared.imports.applier import Applier
from shared.imports.part_import import PartImport
from shared.imports.runs.housekeeping import RunHousekeeping
from shared.imports.runs.runner import ImportRunner
from shared.outbox.outbox import Outbox
from shared.reasons import Reason
from shared.tickets.reconciler import TicketReconciler
from shared.vaults.credentials import VaultCredentials
from shared.vaults.documents.credentials import CredentialReference
from shared.vaults.model import CredentialUser

_JOBS = min(2, os.cpu_count() or 1)


def _said(findings: Any) -> str:
    return "\n".join(str(one) for one in findings)


@pytest.fixture(scope="module")
def usual() -> Total:
    return run_many(range(1, 61), jobs=_JOBS)


@pytest.mark.timeout(300)
def test_whatever_goes_wrong_the_tables_end_as_those_of_an_undisturbed_run(usual: Total) -> None:
    assert not usual.failed, _said((one.seed, *one.findings) for one in usual.failed)
    assert usual.schedules == 60
    assert {flow for flows in usual.flows for flow in flows.split(" + ")} == set(FLOWS)


@pytest.mark.timeout(300)
def test_storms_change_nothing_in_the_end(usual: Total) -> None:
    """`python -m lab.faults storms` plays more, and shows that every flow met every kind of fault that can come."""
    met = usual.by_flow
    for flow in FLOWS:
        storms = run_many(range(221, 233), jobs=_JOBS, flows=(flow,), profile="storm")
        assert not storms.failed, _said((one.seed, *one.findings) for one in storms.failed)
        met = met + storms.by_flow
    # Nothing is shown by faults that never came.
    assert len(never_met(met)) < len(list(expected())) / 10


@pytest.mark.timeout(300)
@pytest.mark.parametrize("flow", FLOWS)
def test_a_worker_that_dies_at_any_storage_call_leaves_nothing_undone(flow: str) -> None:
    """Some of the points; `python -m lab.faults kills` takes all."""
    seeds = rich_seeds(flow)
    points = sum(points_of(seed, flow) for seed in seeds)
    killed = kill_pass(flow, seeds, jobs=_JOBS, every=max(1, points // 40))
    assert sum(killed.where.values()) == killed.points >= 40
    assert not killed.failed, _said((one.seed, one.profile, *one.findings) for one in killed.failed)


def test_a_seed_does_the_same_again_in_another_process() -> None:
    first = {one.seed: one.digest for one in spread(run_seed, [4, 6, 295], 1)}
    again = {one.seed: one.digest for one in spread(run_seed, [295, 4, 6], _JOBS)}
    assert first == again
    assert len(set(first.values())) == 3


def test_nothing_in_a_schedule_waits_in_real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a busy machine would change what a seed does."""
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    storms = [run_seed(seed, FLOWS, profile="storm") for seed in range(1, 4)]
    assert not [finding for outcome in storms for finding in outcome.findings]
    assert not waited


# Mutations


def _found(seeds: range, flow: str, words: str, *, profile: str = "") -> bool:
    """Whether one of the seeds shows a finding with these words."""
    return any(words in finding for seed in seeds for finding in run_seed(seed, (flow,), profile=profile).findings)


def test_a_write_that_is_given_up_silently_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    write = Applier._write

    def careless(self: Applier, *arguments: Any) -> bool:
        try:
            return write(self, *arguments)
        except TryLaterError:
            return True

    monkeypatch.setattr(Applier, "_write", careless)
    assert _found(range(46, 76), "ec2", "counts", profile="storage")


def test_deactivating_after_a_reading_that_broke_off_is_found() -> None:
    with MUTATIONS["deactivating after a reading that broke off"].apply():
        assert _found(range(1, 31), "ec2", "wrongly deactivated", profile="services")


def test_a_worker_that_stood_still_and_goes_on_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PartImport, "_check_that_it_is_ours", lambda _: None)
    assert _found(range(60, 90), "users", "was answered as done", profile="queue")


def test_an_answer_that_takes_a_lost_write_for_done_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(self: TicketReconciler, group: list[Any], error: Exception, deadline: float) -> None:
        del self, error, deadline
        for progress in group:
            progress.done = True

    monkeypatch.setattr(TicketReconciler, "_failed", careless)
    assert _found(range(1, 31), "tickets", "lost from tickets")


def test_runs_that_nobody_takes_up_again_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunHousekeeping, "_resume", lambda *_: [])
    assert _found(range(1, 31), "ec2", "open for ever")


def test_a_part_that_failed_for_good_and_is_told_to_nobody_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(self: ImportRunner, message: Any) -> None:
        raise TryLaterError(Reason.STORAGE_UNAVAILABLE, "a defect that the poison queue meets each time")

    monkeypatch.setattr(ImportRunner, "fail_part", never)
    assert _found(range(1, 31), "ec2", "left undone")


def test_a_secret_in_the_log_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    read: Callable[..., Any] = VaultCredentials.read_pair

    def talkative(self: VaultCredentials, reference: CredentialReference, user: CredentialUser) -> Any:
        pair = read(self, reference, user)
        logging.getLogger("shared.vaults").info("The pair was read: %s", pair.password)
        return pair

    monkeypatch.setattr(VaultCredentials, "read_pair", talkative)
    assert _found(range(1, 3), "tickets", "a secret leaked")


def test_an_audit_entry_that_nobody_sends_again_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Outbox, "overdue", lambda _: [])
    assert _found(range(1, 60), "users", "left in the outbox")


def test_a_change_whose_audit_entry_is_dropped_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AuditEntries, "save", lambda *_: None)
    assert _found(range(1, 60), "users", "in the audit trail")


def test_an_error_without_a_reason_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def clumsy(self: RunHousekeeping, run: Any, until: Any) -> Any:
        raise KeyError(run.id, until)

    monkeypatch.setattr(RunHousekeeping, "_resume", clumsy)
    assert _found(range(1, 31), "ec2", "a bug in the timer of the housekeeping: KeyError")


@pytest.mark.parametrize("bug", sorted(MUTATIONS))
def test_each_mutation_has_its_place_in_the_product(bug: str) -> None:
    """`python -m lab.faults mutations` says after how many schedules each is found."""
    with MUTATIONS[bug].apply():
        pass


@pytest.mark.parametrize(
    ("bug", "words", "profile", "seeds"),
    [
        (
            "the webhook of AuthRocket does not ask whether an import runs",
            "was answered as done",
            "races",
            range(45, 60),
        ),
        ("confirming the brake also deactivates what came back", "wrongly deactivated", "queue", range(1, 40)),
        ("what failed to follow is taken for carried out", "the index at", "storm", range(1, 40)),
        ("applying a preview writes whatever is wanted now", "preview had not shown", "queue", range(1, 40)),
    ],
)
def test_a_mutation_is_found(bug: str, words: str, profile: str, seeds: range) -> None:
    mutation = MUTATIONS[bug]
    with mutation.apply():
        assert _found(seeds, mutation.flow, words, profile=profile)
