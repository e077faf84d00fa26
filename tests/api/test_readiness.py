"""Readiness on the real storage emulator: each thing with its state, its reason and what to do."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.storage.queue import QueueServiceClient

from shared import bootstrap
from shared.bootstrap.kinds import KINDS
from shared.errors import MisconfiguredError
from shared.outbox.outbox import ATTEMPTS, Outbox
from shared.reasons import Reason
from shared.settings.store import SettingsStore
from shared.storage.names import IMPORT_PARTS_POISON_QUEUE, IMPORT_PARTS_QUEUE
from shared.storage.queues import Queues
from shared.storage.rows import Create, Row
from shared.vaults.checks import CredentialCheck
from tests.api.calling import call
from tests.api.conftest import STORE
from tests.storage_emulator import Storage
from tests.tokens import tokens_in_memory


class _Checks:
    """What each store's check says, by its name."""

    def __init__(self, **wrong: Reason) -> None:
        self.wrong = wrong
        self.asked = 0

    def check_store(self, name: str) -> CredentialCheck:
        self.asked += 1
        reason = self.wrong.get(name)
        if reason is None:
            return CredentialCheck(True, f"The credential store {name} is ready.", name, name, "an identity")
        return CredentialCheck(False, "The vault refuses.", name, name, "an identity", reason, "Grant the role.")


