"""Dead letters on the real storage emulator, and the removal of what is old."""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from azure.storage.blob import ContainerClient

from lab.faults.network_level_proxy import FaultProxy
from lab.faults.network_level_services import Answer, ForwardedService, ProxiedRequest
from shared.errors import MisconfiguredError, TryLaterError
from shared.storage.names import DEAD_LETTERS_CONTAINER
from shared.tickets.desk.housekeeping import TicketHousekeeping
from shared.tickets.inbound.dead_letters import DeadLetters
from tests.fakes.tables import KilledError, MemoryTables, WatchedTables
from tests.storage_emulator import Storage
from tests.tickets.desk import AFTERWARDS, NOW, PAYLOADS, Desk


@pytest.fixture
def container(storage: Storage) -> Iterator[ContainerClient]:
    with ContainerClient.from_connection_string(storage.connection_string, DEAD_LETTERS_CONTAINER) as client:
        yield client


def letters(container: ContainerClient, desk: Desk) -> DeadLetters:
    return DeadLetters(container, lambda: desk.configured, desk.ingestor, desk.quarantine)


class Gateway:
    """Lets all pass to the container, and answers every reading of a blob with its own page."""

    def __init__(self, connection_string: str, page: bytes) -> None:
        found = re.search(r"BlobEndpoint=(http://[^/;]+)", connection_string)
        assert found is not None
        self._connection_string, self._endpoint, self._page = connection_string, found[1], page
        self._proxy = FaultProxy(self, seed=1)
        self._behind = ForwardedService(self._endpoint)

    def __enter__(self) -> "Gateway":
        self._proxy.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._proxy.__exit__(*error)

    def container(self) -> ContainerClient:
        spoilt = self._connection_string.replace(f"{self._endpoint}/", f"{self._proxy.url}/")
        return ContainerClient.from_connection_string(spoilt, DEAD_LETTERS_CONTAINER, retry_total=0)

    def kinds(self, asked: ProxiedRequest) -> Sequence[str]:
        del asked
        return ()

    def answer(self, asked: ProxiedRequest, kind: str) -> Answer:
        status, headers, content = self._behind.answer(asked, kind)
        return status, headers, self._page if status in {200, 206} and ".json" in asked.path else content


def put(container: ContainerClient, name: str, content: bytes) -> None:
    if not container.exists():
        container.create_container()
    container.upload_blob(name, content)


def names(container: ContainerClient) -> list[str]:
    return [blob.name for blob in container.list_blobs()]


def test_without_a_container_there_are_no_dead_letters(container: ContainerClient) -> None:
    desk = Desk()
    assert letters(container, desk).list(50, None) == ([], None)
    assert letters(container, desk).replay().blobs == 0


def test_dead_letters_are_recorded_by_the_code_of_deliveries_and_removed(container: ContainerClient) -> None:
    desk = Desk(now=AFTERWARDS)
    for name in ("dead_letter_of_three.json", "dead_letter_cloud_event.json"):
        put(container, f"DESKBRIDGE-KV/2026/12/3/0/{name}", (PAYLOADS / name).read_bytes())
    replayed = letters(container, desk).replay()
    assert (replayed.blobs, replayed.recorded, replayed.quarantined, replayed.more) == (2, 4, 0, False)
    assert {str(row["object_name"]) for row in desk.tickets()} == {"mail-password", "web-tls", "disk-key"}
    assert names(container) == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"null"])
def test_a_blob_that_is_no_dead_letter_is_quarantined(container: ContainerClient, content: bytes) -> None:
    desk = Desk()
    put(container, "stray.json", content)
    assert letters(container, desk).replay().quarantined == 1
    assert desk.rows("item:")[0]["reason"] == "body_not_readable"
    assert names(container) == []


