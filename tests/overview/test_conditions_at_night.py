"""A night in which much goes wrong: in the morning one list says it all, and after mending it is empty by itself."""

import base64
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from azure.storage.queue import QueueClient

from functions.conditions import prove_conditions
from shared import bootstrap
from shared.errors import MisconfiguredError
from shared.reasons import Reason
from shared.storage.names import IMPORT_PARTS_QUEUE, OUTBOX_POISON_QUEUE
from tests.api.calling import call
from tests.api.conftest import STORE
from tests.outbox.settling import settle
from tests.storage_emulator import Storage

TENANT = {
    "title": "A tenant",
    "syncing": True,
    "access": {"method": "access_key", "secret": {"in_place": {"store": "kv", "secret": "aws"}}},
    "field_mappings": [{"source": "tags.Name", "field": "name"}],
    "matching_field": "name",
    "asset_type": {"default": "server"},
    "default_site": "leeds",
    "deactivate_deleted": True,
}
ACCOUNTS = {"acorn": "111122223333", "birch": "222233334444", "oak": "333344445555"}
REGIONS = ("eu-west-1", "eu-west-2")


class Fleet:
    """Stands in for EC2: the instances of each account and region, and what AWS refuses."""

    def __init__(self) -> None:
        self.numbers = dict.fromkeys(ACCOUNTS.values(), 15)
        self.refused: dict[tuple[str, str], MisconfiguredError] = {}

    def read_instances(self, document: Any, account: Any, region: str, **_: Any) -> Iterator[list[Mapping[str, Any]]]:
        if (account.account, region) in self.refused:
            raise self.refused[account.account, region]
        yield [
            {
                "InstanceId": f"i-{account.account[:4]}{region[-1]}{number:05}",
                "State": {"Name": "running"},
                "tags": {"Name": f"{region}-{number}"},
                "account": account.account,
                "region": region,
            }
            for number in range(self.numbers[account.account])
        ]


class Night:
    """A desk on Azurite, whose time goes as the test says."""

    def __init__(self, storage: Storage) -> None:
        self.connection = storage.connection_string
        self.at = bootstrap.now()
        self.fleet = Fleet()

    def now(self) -> datetime:
        return self.at

    def import_all(self) -> None:
        """The timer of the import, and its parts, as the queue brings them."""
        self.at += timedelta(days=1)
        messages = bootstrap.run_starter().start_scheduled("aws-tenants")
        while messages:
            messages += bootstrap.imports().do_part(messages.pop(0))

    def follow(self) -> None:
        """The timers of the outbox, some minutes later."""
        self.at += timedelta(minutes=5)
        settle(bootstrap.gathered_outbox())
        for message in bootstrap.outbox().overdue():
            bootstrap.outbox().carry_out(message)

    def morning(self) -> dict[str, set[str]]:
        """What the one list says, once housekeeping has looked: by kind, what it is about."""
        self.follow()
        prove_conditions(timer=None)
        self.follow()
        found: dict[str, set[str]] = {}
        for ticket in call("GET", "tickets?source=Deskbridge").json["items"]:
            found.setdefault(ticket["kind"], set()).add(ticket["object_name"])
        return found

    def queue(self, name: str) -> QueueClient:
        return QueueClient.from_connection_string(self.connection, name)


@pytest.fixture
def night(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Night]:
    monkeypatch.setenv("AzureWebJobsStorage", storage.connection_string)
    bootstrap.reset()
    night = Night(storage)
    monkeypatch.setattr(bootstrap, "now", night.now)
    bootstrap.replace("ec2", night.fleet)
    settings = bootstrap.settings()
    settings.put("customers", "acorn", {"title": "Acorn"}, by="tests")
    settings.put("sites", "leeds", {"title": "Leeds", "customer": "acorn"}, by="tests")
    settings.put("asset-types", "server", {"title": "Server"}, by="tests")
    settings.put("credential-stores", "kv", STORE, by="tests")
    for name, account in ACCOUNTS.items():
        document = {**TENANT, "accounts": [{"account": account}], "regions": list(REGIONS)}
        settings.put("aws-tenants", name, document, by="tests")
    for name in (IMPORT_PARTS_QUEUE, OUTBOX_POISON_QUEUE):
        night.queue(name).create_queue()
    yield night
    bootstrap.reset()


