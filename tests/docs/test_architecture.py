"""ARCHITECTURE.md, held against the code: each stage names a file that there is, and functions that stand in it."""

import re
from pathlib import Path

from functions.http.endpoints import declared_endpoints
from shared.tickets.domain.model import ObjectType, TicketKind
from tests.registered import FUNCTIONS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
DOCS = ROOT / "docs"


def test_every_stage_names_files_that_there_are_and_what_stands_in_them() -> None:
    stages = re.findall(r"^\| \d+\. [^|]+\| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)
    assert len(stages) == 22
    for places, text in stages:
        files = [ROOT / name for name in re.findall(r"`([^`]+)`", places)]
        assert all(path.is_file() for path in files), places
        code = "".join(path.read_text("utf-8") for path in files)
        for name in re.findall(r"`([A-Za-z_.]+)`", text):
            if name.endswith(".py"):
                assert (files[0].parent / name).is_file(), text
            else:
                assert all(re.search(rf"\b{part}\b", code) for part in name.split(".")), text


def test_the_first_day_has_ten_files_that_there_are() -> None:
    section = PAGE.split("## Ten files for the first day")[1].split("## ")[0]
    files = re.findall(r"^\d+\. `([^`]+)`$", section, re.MULTILINE)
    assert len(files) == 10
    assert [name for name in files if not (ROOT / name).is_file()] == []


def test_every_path_of_the_page_is_there() -> None:
    paths = set(re.findall(r"`((?:shared|functions|docs|infra|lab|bench|tests)/[\w./]*)`", PAGE))
    assert len(paths) > 25
    assert sorted(path for path in paths if not (ROOT / path).exists()) == []


def test_a_ticket_can_be_looked_for_by_every_kind_and_object_type() -> None:
    declared = next(each for each in declared_endpoints().values() if each.function == "list_tickets")
    assert declared.function in FUNCTIONS
    for name, members in (("kind", TicketKind), ("object_type", ObjectType)):
        query = next(query for query in declared.query or () if query.name == name)
        assert query.parse(",".join(members)) == tuple(members)


def test_every_kind_of_ticket_stands_in_the_pages() -> None:
    pages = "".join((DOCS / name).read_text("utf-8") for name in ("key-vault.md", "authrocket.md", "conditions.md"))
    assert [kind for kind in TicketKind if f"`{kind}`" not in pages] == []