@pytest.mark.parametrize("content", [b"", b"Ask kim before you remove these.", b"\xff", b"[" * 2_000])
def test_a_persons_file_stays_and_stops_no_dead_letter(container: ContainerClient, content: bytes) -> None:
    desk = Desk(now=AFTERWARDS)
    put(container, "README.txt", content)
    put(container, "b.json", (PAYLOADS / "dead_letter_cloud_event.json").read_bytes())
    replayed = letters(container, desk).replay(most=1)
    assert (replayed.blobs, replayed.recorded, replayed.quarantined) == (1, 1, 0)
    assert names(container) == ["README.txt"]
    assert desk.rows("item:") == []


def test_a_dead_letter_that_the_quarantine_cannot_hold_stays_beside_its_entry(container: ContainerClient) -> None:
    desk = Desk()
    put(container, "long.json", b"x" * 300_000)
    for _ in range(2):
        letters(container, desk).replay()
    assert len(desk.rows("item:")) == 1
    assert names(container) == ["long.json"]


def test_a_dead_letter_with_an_event_that_the_quarantine_cuts_stays_whole(container: ContainerClient) -> None:
    desk = Desk(now=AFTERWARDS)
    [event] = json.loads((PAYLOADS / "secret_near_expiry.json").read_bytes())
    long = {**event, "id": "long", "eventType": "Contoso.Odd", "data": {"text": "x" * 210_000}}
    content = json.dumps([event, long, {**event, "id": "other"}]).encode()
    put(container, "a.json", content)
    put(container, "b.json", (PAYLOADS / "dead_letter_of_three.json").read_bytes())
    for turn in range(2):
        replayed = letters(container, desk).replay(most=1)
        assert (replayed.recorded, replayed.quarantined) == ((5, 1), (2, 1))[turn]
        # It keeps no other out.
        assert (replayed.blobs, replayed.more) == ((1, False), (0, False))[turn]
    assert names(container) == ["a.json"]
    assert container.download_blob("a.json").readall() == content
    [item] = desk.rows("item:")
    assert (item["reason"], item["whole"]) == ("event_type_unknown", False)


def test_a_dead_letter_whose_long_event_is_recorded_goes(container: ContainerClient) -> None:
    desk = Desk(now=AFTERWARDS)
    [event] = json.loads((PAYLOADS / "secret_near_expiry.json").read_bytes())
    put(container, "a.json", json.dumps([{**event, "more": "x" * 210_000}]).encode())
    assert letters(container, desk).replay().recorded == 1
    assert names(container) == []


def test_a_dead_lettered_cloud_event_without_a_time_happened_when_it_was_published(container: ContainerClient) -> None:
    desk = Desk(now=AFTERWARDS)
    [event] = json.loads((PAYLOADS / "dead_letter_cloud_event.json").read_bytes())
    at = event.pop("time")
    put(container, "a.json", json.dumps([{**event, "publishtime": at}]).encode())
    assert letters(container, desk).replay().recorded == 1


def test_what_something_on_the_way_answered_is_not_taken_for_a_blob(
    container: ContainerClient, storage: Storage
) -> None:
    """Found on the wire: the events were gone, and the page of a proxy was in the quarantine."""
    put(container, "a.json", (PAYLOADS / "dead_letter_of_three.json").read_bytes())
    desk = Desk(now=AFTERWARDS)
    page = b"<html>Please sign in.</html>"
    with (
        Gateway(storage.connection_string, page) as gateway,
        gateway.container() as spoilt,
        pytest.raises(TryLaterError),
    ):
        letters(spoilt, desk).replay()
    assert names(container) == ["a.json"]
    assert not desk.rows("item:")
    letters(container, desk).replay()
    assert len(desk.tickets()) == 3


