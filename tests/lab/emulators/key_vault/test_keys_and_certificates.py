"""Keys and certificates as a sweep lists them, and what a certificate leaves among the secrets."""

from datetime import UTC, datetime, timedelta

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.keyvault.keys import KeyType
from cryptography import x509

from lab.emulators.key_vault import LabError, VaultInterface, VaultLab
from tests.lab.emulators.key_vault.conftest import Clients


def test_keys_are_listed_with_their_versions_and_expiry(vault: VaultInterface, clients: Clients) -> None:
    ends = datetime(2032, 2, 3, 4, 5, 6, tzinfo=UTC)
    first = vault.add_key("signing", expires_at="+1d")
    second = vault.add_key("signing", expires_at=ends, tags={"use": "jwt"}, enabled=False)
    client = clients.keys()
    (listed,) = client.list_properties_of_keys()
    assert (listed.name, listed.expires_on, listed.enabled, listed.tags) == ("signing", ends, False, {"use": "jwt"})
    assert {held.version for held in client.list_properties_of_key_versions("signing")} == {first, second}


def test_a_key_is_got_with_its_public_half(vault: VaultInterface, clients: Clients) -> None:
    vault.add_key("curve")
    vault.add_key("rsa", key_type="RSA")
    client = clients.keys()
    assert client.get_key("curve").key.kty == KeyType.ec  # type: ignore[attr-defined]  # set at run time by the client
    modulus = client.get_key("rsa").key.n  # type: ignore[attr-defined]  # set at run time by the client
    assert len(modulus) == 256
    with pytest.raises(ResourceNotFoundError, match="KeyNotFound"):
        client.get_key("nothing")


def test_certificates_are_listed_with_their_versions_and_expiry(vault: VaultInterface, clients: Clients) -> None:
    first = vault.add_certificate("www", expires_at="+10d")
    ends = datetime(2033, 3, 4, 5, 6, 7, tzinfo=UTC)
    second = vault.add_certificate("www", subject="CN=www.acorn.example", expires_at=ends)
    client = clients.certificates()
    (listed,) = client.list_properties_of_certificates()
    assert (listed.name, listed.expires_on) == ("www", ends)
    assert {held.version for held in client.list_properties_of_certificate_versions("www")} == {first, second}
    got = client.get_certificate("www")
    assert got.cer is not None
    parsed = x509.load_der_x509_certificate(bytes(got.cer))
    assert parsed.subject.rfc4514_string() == "CN=www.acorn.example"
    assert parsed.not_valid_after_utc == ends
    assert got.properties is not None
    assert got.properties.x509_thumbprint is not None
    older = client.get_certificate_version("www", first)
    assert older.properties is not None
    assert older.properties.expires_on is not None
    assert older.properties.expires_on < datetime.now(UTC) + timedelta(days=11)


def test_an_expired_certificate_can_be_had(vault: VaultInterface, clients: Clients) -> None:
    vault.add_certificate("gone", expires_at="-5d")
    (listed,) = clients.certificates().list_properties_of_certificates()
    assert listed.expires_on is not None
    assert listed.expires_on < datetime.now(UTC)


def test_a_certificate_is_also_a_managed_secret_and_a_managed_key(vault: VaultInterface, clients: Clients) -> None:
    version = vault.add_certificate("www", expires_at="+10d")
    vault.add_secret("db-password", "p@ss")
    vault.add_key("signing")
    sweeper, desk = clients.identity("sweeper"), clients.application()
    secrets = {held.name: held for held in clients.secrets(sweeper).list_properties_of_secrets()}
    assert (secrets["www"].managed, secrets["www"].content_type) == (True, "application/x-pkcs12")
    assert secrets["db-password"].managed is None
    keys = {held.name: held for held in clients.keys().list_properties_of_keys()}
    assert (keys["www"].managed, keys["signing"].managed) == (True, None)
    secret = clients.secrets(desk).get_secret("www")
    assert secret.properties.key_id == f"{vault.url}/keys/www/{version}"
    assert secret.value
    with pytest.raises(HttpResponseError, match="managed"):
        clients.secrets(desk).set_secret("www", "mine")
    with pytest.raises(LabError, match="belongs to a certificate"):
        vault.add_secret("www", "mine")


def test_deleting_a_certificate_takes_its_key_and_secret(vault: VaultInterface, clients: Clients) -> None:
    vault.add_certificate("www")
    vault.delete("www", object_type="certificates")
    sweeper = clients.identity("sweeper")
    assert list(clients.secrets(sweeper).list_properties_of_secrets()) == []
    assert list(clients.keys().list_properties_of_keys()) == []
    vault.recover("www", object_type="certificates")
    assert [held.name for held in clients.keys().list_properties_of_keys()] == ["www"]


def test_a_sweep_of_everything_reads_no_value(lab: VaultLab, vault: VaultInterface, clients: Clients) -> None:
    #
    for number in range(27):
        vault.add_key(f"key-{number}")
    vault.add_secret("db-password", "p@ss")
    vault.add_certificate("www")
    sweeper = clients.identity("sweeper")
    assert len(list(clients.secrets(sweeper).list_properties_of_secrets())) == 2
    assert len(list(clients.keys(sweeper).list_properties_of_keys())) == 28
    assert len(list(clients.certificates(sweeper).list_properties_of_certificates())) == 1
    assert lab.values_read() == []
    assert len(vault.journal(operation="keys/list", status=200)) == 2
    clients.secrets().get_secret("db-password")
    assert [(entry.object_name, entry.principal) for entry in lab.values_read()] == [("db-password", "host")]
