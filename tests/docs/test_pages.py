"""The pages know every setting, reason, operator and endpoint, and name none that there is not."""

import re
from pathlib import Path

import pytest

from functions.http.endpoints import declared_endpoints
from lab.access_table import PAGE, what_opens, written
from shared.environment import CLIENT_SECRET_PREFIX, VARIABLES
from shared.reasons import Reason
from shared.rules.operators import OPERATORS
from tests.registered import FUNCTIONS

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {path.name: path.read_text("utf-8") for path in DOCS.glob("*.md")}
ROOT = DOCS.parent
# The platform's own, which settings.md explains.
OF_THE_PLATFORM = {"WEBSITE_AUTH_ENABLED", "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "WEBSITE_INSTANCE_ID"}


def rows(page: str) -> dict[str, list[str]]:
    """The rows of all tables of a page whose first cell is a code: that code to the other cells."""
    found: dict[str, list[str]] = {}
    for line in PAGES[page].splitlines():
        match = re.match(r"\| `([^`]+)` \|(.*)\|$", line)
        if match is not None:
            assert match[1] not in found, f"{match[1]} stands twice in {page}"
            found[match[1]] = [cell.strip() for cell in re.split(r"(?<!\\)\|", match[2])]
    return found


def test_every_setting_stands_in_the_page_with_its_default_and_no_other_does() -> None:
    documented = rows("settings.md")
    assert set(documented) == {variable.name for variable in VARIABLES}
    for variable in VARIABLES:
        default, about = documented[variable.name]
        assert default.strip("`") == (variable.default or ""), variable.name
        assert ("**Secret" in about) is variable.secret, variable.name


def test_no_page_speaks_of_a_setting_of_the_app_that_there_is_not() -> None:
    known = {variable.name for variable in VARIABLES}
    in_deployment = set(re.findall(r"DESKBRIDGE_[A-Z0-9_]+", (ROOT / "infra" / "main.bicepparam").read_text("utf-8")))
    scripts = "".join(path.read_text("utf-8") for path in (ROOT / "infra" / "scripts").iterdir() if path.is_file())
    in_scripts = set(re.findall(r"DESKBRIDGE_[A-Z0-9_]+", scripts))
    on_the_way = {"DESKBRIDGE_TOKEN", *in_deployment, *in_scripts}
    for name, text in PAGES.items():
        if name == "deploy.md":
            # It has variables of the deployment, and a test of its own.
            continue
        named = set(re.findall(r"\bDESKBRIDGE_[A-Z0-9_]+", text))
        unknown = {one for one in named if not one.startswith(CLIENT_SECRET_PREFIX)} - known - on_the_way
        assert not unknown, f"{name}: {unknown}"


def test_every_reason_has_its_meaning_and_cure_and_no_other_does() -> None:
    documented = rows("errors.md")
    assert set(documented) == {str(reason) for reason in Reason}
    for reason, (meaning, cure) in documented.items():
        assert len(meaning) > 10, reason
        assert len(cure) > 10, reason


def test_every_reason_is_one_that_the_product_gives() -> None:
    code = "".join(
        path.read_text("utf-8")
        for folder in ("shared", "functions")
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "reasons.py"
    )
    unused = [reason for reason in Reason if not re.search(rf"Reason\.{reason.name}\b|\"{reason}\"", code)]
    assert not unused


def test_every_operator_of_a_rule_is_explained() -> None:
    text = PAGES["aws-ec2.md"]
    assert {name for name in OPERATORS if f"`{name}`" not in text} == set()


def documented_endpoints() -> dict[tuple[str, str], str]:
    """Method and address of each endpoint of api.md, and the text that follows."""
    sections = re.split(r"^### ", PAGES["api.md"], flags=re.MULTILINE)[1:]
    found: dict[tuple[str, str], str] = {}
    for section in sections:
        match = re.search(r"^`([A-Z]+) /api/([^`]+)` \(([^)]+)\)$", section, re.MULTILINE)
        if match is not None:
            found[match[1], match[2]] = section
    return found


def test_every_endpoint_stands_in_the_page_with_its_key_parameters_and_example_and_no_other_does() -> None:
    endpoints = {
        (each.methods[0], re.sub(r":[^}]*", "", each.route)): each
        for each in declared_endpoints().values()
        if each.function in FUNCTIONS
    }
    documented = documented_endpoints()
    assert set(documented) == set(endpoints)
    for address, declared in endpoints.items():
        text = documented[address]
        assert f"({what_opens(declared)})" in text, address
        assert "```sh\n" in text, address
        missing = {query.name for query in declared.query or () if f"`{query.name}`" not in text}
        assert not missing, f"{address}: {missing}"
        assert not declared.if_match or "If-Match" in text, address


def test_the_table_of_who_may_call_what_is_that_of_the_declarations() -> None:
    page = PAGE.read_text("utf-8")
    assert page == written(page), "run .venv/bin/python -m lab.access_table"


@pytest.mark.parametrize("page", sorted(PAGES))
def test_a_link_to_another_page_or_heading_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#\s]*(?:#[^)\s]*)?)\)", PAGES[page]):
        name, _, heading = target.partition("#")
        if "://" in target:
            continue
        path = (DOCS / name) if name else DOCS / page
        assert path.exists(), f"{page}: {target}"
        if heading:
            text = path.read_text("utf-8")
            slugs = {slug(line.lstrip("# ")) for line in text.splitlines() if line.startswith("#")}
            assert heading in slugs, f"{page}: {target}"


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.casefold()).strip().replace(" ", "-")


def test_no_page_speaks_of_an_address_of_the_api_that_there_is_not() -> None:
    routes = [
        re.compile("/api/" + re.sub(r"\\\{[^}]*\\\}", "[^/?\\\\s`\"')]+", re.escape(each.route)) + r"$")
        for each in declared_endpoints().values()
    ]
    for name, text in PAGES.items():
        for address in re.findall(r"(?:\$DESK|[A-Z]+ |`)(/api/[^\s`\"'?|)]*)", text):
            plain = address.rstrip(".,;:/")
            # The console's files are no part of the API.
            if plain in {"/api", "/api/console"} or "…" in plain:
                continue
            assert any(route.match(plain) for route in routes), f"{name}: {address}"


def test_each_term_of_the_glossary_stands_once_with_a_place_that_there_is() -> None:
    terms: list[str] = []
    for line in PAGES["glossary.md"].splitlines():
        if not line.startswith("| ") or line.startswith("| Term"):
            continue
        term, meaning, place = (cell.strip() for cell in line.strip("|").split("|"))
        terms.append(term)
        assert meaning.endswith("."), line
        assert all(len(sentence.split()) <= 25 for sentence in re.split(r"[.?:] ", meaning)), line
        assert not place or (ROOT / place.strip("`")).is_file(), line
    assert len(set(terms)) == len(terms) > 80
