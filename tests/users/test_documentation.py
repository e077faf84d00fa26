"""The pages docs/authrocket.md and docs/extending.md say what there is, and their examples work."""

import re
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest

from functions.api_runs import declare_start
from functions.http import endpoints
from functions.import_schedules import declare_timer
from shared.bootstrap.kinds import KINDS
from shared.imports.part_rows import PartRows
from shared.imports.plan.model import Trigger
from shared.imports.registration import RegisteredSource
from shared.imports.runs.model import RunState, Summary
from shared.imports.runs.repository import RunRepository
from shared.imports.runs.runner import ImportRunner
from shared.imports.runs.starter import RunStarter
from shared.index.index import Index
from shared.reasons import Reason
from shared.settings.kinds import DocumentKinds
from shared.settings.store import SettingsStore
from shared.settings.validation import parse_yaml
from shared.users.documents import STANDARD_FIELDS, AuthRocketRealmDocument
from tests.fakes.tables import MemoryTables
from tests.users.desk import BEGINNING

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def page() -> str:
    return (DOCS / "authrocket.md").read_text("utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def test_the_page_teaches_how_a_key_that_only_reads_is_made(page: str) -> None:  # AR-04
    assert "API keys" in page
    assert "Add API key" in page
    assert re.search(r"\bRead\b", page)


def test_the_page_names_every_setting_and_no_other(page: str) -> None:
    table = page.partition("### All settings of a realm")[2].partition("###")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(AuthRocketRealmDocument.model_fields)


def test_the_page_names_every_reason_and_every_user_field(page: str) -> None:
    messages = page.partition("## Messages and remedies")[2]
    named = set(re.findall(r"`(authrocket_\w+)`", messages))
    assert named == {str(reason) for reason in Reason if str(reason).startswith("authrocket_")}
    assert all(f"`{field}`" in page for field in STANDARD_FIELDS)


def test_the_example_settings_can_be_applied_as_they_are(page: str) -> None:  # AR-05 AR-06
    (example,) = blocks(page, "yaml")
    settings = SettingsStore(MemoryTables().table("settings"), KINDS, lambda: BEGINNING)
    changes = settings.apply(list(parse_yaml(example)), by="test")
    assert {change.action for change in changes} == {"created"}
    realm = settings.get(AuthRocketRealmDocument, "customers").document
    assert realm.realm == "rl_0v1zRHJVm7JY8vUqDRuyx"


@pytest.fixture
def example() -> dict[str, Any]:
    """What the page on adding a source defines."""
    (code,) = blocks((DOCS / "extending.md").read_text("utf-8"), "python")
    defined: dict[str, Any] = {"__name__": "contractors"}
    exec(compile(code, "docs/extending.md", "exec"), defined)  # noqa: S102 - the page's own example
    return defined


class Contractors:
    """The example behind the engine."""

    def __init__(self, defined: dict[str, Any], path: Path) -> None:
        self.path = path
        self.tables = MemoryTables()
        registered: RegisteredSource = defined["CONTRACTORS"]
        kinds = DocumentKinds(*KINDS, *registered.documents())
        self.store = SettingsStore(self.tables.table("settings"), kinds, lambda: BEGINNING)
        self.store.put("customers", "acorn", {"title": "Acorn Construction"}, by="test")
        self.store.put("sites", "leeds", {"title": "Leeds", "customer": "acorn"}, by="test")
        content = {"title": "Builders", "syncing": True, "path": str(path), "default_site": "leeds"}
        self.store.put("contractor-lists", "builders", content, by="test")
        self.runs = RunRepository(self.tables.table("runs"))
        source = registered.build(self)
        self.runner = ImportRunner(self.runs, {source.kind: source}, lambda: BEGINNING)

    def settings(self) -> SettingsStore:
        return self.store

    def user_rows(self) -> PartRows:
        return PartRows(self.tables.table("users"), Index(self.tables.table("index")))

    def write(self, *lines: str) -> None:
        self.path.write_text("\n".join(["number,name,email,left", *lines]), "utf-8")

    def run(self, trigger: Trigger = Trigger.SCHEDULED, **how: Any) -> Summary:
        started = RunStarter(self.runner).start("contractor-lists", "builders", trigger=trigger, by="test", **how)
        messages = list(started.messages)
        while messages:
            messages += self.runner.do_part(messages.pop())
        return self.runner.summary(started.run.id)

    def people(self) -> dict[str, tuple[object, object, object]]:
        rows = self.tables.contents().get("users", {})
        return {
            key: (row.get("f_name"), row.get("f_email"), row.get("active"))
            for (_, key), row in rows.items()
            if not key.startswith("~")
        }


def counts(summary: Summary) -> dict[str, int]:
    assert summary.state is RunState.SUCCEEDED, [part.message for part in summary.parts]
    shown = ("create", "update", "unchanged", "skip", "deactivate", "error")
    return {action: summary.counts[action] for action in shown if summary.counts.get(action)}


def test_the_example_source_imports_previews_and_deactivates(example: dict[str, Any], tmp_path: Path) -> None:
    contractors = Contractors(example, tmp_path / "builders.csv")
    contractors.write("C-1,Ann Ash,Ann@Ash.example,no", "C-2,Ben Birch,,no", ",Nobody,,no")
    assert counts(contractors.run(preview=True)) == {"create": 2, "error": 1}
    assert contractors.people() == {}
    assert counts(contractors.run()) == {"create": 2, "error": 1}
    assert contractors.people() == {"C-1": ("Ann Ash", "ann@ash.example", True), "C-2": ("Ben Birch", None, True)}
    assert counts(contractors.run()) == {"unchanged": 2, "error": 1}
    contractors.write("C-1,Ann Ash,,no")
    assert counts(contractors.run(Trigger.MANUAL)) == {"update": 1, "skip": 1}
    assert counts(contractors.run()) == {"unchanged": 1, "deactivate": 1}
    contractors.write("C-1,Ann Ash,,yes")
    assert counts(contractors.run()) == {"deactivate": 1}
    assert {active for _, _, active in contractors.people().values()} == {False}


def test_the_example_source_deactivates_nobody_after_a_broken_reading(example: dict[str, Any], tmp_path: Path) -> None:
    contractors = Contractors(example, tmp_path / "builders.csv")
    contractors.write("C-1,Ann Ash,,no", "C-2,Ben Birch,,no")
    contractors.run()
    contractors.path.write_bytes(b"number,name,email,left\nC-1,Ann \xff\n")
    assert contractors.run().state is RunState.FAILED
    contractors.path.unlink()
    assert contractors.run().state is RunState.FAILED
    assert [active for _, _, active in contractors.people().values()] == [True, True]


def test_the_example_source_has_a_timer_and_an_endpoint_by_its_registration(
    example: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The app's own endpoints stay as they are.
    monkeypatch.setattr(endpoints, "_declared", {})
    app, blueprint = func.FunctionApp(), func.Blueprint()
    declare_timer(blueprint, example["CONTRACTORS"])
    declare_start(blueprint, example["CONTRACTORS"])
    app.register_functions(blueprint)
    functions: list[Any] = app.get_functions()
    triggers = {each.get_function_name(): each.get_trigger().get_dict_repr() for each in functions}
    assert triggers["import_contractors_users"]["schedule"] == "%DESKBRIDGE_AUTHROCKET_SCHEDULE%"
    assert triggers["start_contractors_import"]["route"] == "v1/contractor-lists/{name}/imports"
