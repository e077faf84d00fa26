"""Messages that a service sends arrive as those of the host's bindings do."""

import base64
from datetime import UTC, datetime

import pytest
from azure.storage.queue import QueueServiceClient

from shared.errors import MisconfiguredError
from shared.storage.queues import Queues
from tests.storage_emulator import Storage


@pytest.fixture(autouse=True)
def no_message_is_sent() -> None:
    """These go to a storage emulator of the test's own."""


def test_a_message_is_put_into_the_queue_as_base64(storage: Storage) -> None:
    service = QueueServiceClient.from_connection_string(storage.connection_string)
    service.create_queue("outbox")
    Queues.from_connection_string(storage.connection_string, lambda: datetime.now(UTC)).send("outbox", '{"a": "ü<&"}')
    [message] = service.get_queue_client("outbox").receive_messages()
    assert base64.b64decode(message.content).decode() == '{"a": "ü<&"}'


def test_a_queue_that_is_not_there_is_told(storage: Storage) -> None:
    queues = Queues.from_connection_string(storage.connection_string, lambda: datetime.now(UTC))
    with pytest.raises(MisconfiguredError) as refused:
        queues.send("nowhere", "x")
    assert "There is no queue nowhere" in refused.value.message
