"""The storage emulator in the lab: it answers, keeps its data, isolates accounts and never outlives its owner."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueClient

from lab import azurite as azurite_part
from lab.azurite import Azurite, AzuriteError, StoragePorts
from lab.emulators.ports import PortTakenError, choose, free_port, is_free, require
from lab.emulators.startable import ROOT
from tests.storage_emulator import Storage


def test_tables_queues_and_blobs_answer_the_current_clients(storage: Storage) -> None:
    with storage.tables() as tables:
        table = tables.create_table("assets")
        table.create_entity({"PartitionKey": "aws:111122223333:eu-west-1", "RowKey": "i-1", "Name": "Jürgen's box"})
        assert table.get_entity("aws:111122223333:eu-west-1", "i-1")["Name"] == "Jürgen's box"
    with QueueClient.from_connection_string(storage.connection_string, "parts") as queue:
        queue.create_queue()
        queue.send_message("part 1")
        assert [message.content for message in queue.receive_messages()] == ["part 1"]
    with BlobServiceClient.from_connection_string(storage.connection_string) as blobs:
        container = blobs.create_container("dead-letters")
        container.upload_blob("one.json", b"{}")
        assert [blob.name for blob in container.list_blobs()] == ["one.json"]


def test_each_test_has_an_account_of_its_own(new_storage: Callable[[], Storage]) -> None:
    first, second = new_storage(), new_storage()
    with first.tables() as mine, second.tables() as theirs:
        mine.create_table("tickets")
        assert [table.name for table in mine.list_tables()] == ["tickets"]
        assert list(theirs.list_tables()) == []


def test_data_in_a_folder_is_there_after_a_restart_on_other_ports(tmp_path: Path) -> None:
    with (
        Azurite(tmp_path / "data") as emulator,
        TableServiceClient.from_connection_string(emulator.connection_string) as tables,
    ):
        tables.create_table("runs").create_entity({"PartitionKey": "p", "RowKey": "r"})
    with (
        Azurite(tmp_path / "data") as emulator,
        TableServiceClient.from_connection_string(emulator.connection_string) as tables,
    ):
        assert tables.get_table_client("runs").get_entity("p", "r")["RowKey"] == "r"
        with pytest.raises(AzuriteError, match="another storage emulator is using"):
            Azurite(tmp_path / "data", lock_timeout_seconds=0.2).start()


def test_a_taken_port_is_named_with_its_purpose() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert not is_free(port)
        with pytest.raises(PortTakenError, match=f"port {port}, wanted for Azurite's table service, is taken"):
            Azurite(ports=StoragePorts(table=port)).start()
        said: list[str] = []
        other = choose(port, "the storage emulator", said.append)
        assert other != port
        assert said == [f"port {port} is taken; the storage emulator listens on {other} instead"]
    # Other programs of this machine take ports too: one that is free now may be theirs a moment later.
    assert any(_is_taken_as_asked(free_port()) for _ in range(5))


def _is_taken_as_asked(port: int) -> bool:
    with suppress(PortTakenError):
        return require(port, "the storage emulator") == choose(port, "the storage emulator", print) == port
    return False


def test_missing_node_and_missing_azurite_are_one_clear_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as change:
        change.setattr(azurite_part, "SCRIPT", tmp_path / "absent.js")
        with pytest.raises(AzuriteError, match="Azurite is not installed: run `make setup`"):
            Azurite().start()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AzuriteError, match=r"Node\.js 20 or later is needed.*`node` is not found"):
        Azurite().start()
    (tmp_path / "node").write_text("#!/bin/sh\necho v18.3.0\n")
    (tmp_path / "node").chmod(0o755)
    with pytest.raises(AzuriteError, match=r"Node\.js 20 or later is needed.* is v18\.3\.0"):
        Azurite().start()


def test_it_ends_when_its_owner_is_killed_and_its_data_is_saved(tmp_path: Path) -> None:
    program = (
        "import time\nfrom pathlib import Path\nfrom azure.data.tables import TableServiceClient\n"
        "from lab.azurite import Azurite\n"
        f"emulator = Azurite(Path({str(tmp_path)!r})).start()\n"
        "tables = TableServiceClient.from_connection_string(emulator.connection_string)\n"
        "tables.create_table('runs').create_entity({'PartitionKey': 'p', 'RowKey': 'r'})\n"
        "print(emulator.process_id, emulator.ports.table, flush=True)\ntime.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        emulator, port = (int(word) for word in owner.stdout.readline().split())
        assert not is_free(port)
        owner.send_signal(signal.SIGKILL)
    with (
        Azurite(tmp_path) as again,  # waits for the other to let go of the folder
        TableServiceClient.from_connection_string(again.connection_string) as tables,
    ):
        assert tables.get_table_client("runs").get_entity("p", "r")["RowKey"] == "r"
    with pytest.raises(ProcessLookupError):
        _wait_until_gone(emulator)


def _wait_until_gone(process_id: int) -> None:
    for _ in range(200):
        os.kill(process_id, 0)
        time.sleep(0.05)
