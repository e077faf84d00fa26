"""Tables come back as they were: every type, many pages, after interruptions; never over rows without being told."""

import gzip
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from azure.core.exceptions import HttpResponseError
from azure.data.tables import EdmType, EntityProperty, TableServiceClient
from hypothesis import given
from hypothesis import strategies as st

from infra.backup import tables as backup_tables
from infra.backup.__main__ import main
from infra.backup.folder import BackupError, read_manifest
from infra.backup.rows import UnreadableError, from_line, to_line
from infra.backup.tables import restore, save
from tests.storage_emulator import Storage

NewStorage = Callable[[], Storage]
EVERY_TYPE: dict[str, Any] = {
    "PartitionKey": "aws:123456789012:eu-west-2",
    "RowKey": "i-0 'quoted' ünïcode 🔑",
    "text": "zwei\nZeilen\t\"'\\",
    "empty": "",
    "digits": "012345670123",
    "yes": True,
    "small": -(2**31),
    "large": EntityProperty(2**62, EdmType.INT64),
    "small_but_64_bits": EntityProperty(7, EdmType.INT64),
    "ratio": 0.1,
    "whole": 3.0,
    "endless": float("inf"),
    "when": EntityProperty("2026-12-01T03:00:00.1234567Z", EdmType.DATETIME),
    "early": datetime(1601, 1, 1, tzinfo=UTC),
    "id": UUID("12345678-1234-5678-1234-567812345678"),
    "bytes": bytes(range(256)),
}


def quiet(_text: str) -> None:
    return None


@pytest.fixture
def source(storage: Storage) -> Iterator[TableServiceClient]:
    with storage.tables() as service:
        yield service


@pytest.fixture
def target(new_storage: NewStorage) -> Iterator[TableServiceClient]:
    with new_storage().tables() as service:
        yield service


def lines(service: TableServiceClient, table: str) -> list[str]:
    return [to_line(entity) for entity in service.get_table_client(table).list_entities()]


def fill(service: TableServiceClient, table: str, rows: int, partitions: int = 1, width: int = 10) -> None:
    client = service.create_table_if_not_exists(table)
    for partition in range(partitions):
        for start in range(0, rows, 100):
            entities = [
                {"PartitionKey": f"p{partition}", "RowKey": f"{row:06}", "text": "x" * width}
                for row in range(start, min(start + 100, rows))
            ]
            client.submit_transaction([("upsert", entity) for entity in entities])


def test_every_type_comes_back_exactly(source: TableServiceClient, target: TableServiceClient, tmp_path: Path) -> None:
    source.create_table("tickets").create_entity(EVERY_TYPE)
    save(source, ["tickets"], tmp_path / "b", quiet)
    restore(target, tmp_path / "b", quiet)
    (before,), (after,) = lines(source, "tickets"), lines(target, "tickets")
    assert after == before
    entity = target.get_table_client("tickets").get_entity(EVERY_TYPE["PartitionKey"], EVERY_TYPE["RowKey"])
    assert entity["when"].tables_service_value == "2026-12-01T03:00:00.1234567Z"
    assert entity["small_but_64_bits"] == EntityProperty(7, EdmType.INT64)
    assert (entity["digits"], entity["id"], entity["endless"]) == ("012345670123", EVERY_TYPE["id"], float("inf"))


def test_large_tables_are_read_and_written_in_pages(
    source: TableServiceClient, target: TableServiceClient, tmp_path: Path
) -> None:
    fill(source, "assets", rows=1_250, partitions=2)
    manifest = save(source, ["assets", "users"], tmp_path / "b", quiet)
    assert {name: entry.rows if entry else None for name, entry in manifest.tables.items()} == {
        "assets": 2_500,
        "users": None,
    }
    restore(target, tmp_path / "b", quiet)
    assert lines(target, "assets") == lines(source, "assets")
    assert [table.name for table in target.list_tables()] == ["assets"]


def test_wide_rows_are_spread_over_transactions_that_the_service_takes(
    source: TableServiceClient, target: TableServiceClient, tmp_path: Path
) -> None:
    client = source.create_table("runs")
    for row in range(12):
        wide = {f"column{number}": "ü" * 14_000 for number in range(10)}
        client.create_entity({"PartitionKey": "p", "RowKey": str(row), **wide})
    save(source, ["runs"], tmp_path / "b", quiet)
    restore(target, tmp_path / "b", quiet)
    assert lines(target, "runs") == lines(source, "runs")


def test_rows_in_the_way_stop_a_restore_before_it_writes_anything(
    source: TableServiceClient, target: TableServiceClient, tmp_path: Path
) -> None:
    for table in ("tickets", "users"):
        fill(source, table, rows=2)
    save(source, ["tickets", "users"], tmp_path / "b", quiet)
    fill(target, "users", rows=1, width=3)
    before = lines(target, "users")
    with pytest.raises(BackupError, match="These tables hold rows already: users"):
        restore(target, tmp_path / "b", quiet)
    assert lines(target, "users") == before
    assert "tickets" not in [table.name for table in target.list_tables()]


