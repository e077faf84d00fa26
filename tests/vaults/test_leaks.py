"""No value ever leaves: not in a log at any level, an exception and its chain, an answer or a table."""

import base64
import json
import logging
import os
import traceback
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import azure.functions as func
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions import api_credentials
from lab.emulators.key_vault import VaultInterface, VaultLab
from lab.faults.leaks import LeakSearch, marker
from lab.faults.network_level_proxy import FaultProxy
from lab.faults.network_level_services import Answer, ForwardedService, ProxiedRequest
from shared import bootstrap, telemetry
from shared.errors import DeskbridgeError
from shared.vaults.checks import CredentialChecks
from shared.vaults.documents.credentials import CredentialReference
from shared.vaults.usage import SecretUses
from tests.tokens import token_header, tokens_in_memory
from tests.vaults.conftest import TENANT, Desk, secret


@given(before=st.binary(max_size=5), after=st.binary(max_size=5))
def test_the_search_finds_a_secret_in_base64_wherever_it_stands(before: bytes, after: bytes) -> None:
    planted = marker("x")
    search = LeakSearch({"x": planted})
    search.search("encoded", base64.b64encode(before + planted.encode() + after))
    assert search.found


@pytest.mark.parametrize("encode", [str, quote, json.dumps, repr, lambda text: quote(text, safe="").lower()])
def test_the_search_finds_a_secret_in_every_form(encode: Callable[[str], str]) -> None:
    planted = marker("x")
    search = LeakSearch({"x": planted})
    search.search("there", f"before {encode(planted)} after")
    search.search("not there", f"before {encode(marker('x'))} after")
    assert {leak.place for leak in search.found} == {"there"}


def call(trigger: Any, name: str, body: bytes = b"", method: str = "POST") -> bytes:
    request = func.HttpRequest(
        method=method, url="/api", headers=token_header(), route_params={"name": name}, body=body
    )
    answer: bytes = trigger.build().get_user_function()(request).get_body()
    return answer


def test_no_planted_secret_shows_in_logs_errors_answers_or_settings(
    lab: VaultLab,
    vault: VaultInterface,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # AP-01
    planted = {purpose: marker(purpose) for purpose in ("plain", "json", "client-secret", "wrong-client-secret")}
    search = LeakSearch(planted)
    caplog.set_level(logging.DEBUG)

    app_name = f"app-{vault.name}"
    app = lab.add_application(name=app_name, client_secrets=[{"value": planted["client-secret"]}])
    vault.grant(app_name, roles=("Key Vault Secrets User",))
    vault.add_secret("plain", planted["plain"], expires_at="-1d")
    vault.add_secret("json", json.dumps({"username": "desk", "password": planted["json"]}))
    desk = Desk(
        {
            **os.environ,
            "DESKBRIDGE_VERIFY_CHALLENGE_RESOURCE": "false",
            "AzureTenantId": TENANT,
            "AzureClientId": app["client_id"],
            "AzureClientSecret": planted["client-secret"],
            "DESKBRIDGE_CLIENT_SECRET_WRONG": planted["wrong-client-secret"],
        }
    )
    own = {"method": "client_secret", "authority": lab.entra_url}
    desk.store("main", vault, **own)
    desk.store("denying", vault, expired="deny")
    desk.store("wrong", vault, client_secret_setting="DESKBRIDGE_CLIENT_SECRET_WRONG", **own)
    references = {
        f"{store}/{name}/{field}": secret(store, name, **({"value_field": field} if field else {}))
        for store in ("main", "denying", "wrong")
        for name in ("plain", "json", "unknown")
        for field in ("", "password", "nothing")
    }
    read = 0
    for place, reference in references.items():
        for fetch in (desk.read, desk.read_pair):
            try:
                value = fetch(reference)
                read += 1
                search.search(f"repr of {place}", repr(value))
            except DeskbridgeError as error:
                search.search(f"error of {place}", "".join(traceback.format_exception(error)))
                search.search(f"error of {place}", repr(error) + str(error) + error.remedy + repr(error.faults))
    assert read > 5, "nothing was read, so nothing could leak"

    checks = CredentialChecks(desk.settings, desk.vaults, bootstrap.now)
    monkeypatch.setattr(bootstrap, "environment", lambda: desk.environment)
    tokens = tokens_in_memory()
    monkeypatch.setattr(bootstrap, "access_tokens", lambda: tokens)
    monkeypatch.setattr(bootstrap, "credential_checks", lambda: checks)
    monkeypatch.setattr(bootstrap, "settings", lambda: desk.settings)
    monkeypatch.setattr(bootstrap, "secret_uses", lambda: SecretUses(desk.settings))
    for store in ("main", "denying", "wrong"):
        search.search("answer", call(api_credentials.check_credential_store, store))
        for name in ("plain", "json", "unknown"):
            trial = json.dumps({"secret": name, "password_field": "password"}).encode()
            search.search("answer", call(api_credentials.check_credential_store, store, trial))
            desk.put("credentials", "aws", scope="any", store=store, secret=name)
            search.search("answer", call(api_credentials.check_credential, "aws"))
            desk.credentials.invalidate(CredentialReference(credential="aws"))
    search.search("answer", call(api_credentials.list_credential_uses, "aws", method="GET"))

    search.search("the settings table", repr(desk.table.rows))
    search.search("the product's objects", repr(vars(desk.credentials)) + repr(vars(desk.vaults)))
    for record in caplog.records:
        search.search(f"log of {record.name}", record.getMessage() + repr(record.args) + repr(record.exc_info))
    assert search.searched > 10_000
    assert search.found == []


class _Cut:
    """Passes on half of what the identity endpoint answers, as if it were all."""

    def __init__(self, address: str) -> None:
        self._behind = ForwardedService(address)

    def kinds(self, asked: ProxiedRequest) -> Sequence[str]:
        del asked
        return ()

    def answer(self, asked: ProxiedRequest, kind: str) -> Answer:
        status, headers, content = self._behind.answer(asked, kind)
        return status, headers, content[: len(content) // 2]


def test_a_token_that_could_not_be_read_is_in_no_log(
    lab: VaultLab,
    vault: VaultInterface,
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Found on the wire: azure-identity warns of an answer that is no JSON, and shows it."""
    endpoint = urlsplit(lab.environment()["IDENTITY_ENDPOINT"])
    with FaultProxy(_Cut(f"{endpoint.scheme}://{endpoint.netloc}"), seed=1) as proxy:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{proxy.url}{endpoint.path}")
        telemetry.quieten_sdks()
        desk.store("main", vault)
        with pytest.raises(DeskbridgeError) as refused:
            desk.read(secret("main", "ec2-key"))
        assert proxy.requests
    assert "eyJ" not in f"{caplog.text} {refused.value} {refused.value.remedy}"
