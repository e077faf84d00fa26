"""Vaults that a pattern allows: which fit, what a forged event gets, and that they are swept without an entry each."""

import re
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.tickets.configuration import Configuration
from shared.tickets.documents import VaultPattern
from shared.tickets.inbound.ingestor import EventIngestor
from shared.tickets.inbound.known_vaults import KnownVaults, SeenVaults
from shared.vaults.documents.vault_addresses import beside
from tests.fakes.tables import MemoryTables, WatchedTables
from tests.tickets.desk import AZURE_SUBSCRIPTION, NOW, VAULT, Desk, Passwords, configuration, pair, resource_id
from tests.tickets.test_senders import of
from tests.tickets.test_sweep import MadeUpVault, Worker

OURS, ELSEWHERE = "birch-vault", "00000000-1111-4222-8333-0000000bad00"
PATTERN = {"subscription": AZURE_SUBSCRIPTION, "resource_group": "rg-*", "store": "acorn", "site": "leeds"}
PART = st.text("ab-", min_size=1, max_size=6)
NAME = st.from_regex(r"[ab][ab-]{1,5}", fullmatch=True)


def patterns(*given: dict[str, Any], **members: Any) -> Configuration:
    return configuration(allowed_vaults=[], vault_patterns=list(given or (PATTERN,)), **members)


class Seen:
    """A desk that keeps the vaults that send events."""

    def __init__(self, configured: Configuration, **passwords: tuple[str, str]) -> None:
        passwords = {"webhook": ("u", "general"), **passwords}
        self.calls = 0
        tables = WatchedTables(MemoryTables(), self._count)
        self.desk = Desk(tables, configured, Passwords(**passwords), now=NOW)
        self.known = KnownVaults(self.desk.tables.table("vaults"))
        self.keeps = 0
        noted = SeenVaults(self.known, lambda: NOW).note

        def seen(vault: str, source: str, configured: Configuration) -> None:
            self.keeps += 1
            noted(vault, source, configured)

        ingestor = EventIngestor(
            self.desk.reconciler,
            self.desk.quarantine,
            now=lambda: self.desk.now,
            secret_changed=lambda _vault, _secret: None,
            seen=seen,
        )
        self.desk.webhook._ingestor = ingestor

    def post(self, *events: dict[str, Any], by: str = "general") -> dict[str, Any]:
        return dict(self.desk.post(list(events), authorization=pair("u", by)).body or {})

    def _count(self, _table: str, _verb: str, when: str) -> None:
        self.calls += when == "before"

    @property
    def names(self) -> list[str]:
        return [vault.name for vault in self.known.page(1_000, None)[0]]


def elsewhere(vault: str) -> dict[str, Any]:
    """An event whose topic is in a subscription that is not ours."""
    return {**of(vault), "topic": resource_id(vault).replace(AZURE_SUBSCRIPTION, ELSEWHERE)}


@given(st.tuples(PART, PART, NAME), st.tuples(*[st.text("ab-*?", min_size=1, max_size=6)] * 3))
def test_a_pattern_allows_exactly_the_vaults_whose_every_part_fits(
    parts: tuple[str, str, str], given_patterns: tuple[str, str, str]
) -> None:
    subscription, group, name = parts
    members = dict(zip(("subscription", "resource_group", "name"), given_patterns, strict=True))
    if not "".join(given_patterns).strip("*?"):
        with pytest.raises(ValidationError, match="allows every vault"):
            VaultPattern.model_validate(members)
        return
    expected = all(
        re.fullmatch("".join({"*": ".*", "?": "."}.get(one, re.escape(one)) for one in pattern), part)
        for pattern, part in zip(given_patterns, parts, strict=True)
    )
    source = f"/subscriptions/{subscription}/resourcegroups/{group}/providers/microsoft.keyvault/vaults/{name}"
    assert VaultPattern.model_validate(members).allows(source) is expected


@pytest.mark.parametrize(
    "source",
    [
        "",
        f"/subscriptions/{AZURE_SUBSCRIPTION}",
        resource_id(OURS).lower() + "/secrets/mail",
        # No vault has such a name, nor an entry of the settings.
        resource_id("b").lower(),
        resource_id("birch-" * 11).lower(),
        resource_id(OURS).lower().replace("microsoft.keyvault", "microsoft.storage"),
        resource_id(OURS).lower().replace("rg-acorn", "rg-acorn/x"),
        "/subscriptions/x" + resource_id(OURS).lower(),
    ],
)
def test_what_is_no_resource_id_of_a_vault_fits_no_pattern(source: str) -> None:
    assert not VaultPattern.model_validate({"name": "b*"}).allows(source)


