"""The control endpoint: another process changes secrets, scripts failures and reads the journal."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from lab.emulators.key_vault import LabError, VaultControl, VaultInterface, VaultLab
from tests.lab.emulators.key_vault.conftest import Clients


@pytest.fixture
def control(lab: VaultLab) -> Iterator[VaultControl]:
    with VaultControl(lab.control_url) as client:
        yield client


def test_a_secret_is_added_and_rotated_from_outside(control: VaultControl, clients: Clients) -> None:
    vault = control.vault("kv-acorn")
    ends = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
    first = vault.add_secret("db-password", "old", expires_at=ends)
    client = clients.secrets()
    assert client.get_secret("db-password").properties.expires_on == ends
    second = vault.add_secret("db-password", "new", expires_at="+90d")
    assert first != second
    assert client.get_secret("db-password").value == "new"
    vault.change("db-password", enabled=False)
    with pytest.raises(Exception, match="disabled"):
        client.get_secret("db-password")
    vault.change("db-password", enabled=True, expires_at=ends, tags={"a": "b"})
    assert client.get_secret("db-password").properties.expires_on == ends


def test_failures_rights_and_the_journal_are_worked_from_outside(control: VaultControl, clients: Clients) -> None:
    vault = control.vault("kv-acorn")
    vault.add_secret("db-password", "p@ss")
    vault.fail_next(status=429, retry_after=1)
    client = clients.secrets()
    with pytest.raises(Exception, match="too many requests"):
        client.get_secret("db-password")
    assert client.get_secret("db-password").value == "p@ss"
    assert [entry.status for entry in vault.journal(operation="secrets/get")] == [401, 429, 200]
    assert len(control.values_read()) == 1
    control.clear_journal()
    assert control.journal() == []
    vault.revoke("host")
    with pytest.raises(Exception, match="Caller is not authorized"):
        client.get_secret("db-password")


def test_a_vault_an_identity_and_an_application_can_join_a_running_lab(
    lab: VaultLab, control: VaultControl, clients: Clients
) -> None:
    held = control.add_identity(name="late")
    control.add_application(name="later", client_secrets=[{"value": "s"}])
    vault = control.add_vault(
        name="kv-late",
        secrets=[{"name": "db-password", "value": "p@ss"}],
        grants=[
            {"principal": "late", "permissions": ["secrets/get"]},
            {"principal": "later", "roles": ["Key Vault Administrator"]},
        ],
    )
    credential = clients.managed_identity(client_id=held["client_id"])
    assert clients.secrets(credential, "kv-late").get_secret("db-password").value == "p@ss"
    assert clients.secrets(clients.application("s", "later"), "kv-late").get_secret("db-password").value == "p@ss"
    assert lab.ports["vault:kv-late"] == int(vault.url.rsplit(":", 1)[1])
    vault.go_away()
    vault.come_back()
    assert control.vault("kv-late").url == vault.url


def test_the_clock_and_the_lifetime_of_tokens_are_set_from_outside(control: VaultControl, clients: Clients) -> None:
    control.set_token_lifetime(3600)
    control.set_clock_offset(7200)
    token = clients.managed_identity().get_token("https://vault.azure.net/.default")
    assert 7200 + 3600 - 60 < token.expires_on - datetime.now(UTC).timestamp() <= 7200 + 3600


def test_neither_journal_nor_description_holds_a_value_or_a_token(
    lab: VaultLab, control: VaultControl, vault: VaultInterface, clients: Clients
) -> None:
    vault.add_secret("db-password", "planted-value-1")
    clients.secrets(clients.application()).get_secret("db-password")
    token = clients.managed_identity().get_token("https://vault.azure.net/.default").token
    said = str(control.describe()) + str(control.call("journal")) + repr(lab.journal())
    assert "db-password" in said
    for hidden in ("planted-value-1", token, "right", lab.environment()["IDENTITY_HEADER"]):
        assert hidden not in said


def test_a_refused_call_names_the_fault_and_repeats_no_value(control: VaultControl) -> None:
    with pytest.raises(LabError, match="add_secret: name") as misnamed:
        control.vault("kv-acorn").add_secret("under_score", "planted-value-2")
    assert "planted-value-2" not in str(misnamed.value)
    with pytest.raises(LabError, match="no vault named 'kv-nowhere'"):
        control.vault("kv-nowhere")
    with pytest.raises(LabError, match="there is no operation 'explode'"):
        control.call("explode")
    with pytest.raises(LabError, match="unknown role 'Key Vault King'"):
        control.vault("kv-acorn").grant("host", roles=("Key Vault King",))


def test_the_endpoint_takes_reads_by_get_and_writes_only_as_json(
    lab: VaultLab, control: VaultControl, raw: Callable[..., Any]
) -> None:
    assert control.is_ready()
    assert raw("GET", f"{lab.control_url}/control/health").json() == {"status": "ready"}
    assert raw("GET", f"{lab.control_url}/control/journal?service=vault").json() == {"result": []}
    # A form is what a web page of a stranger could send from the developer's own browser.
    assert raw("POST", f"{lab.control_url}/control/clear_journal", data={"a": "b"}).status_code == 415
    assert raw("GET", f"{lab.control_url}/control/clear_journal").status_code == 405
    assert raw("POST", f"{lab.control_url}/control/journal", json=[1]).status_code == 400
    assert "/control/add_secret" in raw("GET", f"{lab.control_url}/").json()["operations"]


def test_a_lab_that_has_stopped_is_not_ready(lab: VaultLab, control: VaultControl) -> None:
    assert control.is_ready()
    lab.stop()
    assert not control.is_ready()
    with pytest.raises(requests.ConnectionError):
        control.describe()