def test_a_replay_that_is_killed_loses_nothing(container: ContainerClient) -> None:
    put(container, "a.json", (PAYLOADS / "dead_letter_of_three.json").read_bytes())
    tables = MemoryTables()

    def kill(_table: str, verb: str, when: str) -> None:
        if (verb, when) == ("transact", "after"):
            raise KilledError

    with pytest.raises(KilledError):
        letters(container, Desk(WatchedTables(tables, kill), now=AFTERWARDS)).replay()
    assert names(container) == ["a.json"]
    desk = Desk(tables, now=AFTERWARDS)
    letters(container, desk).replay()
    assert len(desk.tickets()) == 3
    assert names(container) == []


def test_a_replay_takes_so_many_blobs_at_once_and_says_that_there_are_more(container: ContainerClient) -> None:
    for number in range(3):
        put(container, f"{number}.json", b"[]")
    desk = Desk()
    assert letters(container, desk).replay(most=2).more
    assert names(container) == ["2.json"]
    assert not letters(container, desk).replay(most=2).more


def test_dead_letters_are_listed_in_pages(container: ContainerClient) -> None:
    for number in range(3):
        put(container, f"{number}.json", b"[]")
    desk = Desk()
    first, after = letters(container, desk).list(2, None)
    second, end = letters(container, desk).list(2, after)
    assert [(letter.name, letter.size) for letter in first + second] == [("0.json", 2), ("1.json", 2), ("2.json", 2)]
    assert end is None


def test_without_settings_a_replay_leaves_everything_where_it_is(container: ContainerClient) -> None:
    put(container, "a.json", b"[]")
    desk = Desk()
    desk.configured = None
    with pytest.raises(MisconfiguredError):
        letters(container, desk).replay()
    assert names(container) == ["a.json"]


def test_storage_that_does_not_answer_is_told_as_passing() -> None:
    silent = ContainerClient(
        "http://127.0.0.1:9/devstoreaccount1", DEAD_LETTERS_CONTAINER, credential="bm90aGluZw==", retry_total=0
    )
    with silent, pytest.raises(TryLaterError):
        letters(silent, Desk()).replay()


def test_receipts_are_removed_after_30_days_and_the_quarantine_after_90() -> None:
    desk = Desk()
    desk.post_file("batch_with_one_bad_event.json")
    desk.settle()
    keeper = TicketHousekeeping(desk.repository, desk.index, desk.quarantine, lambda: desk.now)
    tickets = desk.tickets()
    desk.now = NOW + timedelta(days=30)
    assert keeper.remove_old() == 0
    desk.now = NOW + timedelta(days=31)
    assert keeper.remove_old() == 2
    assert (desk.rows("event:"), len(desk.rows("item:"))) == ([], 1)
    desk.now = NOW + timedelta(days=91)
    assert keeper.remove_old() == 2
    assert desk.rows("item:") + desk.rows("at:") == []
    assert desk.tickets() == tickets


def test_a_delivery_that_comes_after_its_receipt_was_removed_changes_no_ticket() -> None:
    desk = Desk(now=AFTERWARDS)
    desk.post_file("batch_life_of_one_secret.json")
    desk.settle()
    tickets = desk.tickets()
    desk.now = AFTERWARDS + timedelta(days=40)
    TicketHousekeeping(desk.repository, desk.index, desk.quarantine, lambda: desk.now).remove_old()
    assert desk.rows("event:") == []
    desk.post_file("batch_life_of_one_secret.json")
    assert desk.tickets() == tickets


def test_many_old_rows_are_removed_in_transactions_of_their_size() -> None:
    desk = Desk()
    event = (PAYLOADS / "secret_near_expiry.json").read_text()
    for start in range(0, 250, 50):
        batch = ",".join(event.strip()[1:-1].replace("000000000002", f"{start + n:012d}") for n in range(50))
        assert desk.post(f"[{batch}]").status == 200
    desk.settle()
    assert len(desk.rows("event:")) == 250
    desk.now = NOW + timedelta(days=31)
    assert TicketHousekeeping(desk.repository, desk.index, desk.quarantine, lambda: desk.now).remove_old() == 250
