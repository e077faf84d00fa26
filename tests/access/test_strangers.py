"""What a stranger learns: at each open endpoint, in each state of the desk, a bare reason out of a short list."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import azure.functions as func
import pytest

from shared import bootstrap
from shared.access.strangers import REFUSALS, STRANGER_REASONS, bare
from shared.access.token_format import new_token
from shared.errors import DeskbridgeError, MisconfiguredError, TryLaterError
from shared.reasons import Reason
from shared.storage.tables import Table
from shared.vaults.documents.credential_stores import CredentialStore
from shared.vaults.documents.vault_addresses import SecretAddress
from shared.vaults.model import SecretValue
from tests.api.calling import Answer, call, find
from tests.fakes.tables import MemoryTables
from tests.registered import FUNCTIONS

# Names that no stranger may learn.
PRIVATE = ("acorn-secrets-vault", "hook-secret", "password_field", "11111111-2222", "DESKBRIDGE_", "rg-acorn")
ALLOWED = {
    *("credential_refused", "origin_not_allowed", "method_not_allowed", "body_too_large", "body_not_arrived"),
    *("not_found", "webhook_password_unreadable", "storage_unavailable", "not_ready", "internal"),
    "sign_in_expected",
}
MEMBERS = {"type", "status", "reason"}


class Vaults:
    """The desk's vault: what reading it raises, and how often it was read."""

    def __init__(self) -> None:
        self.fails: Exception | None = None
        self.reads = 0

    def fetch(self, store_name: str, store: CredentialStore, address: SecretAddress) -> SecretValue:
        del store_name, store
        self.reads += 1
        if self.fails is not None:
            raise self.fails
        fields = {"username": "hook", "password": "right"}
        return SecretValue(json.dumps(fields), fields, "acorn-secrets-vault", address.name, "1")


class DeadTables:
    def table(self, name: str) -> Table:
        raise self.error(name)

    @staticmethod
    def error(name: str) -> TryLaterError:
        return TryLaterError(Reason.STORAGE_UNAVAILABLE, f"The account rg-acorn does not answer for {name}.")


def _configured() -> None:
    put = bootstrap.settings().put
    store = {"vault_url": "https://acorn-secrets-vault.vault.azure.net", "method": "system_assigned"}
    put("credential-stores", "main", store, by="test", if_match="*")
    reference = {"in_place": {"store": "main", "secret": "hook-secret"}}
    put("key-vault-events", "default", {"credentials": {"current": reference}}, by="test", if_match="*")
    put("customers", "acorn", {"title": "Acorn"}, by="test", if_match="*")
    put("sites", "leeds", {"title": "Leeds", "customer": "acorn"}, by="test", if_match="*")
    realm = {
        "title": "Customers",
        "endpoint_url": "https://api-e2.authrocket.com/v2",
        "api_key": reference,
        "realm": "rl_0v1zRHJVm7JY8vUqDRuyx",
        "default_site": "leeds",
        "webhook": {"current": reference},
    }
    put("authrocket-realms", "customers", realm, by="test", if_match="*")


def _permission() -> MisconfiguredError:
    return MisconfiguredError(
        Reason.VAULT_PERMISSION_MISSING,
        "The identity 11111111-2222 may not read hook-secret in acorn-secrets-vault.",
        remedy="az role assignment create --scope rg-acorn",
    )


def _raise(error: Exception) -> Callable[[], NoReturn]:
    def build() -> NoReturn:
        raise error

    return build


STATES = (
    *("well", "nothing configured", "password unreadable", "vault down", "field missing", "stored document invalid"),
    *("storage down", "app settings missing", "a bug"),
)


@pytest.fixture
def vaults(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vaults]:
    monkeypatch.setenv("AzureWebJobsStorage", "UseDevelopmentStorage=true")
    bootstrap.reset()
    REFUSALS.forget()
    bootstrap.replace("tables", MemoryTables())
    vaults = Vaults()
    bootstrap.replace("vaults", vaults)
    yield vaults
    bootstrap.reset()


@pytest.fixture(params=STATES)
def state(request: pytest.FixtureRequest, vaults: Vaults, monkeypatch: pytest.MonkeyPatch) -> str:
    name: str = request.param
    if name != "nothing configured":
        _configured()
    if name == "password unreadable":
        vaults.fails = _permission()
    if name == "vault down":
        vaults.fails = TryLaterError(Reason.VAULT_UNREACHABLE, "acorn-secrets-vault does not answer for hook-secret.")
    if name == "field missing":
        vaults.fails = MisconfiguredError(Reason.SECRET_FIELD_MISSING, "hook-secret has no field password_field.")
    if name == "stored document invalid":
        invalid = MisconfiguredError(Reason.DOCUMENT_INVALID, "key-vault-events/default: acorn-secrets-vault is odd.")
        monkeypatch.setattr(bootstrap.settings(), "find", lambda *_, **__: _raise(invalid)())
    if name == "a bug":
        monkeypatch.setattr(bootstrap.settings(), "find", lambda *_, **__: _raise(KeyError("hook-secret"))())
    if name == "storage down":
        bootstrap.reset()
        bootstrap.replace("tables", DeadTables())
        bootstrap.replace("vaults", vaults)
    if name == "app settings missing":
        bootstrap.reset()
        monkeypatch.delenv("AzureWebJobsStorage")
        monkeypatch.delenv("AzureWebJobsStorage__tableServiceUri", raising=False)
    return name


