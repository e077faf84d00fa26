"""The OpenAPI document: it knows every endpoint, and is valid."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_spec_validator import validate

from functions.http.access import Door
from functions.http.endpoints import declared_endpoints
from shared import bootstrap
from shared.access.roles import Role
from shared.reasons import Reason
from tests.api.calling import call
from tests.registered import FUNCTIONS
from tests.tokens import tokens_in_memory


@pytest.fixture(scope="module")
def document() -> Iterator[Any]:
    bootstrap.reset()
    bootstrap.replace("access_tokens", tokens_in_memory())
    yield call("GET", "openapi.json").json
    bootstrap.reset()


def http_functions() -> dict[str, Any]:
    return {name: each.get_trigger() for name, each in FUNCTIONS.items() if each.get_trigger().type == "httpTrigger"}


def operations(document: Any) -> list[tuple[str, str, Any]]:
    return [
        (path, method.upper(), operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]


def test_the_document_is_valid(document: Any) -> None:
    validate(document)


def test_every_http_function_of_the_app_is_described_and_no_other(document: Any) -> None:
    served = {
        (f"/api/{re.sub(r':[^}]*', '', trigger.route)}", str(getattr(method, "value", method)))
        for name, trigger in http_functions().items()
        for method in trigger.methods
        # The console's files are no part of the API.
        if name != "show_console"
        and str(getattr(method, "value", method)) not in declared_endpoints()[name].hidden_methods
    }
    assert {(path, method) for path, method, _ in operations(document)} == served


def test_to_the_host_every_endpoint_is_anonymous_but_the_one_that_makes_the_first_token() -> None:
    levels = {
        name: str(getattr(trigger.auth_level, "value", trigger.auth_level)).casefold().rsplit(".", 1)[-1]
        for name, trigger in http_functions().items()
    }
    assert {name for name, level in levels.items() if level != "anonymous"} == {"make_administrator_token"}
    assert levels["make_administrator_token"] == "function"


def test_what_changes_something_is_no_readers() -> None:
    for declared in declared_endpoints().values():
        if declared.methods != ("GET",):
            assert declared.access is not Role.READER, declared.function


def test_only_these_endpoints_need_no_role() -> None:
    doors = {each.function: each.access for each in declared_endpoints().values() if isinstance(each.access, Door)}
    assert doors == {
        "show_health": Door.OPEN,
        "receive_key_vault_events": Door.OPEN,
        "receive_authrocket_event": Door.OPEN,
        "show_calendar": Door.CALENDAR_TOKEN,
        "make_administrator_token": Door.HOST_KEY,
    }


def test_every_operation_says_what_it_answers_with_and_why_it_refuses(document: Any) -> None:
    known = {str(reason) for reason in Reason}
    for path, method, operation in operations(document):
        where = f"{method} {path}"
        assert operation["summary"], where
        assert any(status.startswith("2") for status in operation["responses"]), where
        for status, response in operation["responses"].items():
            assert response["description"], f"{where} {status}"
            problem = response.get("content", {}).get("application/problem+json")
            if problem is not None and "allOf" in problem["schema"]:
                narrowed = problem["schema"]["allOf"][1]["properties"]
                assert narrowed["status"]["const"] == int(status), where
                assert set(narrowed["reason"]["enum"]) <= known, where


def test_every_body_has_an_example(document: Any) -> None:
    for path, method, operation in operations(document):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            assert "example" in content, f"{method} {path}"


def test_every_list_has_pages_with_a_stated_largest_one(document: Any) -> None:
    for path, method, operation in operations(document):
        names = {parameter["name"]: parameter for parameter in operation["parameters"]}
        if "limit" in names:
            # A page of an export ends at 10 MB, however many records that are.
            most = 100_000 if "/exports/" in path else 1000
            assert names["limit"]["schema"]["maximum"] <= most, f"{method} {path}"
            assert "after" in names, f"{method} {path}"