def test_over_replaces_the_same_keys_whole_and_leaves_the_others(
    source: TableServiceClient, target: TableServiceClient, tmp_path: Path
) -> None:
    fill(source, "users", rows=1)
    save(source, ["users"], tmp_path / "b", quiet)
    client = target.create_table("users")
    client.create_entity({"PartitionKey": "p0", "RowKey": "000000", "left": 1})
    client.create_entity({"PartitionKey": "p0", "RowKey": "other", "mine": 1})
    restore(target, tmp_path / "b", quiet, over=True)
    replaced, kept = lines(target, "users")
    assert replaced == lines(source, "users")[0]
    assert '"mine"' in kept


def test_an_interrupted_restore_is_finished_by_another(
    source: TableServiceClient, target: TableServiceClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(source, "assets", rows=250)
    save(source, ["assets"], tmp_path / "b", quiet)
    whole = backup_tables._transactions

    def dying(folder: Path, table: str) -> Iterator[Any]:
        yield next(whole(folder, table))
        raise HttpResponseError("the network went away")

    with monkeypatch.context() as patched:
        patched.setattr(backup_tables, "_transactions", dying)
        with pytest.raises(HttpResponseError):
            restore(target, tmp_path / "b", quiet)
    assert len(lines(target, "assets")) == 100
    restore(target, tmp_path / "b", quiet, over=True)
    assert lines(target, "assets") == lines(source, "assets")


def test_an_interrupted_backup_is_not_taken_for_one(
    source: TableServiceClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(source, "assets", rows=3)

    def dying(_client: object) -> Iterator[Any]:
        raise HttpResponseError("the network went away")

    with monkeypatch.context() as patched:
        patched.setattr(backup_tables, "_rows", dying)
        with pytest.raises(HttpResponseError):
            save(source, ["assets"], tmp_path / "b", quiet)
    assert not (tmp_path / "b").exists()
    with pytest.raises(BackupError, match=r"is no backup: it has no manifest\.json"):
        read_manifest(tmp_path / "b.partial")
    assert save(source, ["assets"], tmp_path / "b", quiet).tables["assets"] is not None
    with pytest.raises(BackupError, match="is there already"):
        save(source, ["assets"], tmp_path / "b", quiet)


@pytest.mark.parametrize("damage", ["cut", "changed", "gone", "format"])
def test_a_damaged_backup_restores_nothing(
    source: TableServiceClient, target: TableServiceClient, tmp_path: Path, damage: str
) -> None:
    for table in ("assets", "users"):
        fill(source, table, rows=50)
    save(source, ["assets", "users"], tmp_path / "b", quiet)
    file, manifest = tmp_path / "b" / "users.jsonl.gz", tmp_path / "b" / "manifest.json"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-20])
    elif damage == "changed":
        file.write_bytes(gzip.compress(gzip.decompress(file.read_bytes()).replace(b"000007", b"000700")))
    elif damage == "gone":
        file.unlink()
    else:
        manifest.write_text(json.dumps({**json.loads(manifest.read_text("utf-8")), "format": 99}), "utf-8")
    with pytest.raises(BackupError):
        restore(target, tmp_path / "b", quiet)
    assert list(target.list_tables()) == []


def test_the_command_saves_and_restores_all_tables_of_the_desk(
    storage: Storage, new_storage: NewStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    with storage.tables() as service:
        fill(service, "settings", rows=3)
        expected = lines(service, "settings")
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", storage.connection_string)
    assert main(["save", str(tmp_path / "b")]) == 0
    assert (tmp_path / "b").stat().st_mode & 0o077 == 0
    assert main(["restore", str(tmp_path / "b")]) == 1
    assert "These tables hold rows already: settings" in capsys.readouterr().err
    other = new_storage()
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", other.connection_string)
    assert main(["restore", str(tmp_path / "b")]) == 0
    with other.tables() as service:
        assert lines(service, "settings") == expected


def test_without_an_account_the_command_says_what_it_needs(tmp_path: Path, capsys: Any) -> None:
    assert main(["save", str(tmp_path / "b")]) == 1
    assert "Set DESKBRIDGE_TABLE_ENDPOINT" in capsys.readouterr().err


@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True).filter(
            lambda name: name not in {"PartitionKey", "RowKey"}
        ),
        st.one_of(
            st.text(st.characters(exclude_categories=["Cs"])),
            st.booleans(),
            st.integers(-(2**31), 2**31 - 1),
            st.floats(allow_nan=False),
            st.binary(),
            st.uuids(),
        ),
    )
)
def test_any_values_survive_a_line(values: dict[str, Any]) -> None:
    entity = {"PartitionKey": "p", "RowKey": "r", **values}
    assert from_line(to_line(entity)) == entity
    assert "\n" not in to_line(entity)


@pytest.mark.parametrize("line", ["", "[]", "{}", '["p","r",{"a":["Edm.New","1"]}]', '["p","r",{"a":1}]'])
def test_a_line_that_is_no_row_is_refused(line: str) -> None:
    with pytest.raises(UnreadableError):
        from_line(line)
