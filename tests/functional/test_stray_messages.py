"""Messages that nobody of the desk sent: each is kept where an operator sees it, and no poison trigger fails itself."""

from collections.abc import Iterator

import azure.functions as func
import pytest

from shared import bootstrap
from shared.environment import load_environment
from tests.api.calling import Sent
from tests.fakes.tables import MemoryTables
from tests.registered import FUNCTIONS

STRAYS = (
    b"no json",
    b"\xff\xfe\x00 no text",
    b"",
    b"[" * 40_000,
    b"[]",
    b'{"a": 1}',
    b'{"eventType": "Microsoft.Storage.BlobCreated"}',
    b"7",
    b"x" * 48_000,
)
POISON = ("quarantine_key_vault_event", "fail_import_part", "drop_follow_up_message", "fail_vault_sweep")


@pytest.fixture
def tables() -> Iterator[MemoryTables]:
    tables = MemoryTables()
    bootstrap.reset()
    bootstrap.replace("environment", load_environment({"AzureWebJobsStorage": "simulated"}))
    bootstrap.replace("tables", tables)
    yield tables
    bootstrap.reset()


@pytest.mark.parametrize("body", STRAYS)
@pytest.mark.parametrize("name", POISON)
def test_what_the_poison_queue_holds_is_kept_in_the_quarantine(name: str, body: bytes, tables: MemoryTables) -> None:
    sends = any(binding.name == "messages" for binding in FUNCTIONS[name].get_bindings())
    outputs = {"messages": Sent()} if sends else {}
    for _ in range(2):
        FUNCTIONS[name].get_user_function()(message=func.QueueMessage(id="m", body=body), **outputs)
    kept = [key for _, key in tables.table("tickets").rows if key.startswith("item:")]
    # An array without an event says nothing that could be lost.
    assert len(kept) == (0 if (name, body) == ("quarantine_key_vault_event", b"[]") else 1)


def test_every_queue_gives_raw_bytes() -> None:
    """Else the host refuses what is no UTF-8 before the function sees it, and nobody takes it up."""
    triggers = [
        binding.get_dict_repr()
        for each in FUNCTIONS.values()
        for binding in each.get_bindings()
        if binding.type == "queueTrigger"
    ]
    assert len(triggers) == 8
    assert all(str(one.get("dataType")).casefold().endswith("binary") for one in triggers)
