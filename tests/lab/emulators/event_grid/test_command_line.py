"""The command line does what it says and says what it did."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient
from azure.storage.queue import QueueClient

from lab.emulators.event_grid.command_line import main
from tests.lab.emulators.event_grid.endpoint import Reply, serving, validating
from tests.storage_emulator import Storage

ROOT = Path(__file__).parents[4]
PAYLOADS = ROOT / "tests" / "payloads" / "event_grid"
FAST = ["--speed", "1000000"]


def test_send_delivers_the_event_it_was_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVENT_GRID_PASSWORD", "password")
    with serving(200) as endpoint:
        what = ["--type", "SecretNearExpiry", "--vault", "acorn-vault", "--name", "mail-password", "--version", "v1"]
        status = main(["send", *what, "--expires", "2027-01-01", "--to", endpoint.url, "--user", "username"])
    [request] = endpoint.received
    [event] = request.body
    assert status == 0
    assert request.headers["authorization"] == "Basic dXNlcm5hbWU6cGFzc3dvcmQ="  # KV-12
    assert event["eventType"] == "Microsoft.KeyVault.SecretNearExpiry"
    assert event["subject"] == "mail-password"
    assert event["data"]["EXP"] == 1798761600
    assert event["data"]["Id"] == "https://acorn-vault.vault.azure.net/secrets/mail-password/v1"
    out = capsys.readouterr().out
    assert "SecretNearExpiry mail-password, attempt 1: 200" in out
    assert "1 event: 1 delivered; 1 request" in out


def test_a_retry_is_told_with_the_wait_of_the_real_service(capsys: pytest.CaptureFixture[str]) -> None:
    reply = Reply(503, b'{"reason":\n"storage-unavailable"}')
    with serving(lambda _received, number: reply if number == 0 else Reply(200)) as endpoint:
        assert main(["send", "--type", "KeyExpired", "--to", endpoint.url, *FAST]) == 0
    out = capsys.readouterr().out
    assert "Event Grid tries again after 30 s" in out
    assert 'the endpoint said: {"reason": "storage-unavailable"}' in out


def test_a_lost_event_is_called_lost_and_the_status_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(401) as endpoint:
        assert main(["send", "--type", "KeyExpired", "--to", endpoint.url, *FAST]) == 1
    out = capsys.readouterr().out
    assert "401" in out
    assert "Never tried again" in out
    assert "it is lost" in out
    assert "1 event: 1 dropped; 1 request" in out


def test_send_all_makes_ten_events_in_batches(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(200) as endpoint:
        assert main(["send", "--type", "all", "--schema", "cloudevents", "--batch", "4", "--to", endpoint.url]) == 0
    assert [len(body) for body in endpoint.bodies] == [4, 4, 2]
    assert len({event["type"] for body in endpoint.bodies for event in body}) == 10


def test_send_with_count_and_disorder_delivers_duplicates_and_another_order(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serving(200) as endpoint:
        command = ["send", "--type", "SecretExpired", "--name", "s", "--count", "20", "--duplicates", "1", "--shuffle"]
        assert main([*command, "--delay", "5", "--seed", "3", "--workers", "2", "--to", endpoint.url, *FAST]) == 0
    subjects = [body[0]["subject"] for body in endpoint.bodies]
    assert sorted(subjects) == sorted([f"s-{number}" for number in range(1, 21)] * 2)
    assert subjects[:20] != [f"s-{number}" for number in range(1, 21)]


def test_show_prints_the_event_and_sends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "--type", "CertificateExpired", "--name", "web-tls", "--schema", "cloudevents"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["type"] == "Microsoft.KeyVault.CertificateExpired"
    assert shown["subject"] == "web-tls"


def test_deliver_sends_a_file_as_one_delivery_in_its_own_schema(capsys: pytest.CaptureFixture[str]) -> None:
    grid, cloud = PAYLOADS / "batch_with_one_bad_event.json", PAYLOADS / "batch_of_three_cloud_events.json"
    with serving(200) as endpoint:
        assert main(["deliver", "--file", str(grid), "--to", endpoint.url]) == 0
        assert main(["deliver", "--file", str(cloud), "--to", endpoint.url]) == 0
    assert endpoint.bodies == [json.loads(grid.read_text()), json.loads(cloud.read_text())]
    types = [request.headers["content-type"].partition(";")[0] for request in endpoint.received]
    assert types == ["application/json", "application/cloudevents-batch+json"]


@pytest.mark.parametrize("schema", ["eventgrid", "cloudevents"])
def test_handshake_tells_whether_azure_would_accept(schema: str, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(validating) as endpoint:
        assert main(["handshake", "--to", endpoint.url, "--schema", schema]) == 0
    assert "Handshake accepted" in capsys.readouterr().out
    with serving(403) as endpoint:
        assert main(["handshake", "--to", endpoint.url, "--schema", schema]) == 1
    assert "Failed" in capsys.readouterr().out


def test_subscribe_delivers_one_of_each_type_and_ends_with_the_deletion(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(validating) as endpoint:
        assert main(["subscribe", "--to", endpoint.url, "--then-unsubscribe"]) == 0
    kinds = [request.headers["aeg-event-type"] for request in endpoint.received]
    assert kinds == ["SubscriptionValidation", *["Notification"] * 10, "SubscriptionDeletion"]


def test_subscribe_delivers_nothing_to_an_endpoint_that_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(401) as endpoint:
        assert main(["subscribe", "--to", endpoint.url]) == 1
    assert len(endpoint.received) == 1


def test_json_output_is_the_whole_report(capsys: pytest.CaptureFixture[str]) -> None:
    with serving([503, 200]) as endpoint:
        assert main(["send", "--type", "KeyExpired", "--to", endpoint.url, "--json", *FAST]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [attempt["status"] for attempt in report["events"][0]["attempts"]] == [503, 200]
    assert report["events"][0]["outcome"] == "delivered"


def test_dead_letters_and_queues_reach_the_storage_that_was_named(
    storage: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    with ContainerClient.from_connection_string(storage.connection_string, "dead") as container:
        container.create_container()
        with serving(400) as endpoint:
            command = ["send", "--type", "KeyExpired", "--to", endpoint.url, "--dead-letters", "dead", *FAST]
            assert main([*command, "--storage", storage.connection_string]) == 1
        [blob] = container.list_blobs()
    assert f"dead-lettered: KeyExpired example (UndeliverableDueToHttpBadRequest) in {blob.name}" in (
        capsys.readouterr().out
    )
    with QueueClient.from_connection_string(storage.connection_string, "events") as queue:
        queue.create_queue()
        command = ["send", "--type", "KeyExpired", "--queue", "events", "--storage", storage.connection_string]
        assert main(command) == 0
        assert len(list(queue.receive_messages())) == 1


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["send", "--type", "SecretDeleted"], "It publishes: SecretNewVersionCreated"),
        (["send", "--type", "KeyExpired", "--user", "u"], "EVENT_GRID_PASSWORD"),
        (["send", "--type", "KeyExpired", "--password", "p"], "--password needs --user"),
        (["send", "--type", "KeyExpired", "--count", "0"], "--count must be at least 1"),
        (["send", "--type", "KeyExpired", "--speed", "0"], "speed must be above 0"),
        (["send", "--type", "KeyExpired", "--to", "http://desk.example.com/"], "https only"),
        (["send", "--type", "KeyExpired", "--max-attempts", "31"], "must be 1 to 30"),
        (["deliver", "--file", "nowhere.json"], "nowhere.json"),
        (["deliver", "--file", str(PAYLOADS / "README.md")], "is not JSON"),
    ],
)
def test_a_wrong_command_line_says_what_would_be_right(
    command: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 2
    assert why in capsys.readouterr().err


def test_a_date_that_is_none_is_refused_by_the_parser(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["send", "--type", "KeyExpired", "--expires", "soon"])
    assert ended.value.code == 2
    assert "write 2027-01-01" in capsys.readouterr().err


def test_no_output_shows_the_password(capsys: pytest.CaptureFixture[str]) -> None:
    with serving([500, 200]) as endpoint:
        target = ["--to", endpoint.url, "--user", "u", "--password", "correct-horse"]
        main(["send", "--type", "KeyExpired", *target, *FAST])
        main(["send", "--type", "KeyExpired", *target, "--json"])
    out = capsys.readouterr()
    assert endpoint.received[0].headers["authorization"].startswith("Basic ")
    assert "correct-horse" not in out.out + out.err
    assert endpoint.received[0].headers["authorization"] not in out.out + out.err


def test_the_module_runs_as_a_program_and_documents_itself() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lab.emulators.event_grid", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "python -m lab.emulators.event_grid send --type SecretNearExpiry" in done.stdout
    assert "never retried" in done.stdout
