"""Every endpoint, called by everybody there can be: the answer is that of the declarations, and of nothing else."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import azure.functions as func
import pytest

from functions.http import endpoints
from functions.http.access import Door
from functions.http.endpoints import Endpoint, declared_endpoints
from shared import bootstrap
from shared.access.principals import PrincipalKind
from shared.access.roles import Role
from shared.access.token_format import new_token
from shared.bootstrap.kinds import KINDS
from shared.errors import NotFoundError
from shared.reasons import Reason
from tests.api.calling import Sent, call
from tests.api.conftest import CREDENTIAL, STORE, tables
from tests.fakes.tables import MemoryTables
from tests.registered import FUNCTIONS

__all__ = ["tables"]

ADMITTED = (404, "not_found")
ROLES = tuple(Role)
_BEYOND = {"reader": 0, "operator": 1, "administrator": 2}


def principal_header(*roles: str) -> dict[str, str]:
    claims = {"claims": [{"typ": "roles", "val": role} for role in roles]}
    header = base64.b64encode(json.dumps(claims).encode()).decode()
    return {"X-MS-CLIENT-PRINCIPAL": header, "Authorization": "Bearer sent-by-the-caller"}


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch, tables: MemoryTables) -> None:
    """Whoever is let in gets no further: nothing is done, and 404 says that the door was open."""

    def stop(_request: func.HttpRequest, _declared: Endpoint) -> None:
        raise NotFoundError(Reason.NOT_FOUND, "let in")

    monkeypatch.setattr(endpoints, "_check_findable", stop)
    monkeypatch.setattr(endpoints, "check", lambda *_, **__: None)
    monkeypatch.setattr(endpoints, "report_undeclared", lambda *_: None)


def ask(declared: Endpoint, headers: Mapping[str, str], kind: str = "sites", token: str = "") -> tuple[int, str]:
    function = FUNCTIONS[declared.function]
    request = func.HttpRequest(
        method=declared.methods[0],
        url="https://desk.example/api",
        headers=headers,
        params={"token": token} if token else {},
        route_params={name: kind if name == "kind" else "nothing" for name in declared.path_parameters},
        body=b"",
    )
    outputs: dict[str, Any] = {
        binding.name: Sent()
        for binding in function.get_bindings()
        if binding.type == "queue" and str(binding.direction) not in {"0", "BindingDirection.IN"}
    }
    answer = function.get_user_function()(req=request, **outputs)
    content = answer.get_body()
    return answer.status_code, json.loads(content).get("reason", "") if content else ""


def guarded() -> list[Endpoint]:
    return [each for each in declared_endpoints().values() if isinstance(each.access, Role)]


def expected(declared: Endpoint, role: Role, kind: str, *, limited: bool = False) -> tuple[int, str]:
    needed = declared.access
    if declared.by_kind and "kind" in declared.path_parameters:
        needed = KINDS.get(kind).writable_by
    if _BEYOND[role] < _BEYOND[str(needed)]:
        return 403, "role_too_low"
    return (403, "customers_only") if limited and not declared.by_customer else ADMITTED


def test_every_endpoint_of_the_app_is_declared() -> None:
    served = {name for name, each in FUNCTIONS.items() if each.get_trigger().type == "httpTrigger"}
    # The console's files are no part of the API.
    assert served == {*declared_endpoints(), "show_console"}


def test_a_signed_in_browser_writes_from_the_desks_own_page_alone(
    stopped: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "callers_are_signed_in", lambda: True)
    cookie = {"X-MS-CLIENT-PRINCIPAL": principal_header("Deskbridge.Administrator")["X-MS-CLIENT-PRINCIPAL"]}
    own = {**cookie, "Sec-Fetch-Site": "same-origin", "X-Deskbridge-Console": "1"}
    foreign: list[dict[str, str]] = [
        cookie,
        {**own, "Sec-Fetch-Site": "cross-site"},
        {**own, "Sec-Fetch-Site": "same-site"},
        {**own, "Sec-Fetch-Site": "none"},
        {**cookie, "Sec-Fetch-Site": "same-origin"},
        {**cookie, "X-Deskbridge-Console": "1"},
        {**own, "Sec-Fetch-Site": "cross-site", "Authorization": ""},
        {**cookie, "Authorization": "Basic eDp5"},
        {**cookie, "Authorization": "junk"},
    ]
    writes = [each for each in guarded() if each.methods != ("GET",)]
    assert len(writes) > 20
    for declared in guarded():
        assert ask(declared, own) == ADMITTED, declared.function
        for headers in foreign:
            wanted = ADMITTED if declared.methods == ("GET",) else (403, "other_site")
            assert ask(declared, headers) == wanted, (declared.function, headers)


@pytest.mark.parametrize("platform", [False, True])
def test_nobody_and_whoever_brings_no_good_token_gets_in_nowhere(
    stopped: None, platform: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = bootstrap.access_tokens()
    now = datetime.now(UTC)
    _, old = tokens.make("old", by="test", role=Role.ADMINISTRATOR, expires_at=now - timedelta(days=1))
    _, revoked = tokens.make("revoked", by="test", role=Role.ADMINISTRATOR)
    tokens.revoke("revoked", by="test")
    _, calendar = tokens.make("calendar", by="test", kind=PrincipalKind.CALENDAR, role=Role.ADMINISTRATOR)
    _, good = tokens.make("good", by="test", role=Role.ADMINISTRATOR)
    if platform:
        monkeypatch.setattr(bootstrap, "callers_are_signed_in", lambda: True)
    bad = {
        "desk_short": "access_token_malformed",
        good[:-1]: "access_token_malformed",
        new_token(): "access_token_unknown",
        old: "access_token_expired",
        revoked: "access_token_revoked",
    }
    for declared in guarded():
        nobody = (503, "sign_in_expected") if platform else (401, "access_token_missing")
        assert ask(declared, {}) == nobody, declared.function
        assert ask(declared, {"x-functions-key": "default"}) == nobody, declared.function
        for token, reason in bad.items():
            wanted = (401, "access_tokens_off" if platform else reason)
            assert ask(declared, {"X-Api-Key": token}) == wanted, declared.function
        wanted = (401, "access_tokens_off") if platform else (403, "access_token_kind")
        assert ask(declared, {"X-Api-Key": calendar}) == wanted, declared.function
        if platform:
            assert ask(declared, {"X-Api-Key": good}) == (401, "access_tokens_off"), declared.function


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("kind", ["sites", "credentials"])
def test_each_role_gets_in_where_the_declarations_say(stopped: None, role: Role, kind: str) -> None:
    tokens = bootstrap.access_tokens()
    _, whole = tokens.make("whole", by="test", role=role)
    _, limited = tokens.make("limited", by="test", role=role, customers=["oak"])
    forged = principal_header("Deskbridge.Administrator")
    for declared in guarded():
        assert ask(declared, {"X-Api-Key": whole}, kind) == expected(declared, role, kind), declared.function
        wanted = expected(declared, role, kind, limited=True)
        assert ask(declared, {"X-Api-Key": limited}, kind) == wanted, declared.function
        # Without the platform in front, a principal header is anybody's words.
        assert ask(declared, {"X-Api-Key": whole, **forged}, kind) == expected(declared, role, kind)
        assert ask(declared, forged, kind) == (401, "access_token_missing"), declared.function


@pytest.mark.parametrize("kind", ["sites", "credentials"])
def test_each_app_role_gets_in_where_the_declarations_say(
    stopped: None, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "callers_are_signed_in", lambda: True)
    for declared in guarded():
        for role in ROLES:
            header = principal_header(f"Deskbridge.{role.title()}")
            assert ask(declared, header, kind) == expected(declared, role, kind), declared.function
            header = principal_header(f"Deskbridge.{role.title()}", "Deskbridge.Customer.oak")
            assert ask(declared, header, kind) == expected(declared, role, kind, limited=True), declared.function
        for header in (principal_header(), principal_header("Other"), {"X-MS-CLIENT-PRINCIPAL": "e30="}):
            assert ask(declared, header, kind) == (403, "role_missing"), declared.function


def test_what_no_role_opens_is_opened_by_what_is_declared_alone(stopped: None, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = bootstrap.access_tokens()
    _, good = tokens.make("good", by="test", role=Role.ADMINISTRATOR)
    _, calendar = tokens.make("calendar", by="test", kind=PrincipalKind.CALENDAR)
    for declared in declared_endpoints().values():
        if declared.access is Door.CALENDAR_TOKEN:
            assert ask(declared, {}, token=calendar) == ADMITTED
            for headers, token in (({"X-Api-Key": calendar}, ""), ({}, good), ({}, new_token()), ({}, "x")):
                assert ask(declared, headers, token=token) == (401, "credential_refused")
        if declared.access is Door.HOST_KEY:
            # The host has looked at its key; with sign-in in front there is nothing that it opens.
            assert ask(declared, {}) == ADMITTED
            monkeypatch.setattr(bootstrap, "callers_are_signed_in", lambda: True)
            assert ask(declared, {}) == (401, "access_tokens_off")
            monkeypatch.undo()


def test_a_set_of_settings_needs_the_role_of_each_of_its_kinds_in_a_dry_run_too(tables: MemoryTables) -> None:
    site = {"kind": "sites", "name": "york", "document": {"title": "York", "customer": "acorn"}}
    store = {"kind": "credential-stores", "name": "acorn", "document": STORE}
    credential = {"kind": "credentials", "name": "key", "document": CREDENTIAL}
    for query in ("?dry_run=true", ""):
        refused = call("POST", f"settings{query}", {"documents": [site, store, credential]}, role="operator")
        assert (refused.status, refused.json["reason"]) == (403, "role_too_low")
        assert call("POST", f"settings{query}", {"documents": [site]}, role="reader").status == 403
        assert call("POST", f"settings{query}", {"documents": [site]}, role="operator").status == 200
    assert call("GET", "settings/credential-stores").json["items"] == []
