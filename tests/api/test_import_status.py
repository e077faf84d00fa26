"""How imports stand: their list, the summary and readiness say the same of each document."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared import bootstrap
from shared.imports.plan.model import Trigger
from shared.imports.runs.model import Mode, Run, RunState
from shared.overview.readiness import ReadinessPart
from tests.api.calling import call
from tests.api.conftest import STORE
from tests.fakes.tables import MemoryTables

TENANT = {
    "title": "Acorn Construction",
    "syncing": True,
    "access": {"method": "access_key", "secret": {"in_place": {"store": "kv", "secret": "aws"}}},
    "regions": ["eu-west-2"],
    "field_mappings": [{"source": "tags.Name", "field": "name"}],
    "matching_field": "name",
    "asset_type": {"default": "server"},
    "default_site": "leeds",
}


@pytest.fixture
def desk(tables: MemoryTables) -> MemoryTables:
    bootstrap.settings().put("sites", "leeds", {"title": "Leeds", "customer": "acorn"}, by="tests")
    bootstrap.settings().put("asset-types", "server", {"title": "Server"}, by="tests")
    bootstrap.settings().put("credential-stores", "kv", STORE, by="tests")
    for account, name in enumerate(("acorn", "birch", "oak"), 111122223333):
        document = {**TENANT, "accounts": [{"account": str(account)}]}
        bootstrap.settings().put("aws-tenants", name, document, by="tests")
    return tables


def _ended(name: str, state: RunState, **counts: int) -> Run:
    now, runs = bootstrap.now(), bootstrap.runs()
    run = Run(runs.new_id("aws-tenants", now), "aws-tenants", name, Mode.IMPORT, Trigger.SCHEDULED, now, "tests")
    run = runs.add(replace(run, state=state, finished_at=now, counts=counts))
    runs.save_outcome(run, now, ["web-1", "web-2"] if counts.get("held_back") else (), "The brake holds.")
    return run


def _imports() -> dict[str, Any]:
    return {one["name"]: one for one in call("GET", "imports").json["items"]}


def _readiness() -> dict[str, ReadinessPart]:
    """Without the parts that ask queues and vaults."""
    return {part.name.rpartition("/")[2]: part for part in bootstrap.readiness()._imports()}


def test_list_summary_and_readiness_say_the_same(desk: MemoryTables) -> None:
    held = _ended("acorn", RunState.WITHHELD, held_back=27, unchanged=3)
    _ended("birch", RunState.PARTLY_FAILED, parts=3, parts_failed=1, parts_done=2)
    listed, ready = _imports(), _readiness()
    summary = {one["name"]: one for one in call("GET", "summary").json["runs"]}
    assert {name: one["status"] for name, one in listed.items()} == {
        "acorn": "withheld",
        "birch": "partly_failed",
        "oak": "waiting",
    }
    assert listed["acorn"]["withheld"]["names"] == ["web-1", "web-2"]
    assert listed["acorn"]["withheld"]["run_id"] == held.id
    assert listed["acorn"]["counts"] == {"held_back": 27, "unchanged": 3}
    assert listed["birch"]["reason"] == "import_partly_failed"
    assert "1 of 3 parts failed" in listed["birch"]["warning"]
    for name, one in listed.items():
        assert summary[name]["warning"] == one["warning"]
        assert summary[name]["reason"] == one["reason"]
        assert summary[name]["withheld"] == (one["withheld"] or {"count": 0})["count"]
        bad = bool(one["warning"] or one["withheld"])
        assert (ready[name].state == "degraded") is bad
        assert ready[name].reason == (one["reason"] or ("import_withheld" if one["withheld"] else ""))


def test_the_next_run_is_that_of_the_timer(desk: MemoryTables, monkeypatch: pytest.MonkeyPatch) -> None:
    now = bootstrap.now().replace(hour=1, minute=0, second=0, microsecond=0)
    monkeypatch.setattr(bootstrap, "now", lambda: now)
    assert _imports()["oak"]["next_run_at"] == (now + timedelta(hours=1)).isoformat().replace("+00:00", "Z")


def test_runs_are_filtered_by_their_status(desk: MemoryTables) -> None:
    for name, state in (("acorn", RunState.WITHHELD), ("birch", RunState.FAILED), ("oak", RunState.SUCCEEDED)):
        _ended(name, state)

    def named(query: str) -> list[str]:
        return sorted(run["name"] for run in call("GET", f"runs?{query}").json["items"])

    assert named("status=failed") == ["birch"]
    assert named("status=withheld,failed,partly_failed") == ["acorn", "birch"]
    assert named("status=succeeded&name=acorn") == []
    assert named("") == ["acorn", "birch", "oak"]
    assert call("GET", "runs?status=odd").status == 400
