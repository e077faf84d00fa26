"""Who may report what: a vault's own credential forges nothing about another vault, and a Bearer token is checked."""

import json
import logging
from typing import Any

import pytest

from shared.access.entra_delivery import DeliveryTokens
from shared.access.strangers import REFUSALS
from shared.hosts import AllowedHosts
from shared.tickets.inbound.webhook import EventGridWebhook
from tests.access.test_entra_delivery import AUDIENCE, TENANT, Authority, token
from tests.tickets.desk import PAYLOADS, VAULT, Desk, Passwords, configuration, pair, resource_id

OTHER = "bramble-vault"
NEAR_EXPIRY = json.loads((PAYLOADS / "secret_near_expiry.json").read_text())[0]
PASSWORDS = {"webhook": ("u", "general"), "acorn": ("u", "acorn"), "bramble": ("u", "bramble"), "old": ("u", "old")}


def of(vault: str, name: str = "mail") -> dict[str, Any]:
    """A near expiry of a secret in the vault."""
    data = {**NEAR_EXPIRY["data"], "VaultName": vault, "ObjectName": name}
    return {**NEAR_EXPIRY, "id": f"{vault}-{name}", "topic": resource_id(vault), "subject": name, "data": data}


def vaults(**own: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": name, "resource_id": resource_id(name), **({"credentials": own[key]} if key in own else {})}
        for name, key in ((VAULT, "acorn"), (OTHER, "bramble"), ("cedar-vault", "cedar"))
    ]


@pytest.fixture
def desk() -> Desk:
    """Two vaults with a credential of their own each, and one without."""
    own = vaults(
        acorn={"current": {"credential": "acorn"}, "previous": {"credential": "old"}},
        bramble={"current": {"credential": "bramble"}},
    )
    return Desk(configured=configuration(allowed_vaults=own), passwords=Passwords(**PASSWORDS))


def quarantined(desk: Desk) -> list[tuple[str, str]]:
    kept = [desk.quarantine.get(str(row["item_id"])) for row in desk.rows("at:")]
    return sorted((item.reason, item.event["topic"].rpartition("/")[2]) for item in kept)


@pytest.mark.parametrize(
    ("password", "taken", "refused"),
    [
        ("acorn", [VAULT], [OTHER, "cedar-vault"]),
        ("old", [VAULT], [OTHER, "cedar-vault"]),
        ("bramble", [OTHER], [VAULT, "cedar-vault"]),
        ("general", ["cedar-vault"], [VAULT, OTHER]),
    ],
)
def test_a_credential_brings_the_events_of_its_own_vault_alone(
    password: str, taken: list[str], refused: list[str], desk: Desk
) -> None:
    events = [of(vault) for vault in (VAULT, OTHER, "cedar-vault")]
    answer = desk.post(events, authorization=pair("u", password))
    assert (answer.status, answer.body) == (200, {"recorded": len(taken), "quarantined": len(refused)})
    assert [ticket["scope"] for ticket in desk.tickets()] == taken
    assert quarantined(desk) == [("sender_not_allowed", vault) for vault in sorted(refused)]


@pytest.mark.parametrize(
    ("password", "taken"),
    [("bramble", [OTHER]), ("old", [OTHER]), ("acorn", [VAULT]), ("general", ["cedar-vault"])],
)
def test_the_credential_of_a_pattern_brings_the_events_of_its_vaults_alone(password: str, taken: list[str]) -> None:
    own = {"current": {"credential": "bramble"}, "previous": {"credential": "old"}}
    patterns = [{"name": "bramble-*", "credentials": own}, {"name": "cedar-*"}]
    named = vaults(acorn={"current": {"credential": "acorn"}})[:1]
    configured = configuration(allowed_vaults=named, vault_patterns=patterns)
    desk = Desk(configured=configured, passwords=Passwords(**PASSWORDS))
    events = [of(vault) for vault in (VAULT, OTHER, "cedar-vault")]
    answer = desk.post(events, authorization=pair("u", password))
    assert (answer.status, answer.body) == (200, {"recorded": 1, "quarantined": 2})
    assert [ticket["scope"] for ticket in desk.tickets()] == taken
    paths = {reference.path for reference in configured.document.references()}
    assert {"vault_patterns.0.credentials.current", "vault_patterns.0.credentials.previous"} <= {
        path.removesuffix(".credential") for path in paths
    }


def test_nobody_and_a_stranger_bring_nothing(desk: Desk) -> None:
    assert desk.post([of(VAULT)], authorization=pair("u", "wrong")).status == 401
    assert desk.post([of(VAULT)], authorization="").status == 401
    assert desk.tickets() == []
    assert quarantined(desk) == []


def test_a_vault_that_is_not_allowed_stays_so_whoever_sends(desk: Desk) -> None:
    desk.post([of("stranger-vault")], authorization=pair("u", "acorn"))
    assert quarantined(desk) == [("vault_not_allowed", "stranger-vault")]


def with_entra(keys: Authority, **entra: str) -> Desk:
    own = vaults(acorn={"current": {"credential": "acorn"}})
    named = {"tenant_id": TENANT, "audience": AUDIENCE, **entra}
    desk = Desk(configured=configuration(allowed_vaults=own, entra=named), passwords=Passwords(**PASSWORDS))
    tokens = DeliveryTokens(keys.fetch, lambda: keys.seconds)
    desk.webhook = EventGridWebhook(
        lambda: desk.configured,
        desk.passwords,
        desk.ingestor,
        body_limit=1_000_000,
        tokens=tokens,
        hosts=AllowedHosts(),
    )
    return desk


def test_a_delivery_that_entra_signs_is_taken_for_the_vaults_without_a_credential_of_their_own() -> None:
    desk = with_entra(Authority())
    answer = desk.post([of(OTHER), of(VAULT)], authorization=f"Bearer {token()}")
    assert answer.body == {"recorded": 1, "quarantined": 1}
    assert quarantined(desk) == [("sender_not_allowed", VAULT)]
    # Basic stays a way in beside it.
    assert desk.post([of(VAULT)], authorization=pair("u", "acorn")).status == 200


@pytest.mark.parametrize("header", ["Bearer x.y.z", "bearer", f"Bearer {token(aud='api://other')}"])
def test_a_bearer_that_is_not_accepted_is_told_to_the_log_and_to_nobody_else(
    header: str, caplog: pytest.LogCaptureFixture
) -> None:
    REFUSALS.forget()
    caplog.set_level(logging.INFO)
    desk = with_entra(Authority())
    answer = desk.post([of(OTHER)], authorization=header)
    assert (answer.status, answer.body) == (
        401,
        {"type": "urn:deskbridge:reason:credential_refused", "status": 401, "reason": "credential_refused"},
    )
    assert "Bearer token of this delivery is not accepted" in caplog.text
    assert "bearer_refused" in caplog.text
    assert desk.tickets() == []


def test_without_entra_in_the_settings_a_genuine_token_opens_nothing(desk: Desk) -> None:
    assert desk.post([of("cedar-vault")], authorization=f"Bearer {token()}").status == 401


def test_the_keys_come_from_a_known_authority_alone() -> None:
    authority = Authority()
    desk = with_entra(authority, authority="https://login.evil.example")
    answer = desk.post([of(OTHER)], authorization=f"Bearer {token()}")
    assert (answer.status, answer.body and answer.body["reason"]) == (503, "not_ready")
    assert authority.asked == []
