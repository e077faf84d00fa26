"""Key Vault events have the field names and forms of the real ones."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from lab.emulators.event_grid import EVENT_TYPES, KeyVaultEvent, Schema, make_event, one_of_each_type, vault_resource_id
from lab.emulators.event_grid.events import UnknownEventTypeError, event_type, seven_digits

PAYLOADS = Path(__file__).parents[3] / "payloads" / "event_grid"
NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)


def file_stem(full_type: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", full_type.rpartition(".")[2]).lower()


def test_key_vault_has_the_nine_object_events_and_the_access_policy_event() -> None:  # KV-01
    assert set(EVENT_TYPES) == {
        f"Microsoft.KeyVault.{object_type}{change}"
        for object_type in ("Secret", "Key", "Certificate")
        for change in ("NewVersionCreated", "NearExpiry", "Expired")
    } | {"Microsoft.KeyVault.VaultAccessPolicyChanged"}


def test_an_event_in_the_event_grid_schema_is_written_as_microsoft_documents_it() -> None:
    event = make_event(
        "SecretNearExpiry",
        vault="acorn-vault",
        name="mail-password",
        version="5ec0e70000004000800000000000a001",
        expires_at=NEW_YEAR,
        occurred_at=datetime(2026, 12, 2, 0, 4, 7, 190342, tzinfo=UTC),
        event_id="e0e0e0e0-0000-4000-8000-000000000002",
    )
    assert event.to_json(Schema.EVENT_GRID) == {
        "id": "e0e0e0e0-0000-4000-8000-000000000002",
        "topic": vault_resource_id("acorn-vault"),
        "subject": "mail-password",
        "eventType": "Microsoft.KeyVault.SecretNearExpiry",
        "eventTime": "2026-12-02T00:04:07.1903420Z",
        "data": {
            "Id": "https://acorn-vault.vault.azure.net/secrets/mail-password/5ec0e70000004000800000000000a001",
            "VaultName": "acorn-vault",
            "ObjectType": "Secret",
            "ObjectName": "mail-password",
            "Version": "5ec0e70000004000800000000000a001",
            "NBF": None,
            "EXP": 1798761600,
        },
        "dataVersion": "1",
        "metadataVersion": "1",
    }


def test_a_cloud_event_says_the_same_in_its_own_words() -> None:
    event = make_event("KeyExpired", vault="acorn-vault", name="disk-key", expires_at=NEW_YEAR)
    grid, cloud = event.to_json(Schema.EVENT_GRID), event.to_json(Schema.CLOUD_EVENTS)
    assert set(cloud) == {"id", "source", "specversion", "type", "subject", "time", "data"}
    assert cloud["specversion"] == "1.0"
    assert [cloud[name] for name in ("id", "source", "type", "subject", "time", "data")] == [
        grid[name] for name in ("id", "topic", "eventType", "subject", "eventTime", "data")
    ]


@pytest.mark.parametrize("full_type", EVENT_TYPES)
@pytest.mark.parametrize("schema", list(Schema))
def test_the_payload_file_of_each_type_is_what_the_simulator_would_send(full_type: str, schema: Schema) -> None:
    suffix = "_cloud_event" if schema is Schema.CLOUD_EVENTS else ""
    content = json.loads((PAYLOADS / f"{file_stem(full_type)}{suffix}.json").read_text())
    recorded = content if schema is Schema.CLOUD_EVENTS else content[0]
    data = recorded["data"]
    made = KeyVaultEvent(
        event_type=full_type,
        vault=data["VaultName"],
        object_name=data["ObjectName"],
        object_version=data["Version"],
        occurred_at=datetime.fromisoformat(recorded["time" if suffix else "eventTime"]),
        event_id=recorded["id"],
        not_before=None if data["NBF"] is None else datetime.fromtimestamp(data["NBF"], UTC),
        expires_at=None if data["EXP"] is None else datetime.fromtimestamp(data["EXP"], UTC),
    )
    assert made.to_json(schema) == recorded


def test_times_have_seven_digits_and_are_in_utc() -> None:
    summer = datetime(2026, 7, 1, 2, 0, 0, 5, tzinfo=timezone(timedelta(hours=2)))
    assert seven_digits(summer) == "2026-07-01T00:00:00.0000050Z"


@pytest.mark.parametrize("name", ["secretnearexpiry", "SecretNearExpiry", "Microsoft.KeyVault.SecretNearExpiry"])
def test_an_event_type_is_known_by_its_short_and_its_full_name(name: str) -> None:
    assert event_type(name) == "Microsoft.KeyVault.SecretNearExpiry"


def test_an_unknown_event_type_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(UnknownEventTypeError, match=r"SecretDeleted.*CertificateNearExpiry"):
        event_type("SecretDeleted")


def test_a_near_expiry_without_a_date_lies_thirty_days_ahead_of_the_expiry() -> None:
    now = datetime(2026, 6, 1, 12, tzinfo=UTC)
    event = make_event("CertificateNearExpiry", vault="v", name="web-tls", occurred_at=now)
    assert event.expires_at == datetime(2026, 7, 1, tzinfo=UTC)


@pytest.mark.parametrize("kind", ["SecretNearExpiry", "SecretExpired", "SecretNewVersionCreated"])
def test_the_same_words_twice_speak_of_the_same_version_with_the_same_expiry(kind: str) -> None:
    first, second = (
        make_event(kind, vault="v", name="api-key", occurred_at=datetime(2026, 6, 1, hour, tzinfo=UTC))
        for hour in (9, 17)
    )
    assert (first.object_version, first.expires_at) == (second.object_version, second.expires_at)
    assert first.event_id != second.event_id


def test_near_expiry_and_expired_of_one_object_speak_of_the_same_version() -> None:
    near = make_event("SecretNearExpiry", vault="acorn-vault", name="mail-password", expires_at=NEW_YEAR)
    over = make_event("SecretExpired", vault="acorn-vault", name="mail-password", expires_at=NEW_YEAR)
    assert near.object_version == over.object_version
    assert near.event_id != over.event_id


def test_one_of_each_type_is_ten_events_of_ten_objects() -> None:
    events = one_of_each_type("acorn-vault")
    assert [event.event_type for event in events] == list(EVENT_TYPES)
    assert len({event.object_name for event in events}) == 10
