"""The list of what is deployed says exactly what requirements.txt says, in the form of CycloneDX 1.6."""

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator  # type: ignore[import-untyped] # it publishes no types

from lab.sbom import ROOT, VENDORED, bill_of_materials, pins

REQUIREMENTS = (ROOT / "requirements.txt").read_text("utf-8")
# The members that the list has, as CycloneDX 1.6 defines them; it refuses any other.
_LICENSES = {
    "type": "array",
    "items": {
        "oneOf": [
            {
                "required": ["expression"],
                "properties": {"expression": {"type": "string"}},
                "additionalProperties": False,
            },
            {
                "required": ["license"],
                "properties": {"license": {"required": ["id"], "properties": {"id": {"pattern": "^[A-Za-z0-9.+-]+$"}}}},
                "additionalProperties": False,
            },
        ]
    },
}
_HASH = {
    "required": ["alg", "content"],
    "properties": {"alg": {"const": "SHA-256"}, "content": {"pattern": "^[a-f0-9]{64}$"}},
}
_COMPONENT = {
    "type": "object",
    "required": ["type", "name"],
    "additionalProperties": False,
    "properties": {
        "type": {"enum": ["application", "library"]},
        "bom-ref": {"type": "string", "minLength": 1},
        "name": {"type": "string"},
        "version": {"type": "string"},
        "description": {"type": "string"},
        "scope": {"enum": ["required", "optional", "excluded"]},
        "purl": {"type": "string", "pattern": r"^pkg:(pypi|npm)/[a-z0-9-]+@[^@\s]+$"},
        "hashes": {"type": "array", "items": _HASH},
        "licenses": _LICENSES,
        "properties": {"type": "array", "items": {"required": ["name", "value"]}},
        "externalReferences": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["type", "url"],
                "additionalProperties": False,
                "properties": {
                    "type": {"const": "distribution"},
                    "url": {"type": "string", "pattern": "^https://files\\.pythonhosted\\.org/"},
                    "hashes": {"type": "array", "items": _HASH},
                },
            },
        },
    },
}
SCHEMA = {
    "type": "object",
    "required": ["bomFormat", "specVersion"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"const": "http://cyclonedx.org/schema/bom-1.6.schema.json"},
        "bomFormat": {"const": "CycloneDX"},
        "specVersion": {"const": "1.6"},
        "serialNumber": {"pattern": "^urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"},
        "version": {"type": "integer", "minimum": 1},
        "metadata": {"type": "object", "additionalProperties": False, "properties": {"component": _COMPONENT}},
        "components": {"type": "array", "uniqueItems": True, "items": _COMPONENT},
        "dependencies": {
            "type": "array",
            "uniqueItems": True,
            "items": {"required": ["ref"], "properties": {"dependsOn": {"type": "array", "uniqueItems": True}}},
        },
    },
}


@pytest.fixture(scope="module")
def bill() -> dict[str, Any]:
    return bill_of_materials()


def test_the_list_has_the_form_of_cyclonedx(bill: dict[str, Any]) -> None:
    assert [error.message for error in Draft7Validator(SCHEMA).iter_errors(bill)] == []
    assert bill == bill_of_materials()


def test_it_lists_exactly_what_is_deployed(bill: dict[str, Any]) -> None:
    deployed = re.findall(r"^([a-z0-9-]+)==(\S+)", REQUIREMENTS, re.MULTILINE)
    assert len(deployed) > 30
    *packages, vendored = bill["components"]
    assert [(one["name"], one["version"]) for one in packages] == deployed
    assert vendored["purl"] == "pkg:npm/htm@3.1.1"
    assert vendored["hashes"][0]["content"] == hashlib.sha256((ROOT / VENDORED).read_bytes()).hexdigest()
    assert f"htm {vendored['version']}" in (ROOT / "NOTICE").read_text("utf-8")


def test_its_hashes_are_those_that_the_deployment_asks_for(bill: dict[str, Any]) -> None:
    wanted = {
        (name, version): set(re.findall(r"--hash=sha256:([0-9a-f]{64})", block))
        for name, version, block in re.findall(
            r"^([a-z0-9-]+)==(\S+)(.*?)(?=^[a-z0-9]|\Z)", REQUIREMENTS, re.MULTILINE | re.DOTALL
        )
    }
    for one in bill["components"][:-1]:
        listed = {each["content"] for file in one["externalReferences"] for each in file["hashes"]}
        assert listed == wanted[one["name"], one["version"]], one["name"]


def test_everything_in_it_is_there_because_something_needs_it(bill: dict[str, Any]) -> None:
    refs = {one["bom-ref"] for one in bill["components"]}
    needs = {one["ref"]: one["dependsOn"] for one in bill["dependencies"]}
    app = bill["metadata"]["component"]["bom-ref"]
    assert set(needs) == refs | {app}
    reached, waiting = set[str](), [app]
    while waiting:
        for ref in needs[waiting.pop()]:
            if ref not in reached:
                reached.add(ref)
                waiting.append(ref)
    assert reached == refs


def test_licences_are_named_where_the_package_is_installed(bill: dict[str, Any]) -> None:
    unknown = [one["name"] for one in bill["components"] if "licenses" not in one]
    # Of the two release lines only one can be installed here.
    assert set(unknown) <= {"azure-functions", "pywin32"}


def test_a_line_that_pins_nothing_is_no_list(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pins nothing"):
        pins("requests>=2\n")
