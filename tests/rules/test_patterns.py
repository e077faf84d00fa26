"""Patterns of rules are counted before they are compiled, compiled once, and kept up to a size."""

from pathlib import Path
from typing import Any

import pytest
from pydantic_core import SchemaError, SchemaValidator, core_schema

from shared.assets.documents.aws_tenants import AwsTenantDocument
from shared.errors import InvalidInputError
from shared.rules.patterns import LARGEST_PATTERNS, LONGEST_PATTERN, MOST_PATTERNS, PatternCache, estimated_size
from shared.rules.rule_set import compile_rules
from shared.settings.base import SettingsDocument
from shared.settings.validation import check_document
from shared.tickets.documents import KeyVaultEvents
from shared.users.documents import AuthRocketRealmDocument
from tests.costs import cpu_of
from tests.settings.test_unreadable import REALM, TENANT

MIB = 1024 * 1024


def criteria(pattern: str, number: int, operator: str = "matches", field: str = "name") -> list[dict[str, str]]:
    return [{"field": field, "operator": operator, "value": f"{pattern}{each}"} for each in range(number)]


def tickets(found: list[dict[str, str]]) -> dict[str, Any]:
    rules = [
        {"name": f"rule {number}", "criteria": [{**one, "field": "object_name"}]} for number, one in enumerate(found)
    ]
    return {"credentials": {"current": {"credential": "main"}}, "ticket_rules": rules}


def types(found: list[dict[str, str]]) -> dict[str, Any]:
    rules = [{"asset_type": "server", "criteria": [one]} for one in found]
    return {**TENANT, "asset_type": {"mode": "rules", "default": "server", "rules": rules}}


def sites(document: dict[str, Any], found: list[dict[str, str]]) -> dict[str, Any]:
    return {**document, "site_rules": [{"site": "leeds", "criteria": [one]} for one in found]}


DOORS: dict[str, Any] = {
    "ticket rules": (KeyVaultEvents, "default", tickets),
    "asset types": (AwsTenantDocument, "acorn", types),
    "sites of assets": (AwsTenantDocument, "acorn", lambda found: sites(TENANT, found)),
    "sites of users": (AuthRocketRealmDocument, "main", lambda found: sites(REALM, found)),
}


def check(door: str, found: list[dict[str, str]]) -> SettingsDocument:
    cls, name, build = DOORS[door]
    document: SettingsDocument = check_document(cls, name, build(found))
    return document


def resident() -> float:
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * 4096 / MIB


@pytest.mark.parametrize("operator", ["matches", "does_not_match"])
@pytest.mark.parametrize("door", DOORS)
def test_82_kb_of_rules_no_longer_take_gigabytes(door: str, operator: str) -> None:
    plain = criteria("x" * LONGEST_PATTERN, 82, "equals")
    hostile = criteria(r"\w{900}" + "x" * (LONGEST_PATTERN - 20), 82, operator)
    before = resident()
    with pytest.raises(InvalidInputError, match="too large"):
        check(door, hostile)
    assert resident() - before < 20
    assert cpu_of(lambda: check(door, hostile)) < 50 * cpu_of(lambda: check(door, plain))


@pytest.mark.parametrize(
    "pattern", [r"\w", r"^\p{L}+-\d+$", r"[\w-]{1,4}", "a{500}", r"(\d{5}){4}", ".{30}", "(?i)grüße-[a-z0-9]{9}"]
)
def test_the_largest_patterns_that_are_accepted_stay_within_their_budget(pattern: str) -> None:
    number = min(MOST_PATTERNS, LARGEST_PATTERNS // (estimated_size(pattern) + 200))

    def match(operator: str) -> None:
        document = check("ticket rules", criteria(pattern, number, operator))
        assert isinstance(document, KeyVaultEvents)
        rules = compile_rules(document.rules())
        for each in range(50):
            rules.first_match({"object_name": f"web-{each} ü 99999" * 20})

    before = resident()
    match("matches")
    assert resident() - before < 200
    assert cpu_of(lambda: match("matches")) < 50 * cpu_of(lambda: match("contains"))
    with pytest.raises(InvalidInputError, match=r"too large|one pattern too many"):
        check("ticket rules", criteria(pattern, number + MOST_PATTERNS))


@pytest.mark.parametrize(
    "pattern",
    [r"\w{50}", r"(\w{5}){9}", r"\d{300}", r"\p{L}{20}", r"\pN{20}", r"[\w\d]{40}", r"[[\w]x]{40}", ".{900}",
     "[^a]{900}", r"(?i)[a-zé]{200}", "a{1000}", r"((\w{3}){3}){3}", r"\W{20}", r"(?:\w|\d){30}", r"\w{30,}"],
)  # fmt: skip
def test_the_estimate_is_no_less_than_what_the_engine_takes(pattern: str) -> None:
    before = resident()
    schemas = [core_schema.str_schema(pattern=f"{pattern}{each}", regex_engine="rust-regex") for each in range(20)]
    try:
        kept = [SchemaValidator(schema) for schema in schemas]
    except SchemaError as error:
        assert "size limit" in str(error)  # noqa: PT017 - the engine refuses what would be over 10 MiB
        return
    assert len(kept) == 20
    assert (resident() - before) / 20 < 2 * estimated_size(pattern) / MIB + 0.2


def test_a_pattern_is_compiled_once_and_the_oldest_are_dropped() -> None:
    cache = PatternCache(kept=10 * estimated_size(r"\w"))
    assert cache.get(r"\w") is cache.get(r"\w")
    first = cache.get(r"\w")
    for number in range(20):
        cache.get(rf"\w{number}")
    assert cache.get(r"\w") is not first
