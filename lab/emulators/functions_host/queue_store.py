"""Azure Storage queues as the host uses them: one client per queue, message text encoded here."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Any

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from lab.emulators.functions_host.functions import QueueAddress
from lab.emulators.functions_host.worker import HttpResponseMessage, JsonText, Output

# The service's limit, on the text as it travels; 48 KiB of body in Base64.
_LIMIT_BYTES = 64 * 1024

# The client's own policy waits 15 s and more; a storage on loopback is there or it is not.
_RETRY: dict[str, Any] = {"retry_total": 2, "initial_backoff": 0.5, "increment_base": 1, "random_jitter_range": 0}


class UndecodableMessageError(ValueError):
    """A message's text is not Base64, though host.json says that messages are."""


class QueueStore:
    """Clients of all queues of the app. `is_base64` is host.json's messageEncoding."""

    def __init__(self, *, is_base64: bool) -> None:
        self._is_base64 = is_base64
        self._services: dict[str, QueueServiceClient] = {}
        self._clients: dict[QueueAddress, QueueClient] = {}
        self._watchers: dict[QueueAddress, list[Callable[[], None]]] = {}

    def watch(self, queue: QueueAddress, told: Callable[[], None]) -> None:
        """Have `told` called after each message that this host itself adds, as the real host tells its listeners."""
        self._watchers.setdefault(queue, []).append(told)

    def client(self, queue: QueueAddress) -> QueueClient:
        if queue not in self._clients:
            service = self._services.get(queue.connection)
            if service is None:
                service = self._services[queue.connection] = QueueServiceClient.from_connection_string(
                    queue.connection,
                    **_RETRY,
                )
            # No encode or decode policy: one message that is not Base64 would fail the whole batch it came in.
            self._clients[queue] = service.get_queue_client(queue.name)
        return self._clients[queue]

    async def create(self, queue: QueueAddress) -> None:
        """Create the queue unless it is there."""
        try:
            await self.client(queue).create_queue()
        except ResourceExistsError:
            return

    async def send(self, queue: QueueAddress, body: str | bytes) -> None:
        """Add one message, and the queue too when it is missing. Raises ValueError for one that is too large."""
        text = self.encode(body)
        if len(text.encode()) > _LIMIT_BYTES:
            raise ValueError(
                f"a message for the queue {queue.name} is {len(body)} long: at most 48 KiB fit into a Base64 message"
            )
        await self.send_text(queue, text)

    async def send_text(self, queue: QueueAddress, text: str) -> None:
        """Add a message whose text is encoded already."""
        client = self.client(queue)
        try:
            await client.send_message(text)
        except ResourceNotFoundError:
            await self.create(queue)
            await client.send_message(text)
        for told in self._watchers.get(queue, ()):
            told()

    def encode(self, body: str | bytes) -> str:
        raw = body.encode() if isinstance(body, str) else body
        return base64.b64encode(raw).decode("ascii") if self._is_base64 else raw.decode()

    def decode(self, message: QueueMessage) -> bytes:
        """The body of a message. Raises UndecodableMessageError."""
        text = str(message.content or "")
        if not self._is_base64:
            return text.encode()
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise UndecodableMessageError(f"message {message.id} is not valid Base64") from error

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()
        for service in self._services.values():
            await service.close()


def messages_of(value: Output) -> Sequence[str | bytes]:
    """The messages that a queue output stands for.

    A list is a message for each element, and so is, in the real host, a string that happens to be a JSON array.
    JSON is indented anew.
    """
    match value:
        case bytes():
            return [value]
        case str() | JsonText():
            text = value.text if isinstance(value, JsonText) else value
            match _parsed(text):
                case list() as elements:
                    return [_element(each) for each in elements]
                case dict() as document:
                    return [_element(document)]
            return [text]
        case HttpResponseMessage():
            raise TypeError("an HTTP response cannot be sent to a queue")


def _parsed(text: str) -> object:
    """A JSON array or object, or None for any other text."""
    if text.lstrip()[:1] not in ("[", "{"):
        return None
    try:
        parsed: object = json.loads(text)
    except ValueError:
        return None
    return parsed


def _element(element: object) -> str:
    if isinstance(element, str):
        return element
    if isinstance(element, dict) and element.keys() == {"id", "body"}:
        return str(element["body"])  # how the library writes a QueueMessage
    return json.dumps(element, indent=2, ensure_ascii=False)