@pytest.fixture(autouse=True)
def desk(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AzureWebJobsStorage", storage.connection_string)
    bootstrap.reset()
    store = SettingsStore(bootstrap.tables().table("settings"), KINDS, bootstrap.now)
    store.put("customers", "acorn", {"title": "Acorn"}, by="tests")
    bootstrap.replace("credential_checks", _Checks(oak=Reason.VAULT_PERMISSION_MISSING))
    yield
    bootstrap.reset()


def part(answer: Any, name: str) -> Any:
    return next(item for item in answer.json["items"] if item["name"] == name)


def test_an_empty_desk_is_ready() -> None:
    answer = call("GET", "health/ready")
    assert (answer.status, answer.json["status"]) == (200, "ready")


def test_each_vault_is_told_with_its_reason_and_what_mends_it() -> None:
    for name in ("acorn", "oak"):
        call("PUT", f"settings/credential-stores/{name}", STORE)
    answer = call("GET", "health/ready")
    assert (answer.status, answer.json["status"]) == (200, "degraded")
    assert part(answer, "vault acorn")["state"] == "ready"
    assert part(answer, "vault oak") == {
        "name": "vault oak",
        "state": "degraded",
        "message": "The vault refuses.",
        "reason": "vault_permission_missing",
        "remedy": "Grant the role.",
    }


def test_a_vault_is_signed_in_to_once_a_minute_however_many_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = _Checks()
    bootstrap.replace("credential_checks", checks)
    call("PUT", "settings/credential-stores/acorn", STORE)
    moment = datetime.now(UTC)
    monkeypatch.setattr(bootstrap, "now", lambda: moment)
    assert {call("GET", "health/ready").status for _ in range(50)} == {200}
    assert checks.asked == 1
    moment += timedelta(seconds=61)
    call("GET", "health/ready")
    assert checks.asked == 2


def test_waiting_parts_and_what_failed_for_good_are_counted(storage: Storage) -> None:
    with QueueServiceClient.from_connection_string(storage.connection_string) as service:
        for queue, count in ((IMPORT_PARTS_QUEUE, 2), (IMPORT_PARTS_POISON_QUEUE, 3)):
            service.create_queue(queue)
            for number in range(count):
                service.get_queue_client(queue).send_message(f"{number}")
    answer = call("GET", "health/ready")
    assert part(answer, f"queue {IMPORT_PARTS_QUEUE}")["message"] == "2 messages."
    poison = part(answer, f"queue {IMPORT_PARTS_POISON_QUEUE}")
    assert (poison["state"], poison["message"]) == ("degraded", "3 messages that failed for good.")


def test_a_part_that_nobody_takes_is_told(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    with QueueServiceClient.from_connection_string(storage.connection_string) as service:
        service.create_queue(IMPORT_PARTS_QUEUE)
        service.get_queue_client(IMPORT_PARTS_QUEUE).send_message("part")
    monkeypatch.setattr(bootstrap, "now", lambda: datetime.now(UTC) + timedelta(hours=2))
    found = part(call("GET", "health/ready"), f"queue {IMPORT_PARTS_QUEUE}")
    assert (found["state"], found["message"]) == ("degraded", "1 messages; the oldest has waited 120 minutes.")


def test_an_import_that_is_overdue_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    call("PUT", "settings/credential-stores/acorn", STORE)
    call("PUT", "settings/credentials/key", {"store": "acorn", "secret": "key", "scope": "any"})
    call("PUT", "settings/asset-types/server", {"title": "Server", "group": "Servers"})
    call("PUT", "settings/sites/london", {"title": "London", "customer": "acorn"})
    tenant = {
        "title": "Acorn",
        "syncing": True,
        "access": {"method": "access_key", "secret": {"credential": "key"}},
        "accounts": [{"account": "111122223333"}],
        "regions": ["eu-west-2"],
        "field_mappings": [{"source": "tags.Name", "field": "name"}],
        "matching_field": "name",
        "asset_type": {"mode": "same", "default": "server"},
        "default_site": "london",
    }
    made = call("PUT", "settings/aws-tenants/acorn", tenant)
    assert made.status == 201, made.json
    (name,) = [item["name"] for item in call("GET", "health/ready").json["items"] if item["name"].startswith("import")]
    assert part(call("GET", "health/ready"), name)["state"] == "ready"
    monkeypatch.setattr(bootstrap, "now", lambda: datetime.now(UTC) + timedelta(days=3))
    bootstrap.swap_instances({})
    bootstrap.replace("credential_checks", _Checks())
    bootstrap.replace("access_tokens", tokens_in_memory())
    assert part(call("GET", "health/ready"), name)["state"] == "degraded"


def test_storage_that_does_not_answer_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = "http://127.0.0.1:9/lab0"
    monkeypatch.setenv(
        "AzureWebJobsStorage",
        f"AccountName=lab0;AccountKey=bGFi;TableEndpoint={closed};QueueEndpoint={closed};BlobEndpoint={closed}",
    )
    bootstrap.reset()
    bootstrap.replace("access_tokens", tokens_in_memory())
    answer = call("GET", "health/ready")
    assert (answer.status, answer.json["status"]) == (503, "failing")
    assert part(answer, "storage")["reason"] == "storage_unavailable"
    assert call("GET", "health").json == {"status": "alive"}


def test_queues_of_a_wrong_key_or_no_key_are_said_to_be_refused(storage: Storage) -> None:
    now = lambda: datetime.now(UTC)  # noqa: E731 - short
    wrong = storage.connection_string.replace("AccountKey=", "AccountKey=AAAA")
    with pytest.raises(MisconfiguredError) as refused:
        Queues.from_connection_string(wrong, now).state(IMPORT_PARTS_QUEUE)
    assert refused.value.reason is Reason.STORAGE_DENIED
    with pytest.raises(MisconfiguredError) as missing:
        Queues.from_connection_string("AccountName=lab0", now)
    assert missing.value.reason is Reason.SETTING_INVALID


def test_what_failed_to_follow_from_a_change_is_told_with_its_reason() -> None:
    call("PUT", "settings/sites/london-hq", {"title": "London HQ", "customer": "acorn"})

    def refuse(_due: Any) -> None:
        raise MisconfiguredError(Reason.SETTING_MISSING, "There is no address.", remedy="Set one.")

    broken = Outbox(bootstrap.tables(), {"audit": refuse}, bootstrap.now, lambda _: None)
    entry = next(one for one in broken.page(None, 10, None)[0] if one.message.table == "settings")
    for _ in range(ATTEMPTS):
        with pytest.raises(MisconfiguredError):
            broken.carry_out(entry.message)
    found = part(call("GET", "health/ready"), "outbox")
    assert (found["state"], found["reason"]) == ("degraded", "setting_missing")
    assert "There is no address." in found["message"]
    [listed] = call("GET", "outbox?state=failed").json["items"]
    assert (listed["reason"], listed["explanation"]) == ("setting_missing", "There is no address. Set one.")


def test_what_the_comparison_of_the_index_found_is_told_until_one_finds_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert part(call("GET", "health/ready"), "index")["state"] == "ready"
    index = bootstrap.tables().table("index")
    index.transact("assets:site:gone", [Create(Row("assets:site:gone", "p|r", {"partition": "p", "row": "r"}))])
    moment = bootstrap.now()
    monkeypatch.setattr(bootstrap.index_housekeeping(), "_now", lambda: moment)
    monkeypatch.setattr(bootstrap.readiness(), "_now", lambda: moment)
    for days, state in ((0, "degraded"), (1, "ready")):
        moment += timedelta(days=days, minutes=2)
        for name in bootstrap.index_housekeeping().due():
            assert not bootstrap.index_housekeeping().compare(name)
        found = part(call("GET", "health/ready"), "index")
        assert (found["state"], found["reason"]) == (state, "index_differed" if days == 0 else "")


def test_counts_that_differed_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert part(call("GET", "health/ready"), "counts")["state"] == "ready"
    assets = bootstrap.tables().table("assets")
    assets.transact("manual", [Create(Row("manual", "~~counts", {"counts": '{"record":{"":{"":{"active":3}}}}'}))])
    assert not bootstrap.index_housekeeping().compare("counts:assets")
    later = bootstrap.now() + timedelta(minutes=2)
    monkeypatch.setattr(bootstrap.readiness(), "_now", lambda: later)
    found = part(call("GET", "health/ready"), "counts")
    assert (found["state"], found["reason"]) == ("degraded", "counts_differed")
    assert part(call("GET", "health/ready"), "index")["state"] == "ready"


def test_a_comparison_of_the_index_that_nobody_goes_on_with_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    began = bootstrap.now() - timedelta(hours=3)
    row = Row("housekeeping", "assets", {"began_at": began, "touched_at": began, "place": "far", "compared": 1})
    bootstrap.tables().table("index").transact("housekeeping", [Create(row)])
    found = part(call("GET", "health/ready"), "index")
    assert found["state"] == "degraded"
    assert "no longer compared with assets" in found["message"]


def test_what_is_on_its_way_to_follow_from_a_change_is_ready() -> None:
    call("PUT", "settings/sites/london-hq", {"title": "London HQ", "customer": "acorn"})
    assert part(call("GET", "health/ready"), "outbox")["state"] == "ready"


def test_what_has_waited_for_long_to_follow_from_a_change_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    call("PUT", "settings/sites/london-hq", {"title": "London HQ", "customer": "acorn"})
    late = datetime.now(UTC) + timedelta(hours=2)
    bootstrap.readiness()
    monkeypatch.setattr(bootstrap.readiness(), "_now", lambda: late)
    assert part(call("GET", "health/ready"), "outbox")["state"] == "degraded"