def _basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def direct(name: str, method: str, **parameters: str) -> Answer:
    """A request with a method that the interface does not show, or an address that may change."""
    request = func.HttpRequest(method=method, url="https://desk.example/api", route_params=parameters, body=b"")
    answer: func.HttpResponse = FUNCTIONS[name].get_user_function()(req=request)
    return Answer(answer.status_code, dict(answer.headers), answer.get_body(), [])


EVENT = json.dumps({"id": "ev_1", "event_type": "user.updated"}).encode()
ASKED: dict[str, Callable[[], Answer]] = {
    "events, nothing": lambda: call("POST", "events/key-vault", b"[]"),
    "events, wrong password": lambda: call("POST", "events/key-vault", b"[]", {"Authorization": _basic("hook:wrong")}),
    "events, no Basic": lambda: call("POST", "events/key-vault", b"[]", {"Authorization": "Digest x"}),
    "events, a Bearer": lambda: call("POST", "events/key-vault", b"[]", {"Authorization": "Bearer a.b.c"}),
    "events, a handshake": lambda: call(
        "POST", "events/key-vault", b"[]", {"aeg-event-type": "SubscriptionValidation", "aeg-subscription-name": "x"}
    ),
    "events, an origin": lambda: call("OPTIONS", "events/key-vault", b"", {"WebHook-Request-Origin": "evil.example"}),
    "events, GET": lambda: direct("receive_key_vault_events", "GET"),
    "realm, nothing": lambda: call("POST", "events/authrocket/customers", EVENT),
    "realm, wrong password": lambda: call(
        "POST", "events/authrocket/customers", EVENT, {"Authorization": _basic("hook:wrong")}
    ),
    "realm, unknown": lambda: call("POST", "events/authrocket/none", EVENT, {"Authorization": _basic("hook:wrong")}),
    "realm, no Basic": lambda: call("POST", "events/authrocket/customers", EVENT, {"Authorization": "Bearer x"}),
    "realm, GET": lambda: direct("receive_authrocket_event", "GET", realm="customers"),
    "calendar": lambda: call("GET", f"calendar/expiries.ics?token={'x' * 40}"),
    "calendar, a form": lambda: call("GET", f"calendar/expiries.ics?token={new_token()}"),
}


@pytest.mark.parametrize("asked", ASKED)
def test_a_stranger_learns_a_bare_reason_of_the_list(asked: str, state: str) -> None:
    answer = ASKED[asked]()
    assert answer.status in {401, 404, 405, 503}, state
    body: dict[str, Any] = answer.json
    assert set(body) == MEMBERS
    assert body["reason"] in ALLOWED
    text = answer.body.decode() + json.dumps(dict(answer.headers))
    assert not [word for word in PRIVATE if word.casefold() in text.casefold()]


def test_health_says_that_the_app_is_alive_in_every_state(state: str) -> None:
    answer = call("GET", "health")
    assert (answer.status, answer.json) == (200, {"status": "alive"})


def test_the_list_is_the_one_of_the_code() -> None:
    assert {str(reason) for reason in STRANGER_REASONS} == ALLOWED


@pytest.mark.parametrize("reason", list(Reason))
def test_no_error_keeps_its_words_whatever_it_is(reason: Reason) -> None:
    for cls in (MisconfiguredError, TryLaterError, DeskbridgeError):
        told = bare(cls(reason, "hook-secret", remedy="rg-acorn"))
        assert (told.message, told.remedy, told.faults) == ("", "", ())
        assert str(told.reason) in ALLOWED


@pytest.mark.parametrize("fails", [None, "permission", "missing"])
@pytest.mark.parametrize("path", ["events/key-vault", "events/authrocket/customers"])
def test_a_hundred_anonymous_requests_are_two_reads_of_the_vault_at_most(
    path: str, fails: str | None, vaults: Vaults
) -> None:
    _configured()
    # Even where each use should be a read.
    store = {"vault_url": "https://acorn-secrets-vault.vault.azure.net", "method": "system_assigned"}
    bootstrap.settings().put("credential-stores", "main", {**store, "cache_seconds": 0}, by="test", if_match="*")
    if fails is not None:
        vaults.fails = _permission() if fails == "permission" else MisconfiguredError(Reason.SECRET_NOT_FOUND, "None.")
    statuses = {call("POST", path, EVENT, {"Authorization": _basic(f"hook:{n}")}).status for n in range(100)}
    assert statuses == ({401} if fails is None else {503})
    assert vaults.reads <= 2


@pytest.mark.parametrize("header", [{}, {"X-Api-Key": "desk_made-up"}, {"X-Api-Key": "x" * 5_000}])
@pytest.mark.parametrize("address", ["tickets", "settings/sites", "me", "runs", "audit"])
def test_an_endpoint_that_needs_a_token_tells_a_stranger_no_name_of_the_desk(
    address: str, header: dict[str, str], state: str
) -> None:
    declared, parameters = find("GET", f"v1/{address}")
    url = f"https://desk.example/api/v1/{address}"
    request = func.HttpRequest(method="GET", url=url, headers=header, route_params=parameters, params={}, body=b"")
    answer: func.HttpResponse = FUNCTIONS[declared.function].get_user_function()(req=request)
    assert answer.status_code in {401, 503}, state
    text = answer.get_body().decode() + json.dumps(dict(answer.headers))
    assert not [word for word in PRIVATE if word.casefold() in text.casefold()]