def test_in_the_morning_one_list_says_it_all_and_after_mending_it_is_empty_by_itself(night: Night) -> None:
    fleet, secret_wrong = night.fleet, Reason.AWS_SECRET_KEY_WRONG
    night.import_all()
    assert night.morning() == {}
    # The night: a brake, a region of records that is denied, a wrong password, a stuck queue, a poison message.
    fleet.numbers[ACCOUNTS["acorn"]] = 2
    fleet.refused[ACCOUNTS["birch"], REGIONS[0]] = MisconfiguredError(Reason.AWS_PERMISSION_MISSING, "Denied.")
    for region in REGIONS:
        fleet.refused[ACCOUNTS["oak"], region] = MisconfiguredError(secret_wrong, "The secret key is wrong.")
    night.queue(IMPORT_PARTS_QUEUE).send_message(base64.b64encode(b"{}").decode())
    night.queue(OUTBOX_POISON_QUEUE).send_message(base64.b64encode(b"{}").decode())
    night.import_all()
    assert night.morning() == {
        "import_withheld": {"aws-tenants/acorn"},
        "import_failing": {"aws-tenants/birch", "aws-tenants/oak"},
        "queue_stuck": {"queues/import-parts"},
        "poison_messages": {"queues/outbox-poison"},
    }
    listed = call("GET", "tickets?source=Deskbridge&kind=import_withheld").json["items"][0]
    assert (listed["site"], listed["scope"], listed["priority"]) == ("leeds", "acorn", "high")
    details = call("GET", f"tickets/{listed['id']}").json["details"]
    [held] = [one["withheld"] for one in call("GET", "imports").json["items"] if one["name"] == "acorn"]
    assert f'"run_id": "{held["run_id"]}"' in details
    assert any(name in details for name in held["names"])
    # The same again the next night: not one ticket more, and each as old as it was.
    before = {one["id"]: one["opened_at"] for one in call("GET", "tickets?source=Deskbridge").json["items"]}
    night.import_all()
    night.morning()
    after = {one["id"]: one["opened_at"] for one in call("GET", "tickets?source=Deskbridge").json["items"]}
    assert after == before
    # All is mended.
    fleet.numbers[ACCOUNTS["acorn"]] = 15
    fleet.refused.clear()
    for name in (IMPORT_PARTS_QUEUE, OUTBOX_POISON_QUEUE):
        night.queue(name).clear_messages()
    night.import_all()
    assert night.morning() == {}
    resolved = call("GET", "tickets?source=Deskbridge&state=finished").json["items"]
    assert {one["id"] for one in resolved} == set(before)
    assert {one["status"] for one in resolved} == {"resolved"}


def test_a_report_that_was_lost_is_made_up_for_by_the_timer(night: Night) -> None:
    class Silent:
        def report(self, report: Any) -> None:
            """Killed before it told anybody."""

    bootstrap.imports().conditions = Silent()
    night.import_all()
    night.fleet.numbers[ACCOUNTS["acorn"]] = 2
    night.import_all()
    assert night.morning() == {"import_withheld": {"aws-tenants/acorn"}}
    night.fleet.numbers[ACCOUNTS["acorn"]] = 15
    night.import_all()
    assert night.morning() == {}


def test_a_timer_that_starts_nothing_is_told_and_ends_with_the_next_import(night: Night) -> None:
    night.import_all()
    night.at += timedelta(hours=27)
    assert night.morning() == {"import_failing": {f"aws-tenants/{name}" for name in ACCOUNTS}}
    reasons = {one["reason"] for one in call("GET", "imports").json["items"]}
    assert reasons == {"import_overdue"}
    night.import_all()
    assert night.morning() == {}


def test_unreadable_settings_tokens_and_the_quarantine_are_told_until_they_are_over(night: Night) -> None:
    bootstrap.settings().put("customers", "elm", {"title": "Elm"}, by="tests")
    table = bootstrap.tables().table("settings")
    row = table.find("customers", "d:elm")
    assert row is not None
    _break(row.partition_key, row.row_key)
    tokens = bootstrap.access_tokens()
    tokens.make("nightly", by="tests", expires_at=night.at + timedelta(days=60))
    item = bootstrap.quarantine().keep({"odd": True}, Reason.EVENT_NOT_READABLE, "It is odd.")
    assert night.morning() == {
        "settings_unreadable": {"customers/elm"},
        "quarantine": {"desk/quarantine"},
    }
    night.at += timedelta(days=50)
    assert night.morning()["token_expiring"] == {"tokens/nightly"}
    tokens.revoke("nightly", by="tests")
    bootstrap.quarantine().remove(bootstrap.quarantine().get(item))
    bootstrap.settings().put("customers", "elm", {"title": "Elm"}, by="tests", if_match="*")
    assert set(night.morning()) <= {"import_failing"}


def _break(partition_key: str, row_key: str) -> None:
    """Leave in the row what no release would write."""
    from dataclasses import replace

    from shared.storage.rows import Replace, pack

    table = bootstrap.tables().table("settings")
    row = table.find(partition_key, row_key)
    assert row is not None
    table.transact(partition_key, [Replace(replace(row, values={**row.values, **pack("document", {"odd": 1})}))])
