"""Example settings are given once: what a person changed, deleted or wrote badly keeps nothing else back."""

import json
from pathlib import Path
from typing import Any, cast

import pytest

from lab.desk import Desk, DeskError
from lab.examples import Applied, apply_examples

SITE = {"kind": "sites", "name": "york", "document": {"title": "York", "customer": "acorn"}}


class StubDesk:
    """Settings in a dictionary, by the rules of the API: versions count up, a document named `bad` is refused."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.addresses = {"Key Vault acorn-vault": "https://localhost:1"}
        self.documents: dict[str, tuple[int, Any]] = {}

    def call(self, method: str, path: str, body: bytes | None = None) -> Any:
        key = path.removeprefix("/api/v1/settings/")
        if method == "GET":
            if key not in self.documents:
                raise DeskError("there is no such document", 404)
            return {"version": self.documents[key][0]}
        wanted = json.loads(body or b"{}")["documents"]
        if any(one["name"] == "bad" for one in wanted):
            raise DeskError("sites/bad: title: is missing", 400)
        return {"items": [self._put(one) for one in wanted]}

    def _put(self, one: dict[str, Any]) -> dict[str, Any]:
        key = f"{one['kind']}/{one['name']}"
        version, before = self.documents.get(key, (0, None))
        action = "created" if before is None else "unchanged" if before == one["document"] else "updated"
        self.documents[key] = (version + (action != "unchanged"), one["document"])
        return {"kind": one["kind"], "name": one["name"], "action": action}


@pytest.fixture
def desk(tmp_path: Path) -> StubDesk:
    (tmp_path / "settings").mkdir()
    return StubDesk(tmp_path)


def apply(desk: StubDesk) -> Applied:
    return apply_examples(cast(Desk, desk), desk.folder / "settings")


def write(desk: StubDesk, name: str, text: str) -> None:
    (desk.folder / "settings" / name).write_text(text, "utf-8")


def test_json_on_one_line_is_as_good_as_yaml_and_a_foreign_placeholder_stays(desk: StubDesk) -> None:
    long_text = "word " * 1000
    site = {**SITE, "document": {"title": "${HOME} $5", "customer": long_text, "at": "${KEY_VAULT_ACORN_VAULT}"}}
    write(desk, "one.json", json.dumps(site, separators=(",", ":")))
    assert apply(desk) == Applied(("created",), (), ())
    written = desk.documents["sites/york"][1]
    assert written == {"title": "${HOME} $5", "customer": long_text, "at": "https://localhost:1"}


def test_an_untouched_example_follows_its_file(desk: StubDesk) -> None:
    write(desk, "a.json", json.dumps(SITE))
    apply(desk)
    assert apply(desk).actions == ("unchanged",)
    write(desk, "a.json", json.dumps({**SITE, "document": {"title": "York, new", "customer": "acorn"}}))
    assert apply(desk).actions == ("updated",)


def test_what_a_person_changed_made_or_deleted_is_left(desk: StubDesk) -> None:
    other = {**SITE, "name": "hull"}
    mine = {**SITE, "name": "mine"}
    desk.documents["sites/mine"] = (1, {"title": "Mine"})
    write(desk, "a.json", json.dumps(SITE))
    write(desk, "b.yaml", json.dumps(other) + "\n---\n" + json.dumps(mine))
    assert apply(desk).kept == ("sites/mine",)
    desk.documents["sites/york"] = (2, {"title": "Changed"})
    del desk.documents["sites/hull"]
    assert apply(desk) == Applied((), ("sites/york", "sites/hull", "sites/mine"), ())
    assert desk.documents["sites/york"] == (2, {"title": "Changed"})
    assert "sites/hull" not in desk.documents


def test_a_bad_file_is_named_and_the_others_are_applied(desk: StubDesk) -> None:
    write(desk, "1.yaml", "kind: [")
    write(desk, "2.yaml", "just words")
    write(desk, "3.json", json.dumps({**SITE, "name": "bad"}))
    write(desk, "4.json", json.dumps(SITE))
    applied = apply(desk)
    assert applied.actions == ("created",)
    assert len(applied.refused) == 3
    for name, part in (
        ("1.yaml", "neither YAML nor JSON (line 1)"),
        ("2.yaml", "needs a kind"),
        ("3.json", "is missing"),
    ):
        assert any(f"lab/settings/{name} was not applied" in one and part in one for one in applied.refused)
