"""Secrets as Microsoft's own client reads, writes and lists them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError

from lab.emulators.key_vault import VaultInterface, VaultLab
from tests.lab.emulators.key_vault.conftest import Clients


def refused(error: pytest.ExceptionInfo[HttpResponseError]) -> tuple[int | None, str, str | None]:
    """Status, code and inner code of an error answer, from its body as Azure shapes it."""
    assert error.value.response is not None
    body = json.loads(error.value.response.text())["error"]
    return error.value.status_code, body["code"], body.get("innererror", {}).get("code")


def test_a_secret_is_read_with_everything_that_azure_says_about_it(vault: VaultInterface, clients: Clients) -> None:
    ends = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
    version = vault.add_secret(
        "db-password", "p@ss", expires_at=ends, not_before="-1d", content_type="text/plain", tags={"team": "dba"}
    )
    secret = clients.secrets().get_secret("db-password")
    assert secret.value == "p@ss"
    assert secret.id == f"{vault.url}/secrets/db-password/{version}"
    assert secret.properties.expires_on == ends
    assert secret.properties.not_before is not None
    assert secret.properties.not_before < datetime.now(UTC)
    assert secret.properties.created_on is not None
    assert secret.properties.updated_on is not None
    assert (secret.properties.enabled, secret.properties.content_type) == (True, "text/plain")
    assert (secret.properties.tags, secret.properties.version) == ({"team": "dba"}, version)
    assert (secret.properties.recovery_level, secret.properties.recoverable_days) == ("Recoverable+Purgeable", 90)


def test_the_newest_version_is_the_secret_and_each_version_stays_readable(
    vault: VaultInterface, clients: Clients
) -> None:
    # FD-14
    first = vault.add_secret("db-password", "old")
    second = vault.add_secret("db-password", "new")
    client = clients.secrets()
    assert client.get_secret("db-password").value == "new"
    assert client.get_secret("db-password", first).value == "old"
    assert client.get_secret("db-password", second).value == "new"
    assert {held.version for held in client.list_properties_of_secret_versions("db-password")} == {first, second}


def test_names_are_found_in_any_case(vault: VaultInterface, clients: Clients) -> None:
    vault.add_secret("Db-Password", "p@ss")
    assert clients.secrets().get_secret("db-password").value == "p@ss"


def test_unknown_secret_and_unknown_version_are_not_found_in_azures_words(
    vault: VaultInterface, clients: Clients
) -> None:
    vault.add_secret("db-password", "p@ss")
    client = clients.secrets()
    with pytest.raises(ResourceNotFoundError, match="A secret with \\(name/id\\) nothing was not found") as unknown:
        client.get_secret("nothing")
    assert refused(unknown) == (404, "SecretNotFound", None)
    with pytest.raises(ResourceNotFoundError, match=f"db-password/{'0' * 32} was not found"):
        client.get_secret("db-password", "0" * 32)


def test_a_deleted_secret_is_not_found_until_it_is_recovered(vault: VaultInterface, clients: Clients) -> None:
    vault.add_secret("db-password", "p@ss")
    vault.delete("db-password")
    client = clients.secrets(clients.application())
    with pytest.raises(ResourceNotFoundError):
        client.get_secret("db-password")
    assert [held.name for held in client.list_properties_of_secrets()] == []
    assert [held.name for held in client.list_deleted_secrets()] == ["db-password"]
    with pytest.raises(ResourceExistsError) as conflict:
        client.set_secret("db-password", "again")
    assert refused(conflict) == (409, "Conflict", "ObjectIsDeletedButRecoverable")
    vault.recover("db-password")
    assert client.get_secret("db-password").value == "p@ss"


def test_a_disabled_secret_is_refused_but_listed(vault: VaultInterface, clients: Clients) -> None:
    vault.add_secret("db-password", "p@ss", enabled=False)
    client = clients.secrets()
    with pytest.raises(HttpResponseError, match="Operation get is not allowed on a disabled secret") as disabled:
        client.get_secret("db-password")
    assert refused(disabled) == (403, "Forbidden", "SecretDisabled")
    assert [(held.name, held.enabled) for held in client.list_properties_of_secrets()] == [("db-password", False)]


def test_an_expired_secret_is_still_returned(vault: VaultInterface, clients: Clients) -> None:
    vault.add_secret("db-password", "p@ss", expires_at="-3d")
    secret = clients.secrets().get_secret("db-password")
    assert secret.value == "p@ss"
    assert secret.properties.expires_on is not None
    assert secret.properties.expires_on < datetime.now(UTC)


def test_a_secret_before_its_time_is_returned_as_documented_or_refused_by_a_strict_vault(
    vault: VaultInterface, clients: Clients
) -> None:
    vault.add_secret("db-password", "p@ss", not_before=timedelta(days=2))
    client = clients.secrets()
    assert client.get_secret("db-password").value == "p@ss"
    vault.configure(not_yet_valid="refused")
    with pytest.raises(HttpResponseError, match="not yet valid") as early:
        client.get_secret("db-password")
    assert refused(early) == (403, "Forbidden", "SecretNotYetValid")


def test_lists_come_in_pages_of_25_and_never_carry_a_value(
    lab: VaultLab, vault: VaultInterface, clients: Clients, raw: Callable[..., Any]
) -> None:
    for number in range(60):
        vault.add_secret(f"secret-{number:02}", f"value-{number}", expires_at=f"+{number}d")
    client = clients.secrets()
    pages = [list(page) for page in client.list_properties_of_secrets().by_page()]
    assert [len(page) for page in pages] == [25, 25, 10]
    assert [held.name for page in pages for held in page] == [f"secret-{number:02}" for number in range(60)]
    small = client.list_properties_of_secrets(max_page_size=7).by_page()
    assert [len(list(page)) for page in small] == [7] * 8 + [4]
    token = clients.managed_identity().get_token("https://vault.azure.net/.default").token
    page = raw("GET", f"{vault.url}/secrets?api-version=7.6", token=token)
    assert "value-" not in page.text
    assert len(page.json()["value"]) == 25
    assert raw("GET", f"{vault.url}/secrets?api-version=7.6&maxresults=26", token=token).status_code == 400
    assert lab.values_read() == []


def test_versions_come_in_pages_too(vault: VaultInterface, clients: Clients) -> None:
    made = [vault.add_secret("db-password", str(number)) for number in range(30)]
    pages = [list(page) for page in clients.secrets().list_properties_of_secret_versions("db-password").by_page()]
    assert [len(page) for page in pages] == [25, 5]
    assert [held.version for page in pages for held in page] == sorted(made)


def test_a_secret_is_set_updated_deleted_and_purged_through_the_client(clients: Clients) -> None:
    # AP-04
    client = clients.secrets(clients.application())
    ends = datetime(2030, 1, 1, tzinfo=UTC)
    made = client.set_secret("apono-mysql-user", '{"username": "u", "password": "p"}', expires_on=ends, tags={"a": "b"})
    assert made.properties.expires_on == ends
    changed = client.update_secret_properties("apono-mysql-user", made.properties.version, enabled=False)
    assert (changed.enabled, changed.expires_on, changed.tags) == (False, ends, {"a": "b"})
    with pytest.raises(HttpResponseError, match="disabled"):
        client.get_secret("apono-mysql-user")
    client.begin_delete_secret("apono-mysql-user").wait()
    client.purge_deleted_secret("apono-mysql-user")
    with pytest.raises(ResourceNotFoundError):
        client.get_deleted_secret("apono-mysql-user")


def test_bad_names_and_oversized_values_are_bad_parameters(clients: Clients) -> None:
    client = clients.secrets(clients.application())
    with pytest.raises(HttpResponseError) as oversized:
        client.set_secret("big", "x" * 25_601)
    assert refused(oversized)[:2] == (400, "BadParameter")
    with pytest.raises(HttpResponseError, match=r"attributes\.exp") as late:
        client._client.set_secret("far", {"value": "x", "attributes": {"exp": 10**15}})
    assert refused(late)[:2] == (400, "BadParameter")
    with pytest.raises(HttpResponseError) as misnamed:
        client.get_secret("under_score")
    assert refused(misnamed)[:2] == (400, "BadParameter")


@pytest.mark.parametrize("version", ["7.4", "7.6", "2016-10-01"])
def test_an_older_api_version_that_azure_still_speaks_is_answered(
    vault: VaultInterface, clients: Clients, version: str
) -> None:
    # FD-11
    vault.add_secret("db-password", "p@ss")
    assert clients.secrets(api_version=version).get_secret("db-password").value == "p@ss"


def test_an_api_version_that_the_vault_does_not_speak_is_a_bad_parameter(
    vault: VaultInterface, clients: Clients
) -> None:
    vault.add_secret("db-password", "p@ss")
    vault.configure(api_versions=["7.0", "7.1"])
    with pytest.raises(HttpResponseError, match=r"The specified version \(7.6\) is not recognized.*\(7.1\)") as old:
        clients.secrets(api_version="7.6").get_secret("db-password")
    assert refused(old) == (400, "BadParameter", None)
