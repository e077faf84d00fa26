"""Every kind of fault that the check is there for is planted in a copy of the files, and found."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from infra.check.__main__ import ROOT, problems
from infra.check.code import Code, Function, read_code

FAULTS = yaml.safe_load((Path(__file__).parent / "planted_faults.yaml").read_text("utf-8"))


@pytest.fixture(scope="module")
def code() -> Code:
    return read_code()


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "infra"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    yield folder
    shutil.rmtree(folder)


def found(folder: Path, code: Code) -> list[str]:
    return [f"{problem.path}: {problem.message}" for problem in problems(folder, code)]


def plant(folder: Path, path: str, before: str, after: str) -> None:
    file = folder / path
    text = file.read_text("utf-8")
    assert before in text, f"{path} does not hold {before!r} any more: plant the fault elsewhere"
    file.write_text(text.replace(before, after, 1), "utf-8")


def test_the_infrastructure_has_no_fault(code: Code) -> None:
    assert found(ROOT, code) == []


@pytest.mark.parametrize("fault", FAULTS, ids=[fault["message"] for fault in FAULTS])
def test_a_planted_fault_is_found(copy: Path, code: Code, fault: dict[str, str]) -> None:
    plant(copy, fault["path"], fault["before"], fault["after"])
    said = found(copy, code)
    assert any(fault["message"] in line for line in said), said


def test_a_new_variable_of_the_code_is_missed(code: Code) -> None:
    more = replace(code, defaults={**code.defaults, "DESKBRIDGE_NEW": None})
    assert found(ROOT, more) == [
        "modules/app.bicep: the app setting DESKBRIDGE_NEW of shared/environment.py is not set"
    ]


def test_a_new_table_queue_or_container_of_the_code_is_missed(code: Code) -> None:
    more = replace(
        code, tables=(*code.tables, "gossip"), queues=(*code.queues, "mail"), containers=(*code.containers, "x")
    )
    assert found(ROOT, more) == [
        "modules/storage.bicep: the table gossip of shared/storage/names.py is not created",
        "modules/storage.bicep: the queue mail of shared/storage/names.py is not created",
        "modules/storage.bicep: the container x of shared/storage/names.py is not created",
    ]


def test_a_name_that_the_code_uses_beside_the_registry_is_found(code: Code) -> None:
    trigger = {"type": "queueTrigger", "queueName": "mail"}
    more = replace(
        code, source=code.source + '\nTABLE = "gossip"\n', functions=(*code.functions, Function("read_mail", trigger))
    )
    assert found(ROOT, more) == [
        "functions: read_mail reads the queue mail, which names.py lacks",
        "shared: the table gossip is used, and shared/storage/names.py lacks it",
    ]


def test_a_missing_file_and_one_that_nobody_uses_are_found(copy: Path, code: Code) -> None:
    (copy / "event-subscriptions.bicep").rename(copy / "modules" / "stray.bicep")
    said = found(copy, code)
    assert "event-subscriptions.bicep: is missing" in said
    assert "modules/stray.bicep: is the module of no file" in said
