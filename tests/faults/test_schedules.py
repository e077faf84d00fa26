"""A short run of the seeded schedules, and the proof that they would notice: mutations must be found."""

import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest

from lab.faults.flows import expected, never_met
from lab.faults.kill_points import kill_pass, points_of, rich_seeds
from lab.faults.mutations import MUTATIONS, Mutation, counts_written_first
from lab.faults.parallel_runs import Total, run_many, spread
from lab.faults.scenario import FLOWS
from lab.faults.schedule import Outcome, run_seed
from shared.access.audit import AuditEntries
from shared.errors import TryLaterError
from shared.imports.applier import Applier
from shared.imports.part_import import PartLog
from shared.imports.runs.housekeeping import RunHousekeeping
from shared.imports.runs.readings import Readings
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


@pytest.mark.parametrize("seed", [4083, 4171])
def test_a_part_is_read_as_its_own_records_are_and_not_as_those_that_the_brake_kept_elsewhere(seed: int) -> None:
    """Undisturbed, the brake kept active what the source listed no more; disturbed, it was gone before the import."""
    assert not run_seed(seed).findings


def test_after_a_first_import_that_listed_nobody_whoever_is_found_is_new() -> None:
    """A realm without users and a poor answer look alike: rather a ticket too many than one too few."""
    assert not run_seed(4091, ("ec2", "users")).findings


def test_nothing_in_a_schedule_waits_in_real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a busy machine would change what a seed does."""
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    storms = [run_seed(seed, FLOWS, profile="storm") for seed in range(1, 4)]
    assert not [finding for outcome in storms for finding in outcome.findings]
    assert not waited


# Bugs


def _given_up_silently() -> AbstractContextManager[Any]:
    write = Applier._write

    def careless(self: Applier, *arguments: Any) -> bool:
        try:
            return write(self, *arguments)
        except TryLaterError:
            return True

    return patch.object(Applier, "_write", careless)


def _lost_write_taken_for_done() -> AbstractContextManager[Any]:
    def careless(self: TicketReconciler, group: list[Any], error: Exception, deadline: float) -> None:
        del self, error, deadline
        for progress in group:
            progress.done = True

    return patch.object(TicketReconciler, "_failed", careless)


def _failure_told_to_nobody() -> AbstractContextManager[Any]:
    def never(self: ImportRunner, message: Any) -> None:
        raise TryLaterError(Reason.STORAGE_UNAVAILABLE, "a defect that the poison queue meets each time")

    return patch.object(ImportRunner, "fail_part", never)


def _secret_in_the_log() -> AbstractContextManager[Any]:
    read: Callable[..., Any] = VaultCredentials.read_pair

    def talkative(self: VaultCredentials, reference: CredentialReference, user: CredentialUser) -> Any:
        pair = read(self, reference, user)
        logging.getLogger("shared.vaults").info("The pair was read: %s", pair.password)
        return pair

    return patch.object(VaultCredentials, "read_pair", talkative)


def _error_without_a_reason() -> AbstractContextManager[Any]:
    def clumsy(self: RunHousekeeping, run: Any, until: Any) -> Any:
        raise KeyError(run.id, until)

    return patch.object(RunHousekeeping, "_resume", clumsy)


# Beside those that `python -m lab.faults mutations` plants.
_BUGS: Mapping[str, Mutation] = {
    **MUTATIONS,
    "a write given up silently": Mutation("ec2", _given_up_silently),
    "a worker that stood still goes on": Mutation(
        "users", lambda: patch.object(PartLog, "check_that_it_is_ours", lambda _: None)
    ),
    "a lost write taken for done": Mutation("tickets", _lost_write_taken_for_done),
    "runs that nobody takes up again": Mutation("ec2", lambda: patch.object(RunHousekeeping, "_resume", lambda *_: [])),
    "a part that failed for good, told to nobody": Mutation("ec2", _failure_told_to_nobody),
    "a secret in the log": Mutation("tickets", _secret_in_the_log),
    "an audit entry that nobody sends again": Mutation("users", lambda: patch.object(Outbox, "overdue", lambda _: [])),
    "an audit entry dropped": Mutation("users", lambda: patch.object(AuditEntries, "save", lambda *_: None)),
    "a part that stays on the list of those with records": Mutation(
        "ec2", lambda: patch.object(Readings, "_drop", lambda *_: None)
    ),
    "an error without a reason": Mutation("ec2", _error_without_a_reason),
    "changes are counted before they are taken out of the outbox": Mutation("tickets", counts_written_first),
}


def _run_with(bug: str, profile: str, seed: int) -> Outcome:
    with _BUGS[bug].apply():
        return run_seed(seed, (_BUGS[bug].flow,), profile=profile)


@pytest.mark.parametrize(
    ("bug", "words", "profile", "seeds"),
    [
        ("a write given up silently", "counts", "storage", range(46, 76)),
        ("deactivating after a reading that broke off", "wrongly deactivated", "services", range(1, 31)),
        ("a worker that stood still goes on", "was answered as done", "races", range(1, 36)),
        ("a lost write taken for done", "lost from tickets", "", range(1, 31)),
        ("runs that nobody takes up again", "open for ever", "", range(1, 31)),
        ("a part that failed for good, told to nobody", "left undone", "", range(1, 31)),
        ("a secret in the log", "a secret leaked", "", range(1, 3)),
        ("an audit entry that nobody sends again", "left in the outbox", "", range(1, 60)),
        ("an audit entry dropped", "in the audit trail", "", range(1, 60)),
        ("a part that stays on the list of those with records", "and the list of", "", range(4096, 4110)),
        ("an error without a reason", "a bug in the timer of the housekeeping: KeyError", "", range(1, 31)),
        (
            "the webhook of AuthRocket does not ask whether an import runs",
            "was answered as done",
            "races",
            range(45, 60),
        ),
        ("confirming the brake also deactivates what came back", "wrongly deactivated", "queue", range(1, 40)),
        ("changes are counted before they are taken out of the outbox", "rows to repair", "kills", range(1, 12)),
        ("what failed to follow is taken for carried out", "rows to repair", "storm", range(1, 40)),
        ("applying a preview writes whatever is wanted now", "preview had not shown", "queue", range(1, 40)),
    ],
)
def test_a_bug_is_found(bug: str, words: str, profile: str, seeds: range) -> None:
    outcomes = spread(partial(_run_with, bug, profile), seeds, _JOBS)
    assert any(words in finding for one in outcomes for finding in one.findings)


@pytest.mark.parametrize("bug", sorted(MUTATIONS))
def test_each_mutation_has_its_place_in_the_product(bug: str) -> None:
    """`python -m lab.faults mutations` says after how many schedules each is found."""
    with MUTATIONS[bug].apply():
        pass