def test_events_of_a_fitting_vault_become_tickets_and_the_vault_is_known_with_store_and_site() -> None:
    seen = Seen(patterns())
    assert seen.post(of(OURS), of(OURS, "disk")) == {"recorded": 2, "quarantined": 0}
    (vault,) = seen.known.page(50, None)[0]
    assert (vault.name, vault.store, vault.site) == (OURS, "acorn", "leeds")
    assert vault.resource_id == resource_id(OURS).lower()
    assert {row["site"] for row in seen.desk.tickets()} == {"leeds"}


def test_a_forged_topic_gets_no_vault_of_another_subscription_allowed_or_known() -> None:
    seen = Seen(patterns())
    assert seen.post(elsewhere(OURS)) == {"recorded": 0, "quarantined": 1}
    half = {**of(OURS), "topic": resource_id("other-vault"), "data": {**of(OURS)["data"], "VaultName": OURS}}
    seen.post(half)
    assert OURS not in seen.names
    assert all(row["scope"] != OURS for row in seen.desk.tickets())


def test_a_stranger_and_the_credential_of_one_vault_make_no_vault_known() -> None:
    own = {"name": VAULT, "resource_id": resource_id(VAULT), "credentials": {"current": {"credential": "acorn"}}}
    configured = configuration(allowed_vaults=[own], vault_patterns=[PATTERN])
    seen = Seen(configured, acorn=("u", "acorn"))
    assert seen.desk.post([of(OURS)], authorization=pair("u", "wrong")).status == 401
    assert seen.post(of(OURS), by="acorn") == {"recorded": 0, "quarantined": 1}
    # The named vault keeps to its own credential although a pattern fits it too.
    assert seen.post(of(VAULT)) == {"recorded": 0, "quarantined": 1}
    assert (seen.names, seen.keeps) == ([], 0)
    assert seen.post(of(VAULT), by="acorn") == {"recorded": 1, "quarantined": 0}


def test_the_first_pattern_that_fits_decides_and_a_named_vault_comes_before_all() -> None:
    configured = configuration(
        allowed_vaults=[{"name": VAULT, "store": "named"}],
        vault_patterns=[{"name": "birch-*", "store": "first"}, {**PATTERN, "store": "second"}],
    )
    stores = []
    for vault in (VAULT, OURS, "cedar-vault"):
        entry = configured.entry(vault, resource_id(vault).lower())
        stores.append(None if entry is None else entry.store)
    assert stores == ["named", "first", "second"]


def test_a_vault_that_was_seen_is_swept_by_its_own_address_until_no_pattern_fits_it() -> None:
    seen = Seen(patterns())
    seen.post(of(OURS))
    vault, opened = MadeUpVault(), list[tuple[str, str]]()
    worker = Worker(seen.desk, vault, lambda: seen.desk.now)

    def open_vault(store: str, name: str) -> MadeUpVault:
        opened.append((store, name))
        return vault

    worker.sweeps._open_vault = open_vault
    worker.sweep()
    worker.sweep([OURS])
    assert opened == [("acorn", resource_id(OURS).lower())] * 2
    seen.desk.now += timedelta(days=1)
    seen.desk.configured = patterns({"name": "cedar-*", "store": "acorn"})
    worker.sweep()
    (known,) = seen.known.page(50, None)[0]
    assert (known.store, known.reason) == ("", "vault_not_swept")


@pytest.mark.parametrize(
    ("store", "address"),
    [
        ("https://acorn.vault.azure.net", "https://birch-vault.vault.azure.net"),
        ("https://acorn.vault.usgovcloudapi.net", "https://birch-vault.vault.usgovcloudapi.net"),
        ("https://acorn.vault.azure.cn:8443", "https://birch-vault.vault.azure.cn:8443"),
    ],
)
def test_the_address_of_a_vault_follows_from_its_name_and_the_cloud(store: str, address: str) -> None:
    assert beside(store, OURS) == address
    hsm = beside(store, OURS, is_hsm=True)
    assert (hsm, beside(hsm, OURS)) == (address.replace(".vault.", ".managedhsm."), address)


def test_a_vault_costs_the_same_to_match_and_to_see_however_many_are_known() -> None:
    seen = Seen(patterns())
    calls: list[int] = []
    for count in (10, 1_000):
        seen.post(*[of(f"vault-{number:04}") for number in range(len(seen.names), count)])
        assert len(seen.names) == count
        before = seen.calls
        assert seen.post(of("vault-0003", f"again-{count}")) == {"recorded": 1, "quarantined": 0}
        calls.append(seen.calls - before)
    # The object is read, and one transaction written; the vault was seen within the hour.
    assert calls == [2, 2]


def test_a_subscription_topic_may_be_validated_when_a_pattern_names_the_subscription() -> None:
    configured = patterns()
    assert configured.allows_topic(f"/subscriptions/{AZURE_SUBSCRIPTION}")
    assert not configured.allows_topic(f"/subscriptions/{ELSEWHERE}")
    assert configured.allows_topic(resource_id(OURS).lower())
    assert not configured.allows_topic(resource_id(OURS).lower().replace(AZURE_SUBSCRIPTION, ELSEWHERE))
