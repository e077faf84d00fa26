"""Credentials over HTTP."""

import json
from collections.abc import Iterator
from typing import Any

import azure.functions as func
import pytest

from functions import api_credentials
from lab.emulators.key_vault import VaultInterface
from shared import bootstrap
from tests.tokens import token_header, tokens_in_memory
from tests.vaults.conftest import Desk

STORE = b'{"check": "store"}'


@pytest.fixture
def app(desk: Desk) -> Iterator[Desk]:
    """The desk, as the triggers find it."""
    bootstrap.reset()
    bootstrap.replace("environment", desk.environment)
    bootstrap.replace("settings", desk.settings)
    bootstrap.replace("vaults", desk.vaults)
    bootstrap.replace("access_tokens", tokens_in_memory())
    yield desk
    bootstrap.reset()


def call(trigger: Any, name: str, body: bytes = b"") -> tuple[int, Any]:
    request = func.HttpRequest(
        method="POST", url="/api", headers=token_header(), route_params={"name": name}, body=body
    )
    answer = trigger.build().get_user_function()(request)
    return answer.status_code, json.loads(answer.get_body())


def test_a_good_store_and_a_good_credential_are_told_so(app: Desk, vault: VaultInterface) -> None:
    version = vault.add_secret("user", '{"username": "desk", "password": "pa55word"}')
    app.store("main", vault)
    app.put("credentials", "user", scope="any", store="main", secret="user")

    assert call(api_credentials.check_credential_store, "main", STORE) == (
        200,
        {
            "ok": True,
            "summary": "The credential store main is ready: its identity can read secrets.",
            "reason": None,
            "remedy": "",
            "may_pass": False,
            "store": "main",
            "vault": vault.name,
            "identity": "system-assigned identity of this host",
            "secret": None,
            "notes": [],
        },
    )
    status, found = call(api_credentials.check_credential, "user")
    assert (status, found["ok"]) == (200, True)
    assert found["secret"] == {
        "name": "user",
        "version": version,
        "length": 44,
        "expires_at": None,
        "fields": ["password", "username"],
    }
    assert "pa55word" not in json.dumps(found)


def test_a_bad_credential_is_an_answer_and_no_error(app: Desk, vault: VaultInterface) -> None:
    app.store("main", vault)
    app.put("credentials", "user", scope="any", store="main", secret="unknown")
    status, found = call(api_credentials.check_credential, "user")
    assert (status, found["ok"], found["reason"], found["secret"]) == (200, False, "secret_not_found", None)
    assert "az keyvault secret list" in found["remedy"]


def test_a_secret_is_tried_before_it_is_named(app: Desk, vault: VaultInterface) -> None:
    vault.add_secret("user", "pa55word")
    app.store("main", vault)
    assert (
        call(api_credentials.check_credential_store, "main", b'{"check": "secret", "secret": "user"}')[1]["ok"] is True
    )
    for body in (b"[]", b'{"check": "secret", "secret": "a b"}', b'{"check": "store", "secrt": "a"}', b"{", b""):
        status, problem = call(api_credentials.check_credential_store, "main", body)
        assert (status, problem["reason"] in {"body_invalid", "body_not_readable"}) == (400, True)


@pytest.mark.parametrize("trigger", ["check_credential_store", "check_credential", "list_credential_uses"])
def test_what_is_not_there_is_a_404(trigger: str, app: Desk) -> None:
    body = STORE if trigger == "check_credential_store" else b""
    status, problem = call(getattr(api_credentials, trigger), "none", body)
    assert (status, problem["reason"]) == (404, "not_found")


def test_the_uses_of_a_credential_are_listed(app: Desk, vault: VaultInterface) -> None:
    app.store("main", vault)
    app.put("credentials", "user", scope="any", store="main", secret="user")
    assert call(api_credentials.list_credential_uses, "user") == (200, {"items": [], "next": None})
