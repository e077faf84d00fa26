"""Patterns of rules are counted before they are compiled, compiled once, and kept up to a size."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import SchemaError, SchemaValidator, core_schema

from shared.assets.documents.aws_tenants import AwsTenantDocument
from shared.errors import InvalidInputError
from shared.rules import operators, patterns, rule_set
from shared.rules.documents import to_criteria
from shared.rules.model import Criterion, Rule
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


def _rules_of(document: SettingsDocument) -> Callable[[Mapping[str, object]], object]:
    """What looks a record up in the rules of a document, as its feature does."""
    if isinstance(document, KeyVaultEvents):
        return compile_rules(document.rules()).first_match
    criteria = [to_criteria(rule.criteria) for rule in _rule_documents(document)]
    return compile_rules([Rule(str(number), one, number) for number, one in enumerate(criteria)]).first_match


def _rule_documents(document: SettingsDocument) -> Any:
    assert isinstance(document, AwsTenantDocument | AuthRocketRealmDocument)
    if isinstance(document, AwsTenantDocument) and document.asset_type.rules:
        return document.asset_type.rules
    return document.site_rules


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is compiled from here on, by a cache that is empty and keeps little."""
    found: list[str] = []
    compile_one = patterns._compile

    def noting(pattern: str) -> SchemaValidator:
        found.append(pattern)
        return compile_one(pattern)

    monkeypatch.setattr(patterns, "_compile", noting)
    monkeypatch.setattr(operators, "PATTERNS", cache := PatternCache(kept=500))
    monkeypatch.setattr(rule_set, "PATTERNS", cache)
    monkeypatch.setattr(patterns, "PATTERNS", cache)
    return found


@pytest.mark.parametrize("door", DOORS)
def test_each_pattern_is_compiled_once_while_checked_and_the_joined_one_for_the_first_record(
    door: str, compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patterns.PATTERNS, "_kept", 64 * MIB)
    found = criteria("^once-[a-z]+-", 30)
    document = check(door, found)
    check(door, found)
    lookups = [_rules_of(document), _rules_of(check(door, found))]
    assert sorted(compiled) == sorted(one["value"] for one in found)
    record = {"name": "web-1", "object_name": "web-1"}
    for look_up in lookups * 2:
        assert look_up(record) is None
    # The second set of the same rules shares what the first has joined.
    assert len(compiled) == 31
    assert lookups[0]({"name": "once-a-7", "object_name": "once-a-7"}) is not None
    assert len(compiled) == 31


def test_whoever_holds_rules_holds_no_pattern_that_was_never_tried(compiled: list[str]) -> None:
    rules = compile_rules([Rule("one", (Criterion("name", "matches", "^held$"),), 1)])
    for number in range(3):
        patterns.PATTERNS.get(f"large {number}")
    assert "^held$" not in patterns.PATTERNS._compiled
    assert rules.outcome({"name": "held"}) == 1
    assert compiled.count("^held$") == 2
