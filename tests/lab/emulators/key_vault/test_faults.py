"""Scripted failures of a vault, of Entra and of the identity endpoint."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.core.rest import HttpResponse

from lab.emulators.key_vault import LabError, VaultInterface, VaultLab
from tests.lab.emulators.key_vault.conftest import Clients

SCOPE = "https://vault.azure.net/.default"


def test_a_throttled_vault_says_when_to_come_back(vault: VaultInterface, clients: Clients) -> None:
    vault.add_secret("db-password", "p@ss")
    vault.fail_next(status=429, retry_after=7)
    client = clients.secrets()
    with pytest.raises(HttpResponseError, match="too many requests") as throttled:
        client.get_secret("db-password")
    assert isinstance(throttled.value.response, HttpResponse)
    assert throttled.value.response.headers["Retry-After"] == "7"
    assert json.loads(throttled.value.response.text())["error"]["code"] == "Throttled"
    assert client.get_secret("db-password").value == "p@ss"


def test_the_clients_own_retries_get_over_a_short_outage(vault: VaultInterface, clients: Clients) -> None:
    vault.add_secret("db-password", "p@ss")
    vault.fail_next(status=503, times=2)
    client = clients.secrets(retry_total=3, retry_backoff_factor=0)
    assert client.get_secret("db-password").value == "p@ss"
    assert [entry.status for entry in vault.journal(operation="secrets/get")] == [401, 503, 503, 200]


def test_a_failure_counts_only_requests_that_match(lab: VaultLab, vault: VaultInterface, clients: Clients) -> None:
    for name in ("one", "two"):
        vault.add_secret(name, "p@ss")
    vault.fail_next(status=500, object_name="two", operation="secrets/get", times=2)
    client = clients.secrets()
    assert client.get_secret("one").value == "p@ss"
    assert len(list(client.list_properties_of_secrets())) == 2
    with pytest.raises(HttpResponseError) as broken:
        client.get_secret("two")
    assert broken.value.status_code == 500
    assert lab.pending_faults()[0]["times"] == 1
    lab.clear_faults()
    assert client.get_secret("two").value == "p@ss"


def test_a_failure_can_be_meant_for_one_principal(vault: VaultInterface, clients: Clients) -> None:
    vault.add_secret("db-password", "p@ss")
    vault.grant("importer", "secrets/get")
    vault.fail_next(status=503, principal="importer")
    assert clients.secrets(clients.identity("host")).get_secret("db-password").value == "p@ss"
    with pytest.raises(HttpResponseError):
        clients.secrets(clients.identity("importer")).get_secret("db-password")


def test_a_reset_connection_is_no_answer(vault: VaultInterface, clients: Clients) -> None:
    vault.add_secret("db-password", "p@ss")
    client = clients.secrets()
    vault.fail_next(kind="reset")
    with pytest.raises((ServiceRequestError, ServiceResponseError), match=r"(?i)connection|aborted|reset|eof"):
        client.get_secret("db-password")
    assert [(entry.status, entry.fault) for entry in vault.journal()] == [(401, None), (None, "reset")]
    assert client.get_secret("db-password").value == "p@ss"


def test_a_hanging_vault_runs_into_the_clients_timeout(vault: VaultInterface, clients: Clients) -> None:
    vault.add_secret("db-password", "p@ss")
    client = clients.secrets(read_timeout=0.3)
    vault.fail_next(kind="hang", seconds=30)
    began = time.monotonic()
    with pytest.raises(AzureError, match="timed out"):
        client.get_secret("db-password")
    assert time.monotonic() - began < 5


def test_a_slow_vault_answers_in_the_end(vault: VaultInterface, clients: Clients) -> None:
    vault.add_secret("db-password", "p@ss")
    client = clients.secrets()
    vault.fail_next(kind="slow", seconds=0.3)
    began = time.monotonic()
    assert client.get_secret("db-password").value == "p@ss"
    assert time.monotonic() - began >= 0.3


def test_one_hanging_request_does_not_hold_up_the_others(vault: VaultInterface, clients: Clients) -> None:
    vault.add_secret("db-password", "p@ss")
    vault.add_secret("stuck", "p@ss")
    vault.fail_next(kind="hang", object_name="stuck", seconds=30)
    stuck, client = clients.secrets(read_timeout=0.8), clients.secrets()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(stuck.get_secret, "stuck")
        while not vault.journal(object_name="stuck", principal="host"):
            time.sleep(0.01)
        assert client.get_secret("db-password").value == "p@ss"
        assert not waiting.done()
        with pytest.raises(AzureError):
            waiting.result()


def test_an_answer_that_is_no_json_reaches_the_client_as_it_is(vault: VaultInterface, clients: Clients) -> None:
    vault.fail_next(status=502, body="<html>Bad Gateway</html>")
    with pytest.raises(HttpResponseError) as proxy:
        clients.secrets().get_secret("db-password")
    assert proxy.value.status_code == 502


def test_even_the_challenge_can_fail(vault: VaultInterface, clients: Clients) -> None:
    vault.fail_next(status=503, before_authentication=True)
    with pytest.raises(HttpResponseError) as early:
        clients.secrets().get_secret("db-password")
    assert early.value.status_code == 503
    assert [entry.principal for entry in vault.journal()] == [None]


def test_a_vault_that_is_out_of_reach_comes_back_on_its_port(vault: VaultInterface, clients: Clients) -> None:
    vault.add_secret("db-password", "p@ss")
    client = clients.secrets()
    assert client.get_secret("db-password").value == "p@ss"
    vault.go_away()
    with pytest.raises(AzureError):
        client.get_secret("db-password")
    with pytest.raises(ServiceRequestError, match="refused"):
        client.get_secret("db-password")
    vault.come_back()
    assert client.get_secret("db-password").value == "p@ss"


def test_entra_and_the_identity_endpoint_fail_on_request_too(lab: VaultLab, clients: Clients) -> None:
    lab.fail_next(service="entra", status=503, operation="token/client_credentials")
    with pytest.raises((ClientAuthenticationError, HttpResponseError)):
        clients.application().get_token(SCOPE)
    assert clients.application().get_token(SCOPE).token
    lab.fail_next(service="identity", status=500, message="An unexpected error occured while fetching the AAD Token.")
    with pytest.raises(AzureError, match="unexpected error"):
        clients.managed_identity().get_token(SCOPE)
    assert clients.managed_identity().get_token(SCOPE).token
    lab.fail_next(service="identity", kind="reset")
    with pytest.raises(AzureError):
        clients.managed_identity().get_token(SCOPE)


def test_64_threads_are_served_at_once(vault: VaultInterface, clients: Clients) -> None:
    vault.add_secret("db-password", "p@ss")
    client = clients.secrets()
    with ThreadPoolExecutor(64) as pool:
        values = list(pool.map(lambda _: client.get_secret("db-password").value, range(64)))
    assert set(values) == {"p@ss"}
    assert len(vault.journal(operation="secrets/get", status=200)) == 64


def test_a_misspelt_failure_is_refused(lab: VaultLab, vault: VaultInterface) -> None:
    with pytest.raises(LabError, match="retry_afer: Extra inputs are not permitted"):
        vault.fail_next(status=429, retry_afer=1)
    with pytest.raises(LabError, match="no vault named 'kv-nowhere'"):
        lab.fail_next(vault="kv-nowhere")
