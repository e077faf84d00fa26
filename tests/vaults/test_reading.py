"""Reading a credential from the lab's vault with Microsoft's own clients."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from lab.emulators.key_vault import VaultInterface, VaultLab
from shared.errors import MisconfiguredError, TryLaterError
from shared.moments import FAR_AWAY, LONG_AGO
from shared.reasons import Reason
from shared.vaults.documents.credentials import CredentialReference
from tests.vaults.conftest import Desk, secret


def test_a_secret_is_read_by_the_systems_own_identity_at_the_moment_of_use_and_then_held(
    lab: VaultLab, vault: VaultInterface, desk: Desk
) -> None:
    # KV-20, KV-23, KV-29, FD-18
    version = vault.add_secret("ec2-key", "s3cret")
    desk.store("main", vault)
    assert lab.values_read() == []

    first = desk.read(secret("main", "ec2-key"))
    again = desk.read(secret("main", "ec2-key"))

    assert (first.text, first.version, first.vault_name) == ("s3cret", version, vault.name)
    assert again == first
    assert [entry.principal for entry in lab.values_read()] == ["host"]


def test_64_threads_that_ask_for_one_cold_secret_make_one_request(
    lab: VaultLab, vault: VaultInterface, desk: Desk
) -> None:
    vault.add_secret("ec2-key", "s3cret")
    desk.store("main", vault)
    together = threading.Barrier(64)

    def ask() -> str:
        together.wait(10)
        return desk.read(secret("main", "ec2-key")).text

    with ThreadPoolExecutor(64) as pool:
        texts = [asked.result(20) for asked in [pool.submit(ask) for _ in range(64)]]

    assert texts == ["s3cret"] * 64
    assert len(lab.values_read()) == 1
    # The one more is the challenge by which a client learns the vault's tenant.
    assert [entry.status for entry in vault.journal()] == [401, 200]


def test_1000_reads_of_a_warm_secret_make_no_request(lab: VaultLab, vault: VaultInterface, desk: Desk) -> None:
    vault.add_secret("ec2-key", "s3cret")
    desk.store("main", vault)
    reference = secret("main", "ec2-key")
    desk.read(reference)
    lab.clear_journal()

    for _ in range(1_000):
        desk.read(reference)

    assert lab.journal() == []


def test_every_form_of_naming_a_secret_reads_it(vault: VaultInterface, desk: Desk) -> None:
    # FD-13, FD-14, KV-32
    first = vault.add_secret("ec2-key", "first")
    vault.add_secret("ec2-key", "second")
    desk.store("main", vault)

    def read(name: str) -> str:
        return desk.read(secret("main", name)).text

    assert read("ec2-key") == "second"
    assert read(f"ec2-key/{first}") == "first"
    assert read(f"{vault.url}/secrets/ec2-key") == "second"
    assert read(f"{vault.url}/secrets/ec2-key/{first}") == "first"


def test_a_full_address_in_another_vault_is_refused_before_anything_is_sent(
    lab: VaultLab, vault: VaultInterface, desk: Desk
) -> None:
    desk.store("main", vault)
    with pytest.raises(MisconfiguredError) as refused:
        desk.read(secret("main", "https://other.vault.azure.net/secrets/ec2-key"))
    assert refused.value.reason is Reason.VAULT_ADDRESS_WRONG
    assert lab.journal() == []


def test_a_json_secret_gives_a_pair_and_any_field_by_name(vault: VaultInterface, desk: Desk) -> None:
    # AP-04, AP-05
    vault.add_secret("apono-mysql-user", '{"username": "desk", "password": "pä$$", "port": 3306, "host": "db1"}')
    vault.add_secret("aws", '{"access_key_id": "AKIA1", "secret_access_key": "k3y"}')
    desk.store("main", vault)

    pair = desk.read_pair(secret("main", "apono-mysql-user"))
    assert (pair.username, pair.password) == ("desk", "pä$$")
    assert desk.read(secret("main", "apono-mysql-user", value_field="port")).text == "3306"
    assert desk.read(secret("main", "apono-mysql-user")).fields["host"] == "db1"
    aws = secret("main", "aws", username_field="access_key_id", password_field="secret_access_key")
    pair = desk.read_pair(aws)
    assert (pair.username, pair.password) == ("AKIA1", "k3y")


def test_a_byte_order_mark_before_a_json_secret_is_skipped(vault: VaultInterface, desk: Desk) -> None:
    vault.add_secret("marked", '\ufeff{"username": "event-grid", "password": "s3cret"}')
    desk.store("main", vault)
    pair = desk.read_pair(secret("main", "marked"))
    assert (pair.username, pair.password) == ("event-grid", "s3cret")


def test_json_whose_quotes_powershell_took_is_told_as_that(vault: VaultInterface, desk: Desk) -> None:
    vault.add_secret("bare", "{username: event-grid, password: s3cret}")
    desk.store("main", vault)
    with pytest.raises(MisconfiguredError, match="PowerShell takes them") as refused:
        desk.read_pair(secret("main", "bare"))
    assert "--file value.txt" in refused.value.remedy
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("value", ["desk:pa55", "[1, 2]", '"text"', "{broken", "[" * 10_000])
def test_a_secret_that_is_no_json_object_gives_no_pair_and_says_how_to_make_one(
    value: str, vault: VaultInterface, desk: Desk
) -> None:
    vault.add_secret("plain", value)
    desk.store("main", vault)
    with pytest.raises(MisconfiguredError) as refused:
        desk.read_pair(secret("main", "plain"))
    assert refused.value.reason is Reason.SECRET_NOT_JSON
    assert "az keyvault secret set" in refused.value.remedy
    assert value[:9] not in str(refused.value)
    assert desk.read(secret("main", "plain")).text == value


def test_a_missing_field_is_named_with_those_that_are_there(vault: VaultInterface, desk: Desk) -> None:
    vault.add_secret("user", '{"user": "desk", "pass": "pa55", "note": null}')
    desk.store("main", vault)
    with pytest.raises(MisconfiguredError, match=r"has no field username; it has pass, user\.") as refused:
        desk.read_pair(secret("main", "user"))
    assert "pa55" not in str(refused.value)


def test_a_credential_is_read_by_its_name_and_follows_its_changes(vault: VaultInterface, desk: Desk) -> None:
    # FD-12, FD-17
    vault.add_secret("one", "1")
    vault.add_secret("two", "2")
    desk.store("main", vault)
    desk.put("credentials", "aws", scope="any", store="main", secret="one")
    reference = CredentialReference(credential="aws")
    assert desk.read(reference).text == "1"
    desk.put("credentials", "aws", scope="any", store="main", secret="two")
    assert desk.read(reference).text == "2"


def test_a_credential_or_store_that_is_not_there_says_so(desk: Desk) -> None:
    with pytest.raises(MisconfiguredError, match="There is no credential aws"):
        desk.read(CredentialReference(credential="aws"))
    with pytest.raises(MisconfiguredError, match="There is no credential store main"):
        desk.read(secret("main", "a"))


def test_several_vaults_are_several_stores(new_vault: Callable[..., VaultInterface], desk: Desk) -> None:
    # KV-24, FD-04
    one, two = new_vault(), new_vault()
    one.add_secret("key", "of one")
    two.add_secret("key", "of two")
    desk.store("one", one)
    desk.store("two", two)
    assert desk.read(secret("one", "key")).text == "of one"
    assert desk.read(secret("two", "key")).text == "of two"


def test_a_new_version_is_read_as_soon_as_its_event_arrives(vault: VaultInterface, desk: Desk) -> None:
    vault.add_secret("ec2-key", "old")
    vault.add_secret("other", "old")
    desk.store("main", vault)
    for name in ("ec2-key", "other"):
        desk.read(secret("main", name))
    for name in ("ec2-key", "other"):
        vault.add_secret(name, "new")

    desk.credentials.secret_changed(vault.name.upper(), "EC2-key")

    assert desk.read(secret("main", "ec2-key")).text == "new"
    assert desk.read(secret("main", "other")).text == "old"


def test_a_new_version_is_read_without_any_event_when_the_time_is_over(vault: VaultInterface, desk: Desk) -> None:
    vault.add_secret("ec2-key", "old")
    desk.store("main", vault, cache_seconds=60)
    desk.read(secret("main", "ec2-key"))
    vault.add_secret("ec2-key", "new")
    desk.clock.seconds += 60
    assert desk.read(secret("main", "ec2-key")).text == "new"


def test_a_refused_password_is_read_again_once_for_each_version(
    lab: VaultLab, vault: VaultInterface, desk: Desk
) -> None:
    vault.add_secret("ec2-key", "old")
    desk.store("main", vault)
    reference = secret("main", "ec2-key")
    for _ in range(3):
        desk.read(reference)
        desk.credentials.invalidate(reference)
    assert len(lab.values_read()) == 2

    vault.add_secret("ec2-key", "new")
    desk.credentials.secret_changed(vault.name, "ec2-key")
    assert desk.read(reference).text == "new"
    desk.credentials.invalidate(reference)
    desk.read(reference)
    assert len(lab.values_read()) == 4


def test_a_refused_version_is_not_read_again_for_a_version_never_changes(
    lab: VaultLab, vault: VaultInterface, desk: Desk
) -> None:
    version = vault.add_secret("ec2-key", "old")
    desk.store("main", vault)
    reference = secret("main", f"ec2-key/{version}")
    desk.read(reference)
    desk.credentials.invalidate(reference)
    desk.read(reference)
    assert len(lab.values_read()) == 1


@pytest.mark.parametrize("fault", [{"status": 429, "retry_after": 10}, {"status": 503}, {"kind": "reset"}])
def test_a_held_value_serves_while_the_vault_is_in_trouble_for_a_bounded_time(
    fault: dict[str, object], vault: VaultInterface, desk: Desk
) -> None:
    #
    vault.add_secret("ec2-key", "s3cret")
    desk.store("main", vault, cache_seconds=60, stale_seconds=600)
    reference = secret("main", "ec2-key")
    desk.read(reference)
    vault.fail_next(times=10, **fault)

    desk.clock.seconds += 61
    assert desk.read(reference).text == "s3cret"
    desk.clock.seconds += 600
    with pytest.raises(TryLaterError):
        desk.read(reference)


def test_one_failure_in_passing_is_not_even_noticed(vault: VaultInterface, desk: Desk) -> None:
    vault.add_secret("ec2-key", "s3cret")
    desk.store("main", vault)
    vault.fail_next(status=503)
    assert desk.read(secret("main", "ec2-key")).text == "s3cret"


@pytest.mark.parametrize(("expired", "warnings"), [("allow", 0), ("warn", 1), ("deny", 0)])
def test_an_expired_secret_is_allowed_warned_about_or_denied_as_the_store_says(
    expired: str, warnings: int, vault: VaultInterface, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    vault.add_secret("ec2-key", "s3cret", expires_at=timedelta(days=-1))
    desk.store("main", vault, expired=expired)
    reference = secret("main", "ec2-key")
    with caplog.at_level(logging.WARNING, "shared"):
        for _ in range(3):
            if expired == "deny":
                with pytest.raises(MisconfiguredError, match="denies expired secrets") as refused:
                    desk.read(reference)
                assert refused.value.reason is Reason.SECRET_EXPIRED
            else:
                assert desk.read(reference).text == "s3cret"
    assert len([record for record in caplog.records if "expired at" in record.getMessage()]) == warnings


def test_a_value_does_not_show_itself(vault: VaultInterface, desk: Desk) -> None:
    vault.add_secret("user", '{"username": "desk-user", "password": "pa55word"}')
    desk.store("main", vault)
    shown = repr(desk.read(secret("main", "user"))) + repr(desk.read_pair(secret("main", "user")))
    assert "pa55word" not in shown
    assert "desk-user" not in shown


def test_a_changed_store_is_used_at_once_with_its_new_identity(
    lab: VaultLab, vault: VaultInterface, desk: Desk
) -> None:
    vault.add_secret("ec2-key", "s3cret")
    vault.grant("reader", roles=("Key Vault Secrets User",))
    desk.store("main", vault)
    desk.read(secret("main", "ec2-key"))
    ids = {identity["name"]: identity["client_id"] for identity in lab.describe()["identities"]}
    desk.store("main", vault, method="user_assigned", client_id=ids["reader"])
    desk.read(secret("main", "ec2-key"))
    assert [entry.principal for entry in lab.values_read()] == ["host", "reader"]


@pytest.mark.parametrize(
    ("said", "expected"), [(253_402_300_799, FAR_AWAY), (10**20, FAR_AWAY), ("n/a", None), (-11_644_473_600, LONG_AGO)]
)
def test_a_secret_whose_dates_are_extreme_or_none_is_read(
    vault: VaultInterface, desk: Desk, said: object, expected: datetime | None
) -> None:
    vault.add_secret("ec2-key", "s3cret", attributes={"exp": said, "nbf": said})
    desk.store("main", vault)
    read = desk.read(secret("main", "ec2-key"))
    assert (read.text, read.expires_at) == ("s3cret", expected)
