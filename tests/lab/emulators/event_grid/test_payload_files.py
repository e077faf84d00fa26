"""The payload files are what their names and their README say."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[3] / "payloads" / "event_grid"
EXPIRY = 1798761600


def load(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text())


def data_of(name: str) -> dict[str, Any]:
    content = load(name)
    event = content[0] if isinstance(content, list) else content
    data: dict[str, Any] = event["data"]
    return data


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.json")), ids=lambda file: str(file.stem))
def test_every_file_is_json_and_in_the_schema_its_name_says(file: Path) -> None:
    content = json.loads(file.read_text())
    events = content if isinstance(content, list) else [content]
    cloud = "cloud_event" in file.stem
    for event in events:
        if isinstance(event, dict):
            assert ("specversion" in event) is cloud


@pytest.mark.parametrize(
    ("name", "value"),
    [("string", str(EXPIRY)), ("null", None), ("fractional_number", float(EXPIRY)), ("empty_string", "")],
)
def test_the_expiry_date_comes_in_each_form(name: str, value: object) -> None:
    found = data_of(f"secret_near_expiry_exp_{name}")["EXP"]
    assert found == value
    assert type(found) is type(value)


def test_the_expiry_date_may_be_absent() -> None:
    assert "EXP" not in data_of("secret_near_expiry_exp_absent")
    assert "EXP" not in data_of("secret_near_expiry_exp_absent_cloud_event")


def test_keys_come_in_other_cases_and_with_a_trailing_space() -> None:
    assert {"vaultname", "nbf", "exp"} <= set(data_of("certificate_expired_lower_case_keys"))
    assert {"vaultName", "nbf", "exp"} <= set(data_of("key_near_expiry_camel_case_keys"))
    assert "ObjectName " in data_of("secret_near_expiry_key_with_trailing_space")
    assert data_of("secret_near_expiry_value_with_leading_space")["Version"].startswith(" ")


def test_in_the_bad_batches_one_of_three_cannot_be_read() -> None:
    grid, cloud = load("batch_with_one_bad_event"), load("batch_with_one_bad_cloud_event")
    assert [("VaultName" in event["data"]) for event in grid] == [True, False, True]
    assert [isinstance(event["data"], dict) for event in cloud] == [True, False, True]


def test_the_repeated_event_is_the_same_to_the_last_letter() -> None:
    first, second = load("batch_with_the_same_event_twice")
    assert first == second


def test_the_batches_of_three_are_the_same_events_in_both_schemas() -> None:
    grid, cloud = load("batch_of_three"), load("batch_of_three_cloud_events")
    assert [event["id"] for event in grid] == [event["id"] for event in cloud]
    assert [event["eventType"] for event in grid] == [event["type"] for event in cloud]


@pytest.mark.parametrize("name", ["storage_queue_message", "storage_queue_message_cloud_event"])
def test_a_queue_message_is_the_base64_of_one_event(name: str) -> None:
    event = json.loads(base64.b64decode((FOLDER / f"{name}.txt").read_text()))
    assert event["subject"] == "mail-password"


def test_a_dead_letter_has_the_added_properties_in_the_case_of_its_schema() -> None:
    assert {letter["deadLetterReason"] for letter in load("dead_letter_of_three")} == {
        "MaxDeliveryAttemptsExceeded",
        "UndeliverableDueToHttpBadRequest",
        "TimeToLiveExceeded",
    }
    assert load("dead_letter_cloud_event")[0]["deadletterreason"] == "MaxDeliveryAttemptsExceeded"
