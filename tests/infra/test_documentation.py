"""docs/deploy.md says what the files do: variables, roles, commands and files that it names are there."""

import re
from pathlib import Path

import yaml

from infra.check.__main__ import ROOT

DOCUMENT = (ROOT.parent / "docs" / "deploy.md").read_text("utf-8")
PARAMETERS = (ROOT / "main.bicepparam").read_text("utf-8")
OUTPUTS = set(re.findall(r"^output ([A-Z_]+) ", (ROOT / "main.bicep").read_text("utf-8"), re.MULTILINE))
SCRIPTS = "".join(path.read_text("utf-8") for path in (ROOT / "scripts").glob("*.sh"))


def test_every_variable_of_the_document_is_read_and_every_one_that_is_read_is_in_the_document() -> None:
    read = set(re.findall(r"readEnvironmentVariable\('([A-Z_]+)'", PARAMETERS))
    switches = set(re.findall(r"\$\{([A-Z_]+):-", SCRIPTS)) & {"DESKBRIDGE_APPLY_SETTINGS", "WAIT_SECONDS"}
    text = DOCUMENT.replace("`…_CLIENT`", "`DESKBRIDGE_APP_REGISTRATION_CLIENT`")
    named = set(re.findall(r"\b(?:AZURE|DESKBRIDGE)_[A-Z_]*[A-Z]\b|\bWAIT_SECONDS\b", text))
    known = read | switches | OUTPUTS | {"AZURE_STORAGE_CONNECTION_STRING"}
    assert named - known == set()
    assert (read | switches) - named == set()


def test_defaults_in_the_document_are_those_of_the_parameters() -> None:
    defaults = dict(re.findall(r"readEnvironmentVariable\('([A-Z_]+)', '([^']*)'\)", PARAMETERS))
    rows = re.findall(r"^\| `([A-Z_]+)` \| `([^`]*)` \|", DOCUMENT, re.MULTILINE)
    assert len(rows) > 8
    for name, default in rows:
        expected = defaults.get(name) or (re.findall(rf"\$\{{{name}:-([a-z]+)\}}", SCRIPTS) or [""])[0]
        assert expected == default, name


def test_the_table_of_rights_has_every_role_that_is_granted_and_no_other() -> None:
    facts = yaml.safe_load((ROOT / "facts.yaml").read_text("utf-8"))
    granted = sorted(facts["roles"][role]["name"] for roles in facts["grants"].values() for role in roles)
    table = DOCUMENT.split("| Who | On what | Role | For |")[1].split("\n\n")[0]
    rows = [row.split("|")[3].strip() for row in table.splitlines() if row.startswith("|")][1:]
    assert sorted(rows) == granted


def test_files_and_modules_that_the_document_names_are_there() -> None:
    for path in set(re.findall(r"\binfra/[\w./-]*\.(?:bicep|bicepparam|sh|yaml|json)", DOCUMENT)):
        assert (ROOT.parent / path).exists(), path
    for module in set(re.findall(r"python -m (infra\.\w+)", DOCUMENT)):
        assert Path(ROOT.parent, *module.split("."), "__main__.py").is_file(), module


def test_it_says_plainly_what_was_not_tried() -> None:
    assert "Not yet done by anybody:\ndeploying them, and running the PowerShell scripts." in DOCUMENT
