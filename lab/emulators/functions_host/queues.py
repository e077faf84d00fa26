"""Queue triggers: polling, batches, leases, retries and poison queues as the real host does them."""

import asyncio
import json
import logging
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError
from azure.storage.queue import QueueMessage

from lab.emulators.functions_host.configuration import QueueConfiguration
from lab.emulators.functions_host.functions import HostedFunction, QueueAddress, QueueTrigger
from lab.emulators.functions_host.invoker import Call, Invoker
from lab.emulators.functions_host.queue_store import QueueStore, UndecodableMessageError
from lab.emulators.functions_host.timespan import write_time
from lab.emulators.functions_host.waits import is_set_within
from lab.emulators.functions_host.worker import Failure, InvocationResult, JsonText

_log = logging.getLogger("lab.emulators.functions_host")
_azure_log = logging.getLogger("Azure.Core")

LEASE = timedelta(minutes=10)
_LEAST_DELAY_SECONDS = 0.1
_POISON = "-poison"
_LONGEST_NAME = 63
_MISSING_AGAIN_SECONDS = 30.0
# A message whose lease ended is back this much later: 603 s after it was taken, on the real host.
_AFTER_LEASE_SECONDS = 3.0


@dataclass(frozen=True)
class _Held:
    """A message that is being worked on; receipt and end of the lease change when that is renewed."""

    message: QueueMessage
    receipt: str
    until: float


class QueueListener:
    """Polls one queue for one function."""

    def __init__(
        self,
        function: HostedFunction,
        store: QueueStore,
        invoker: Invoker,
        configuration: QueueConfiguration,
        lease: timedelta = LEASE,
    ) -> None:
        assert isinstance(function.trigger, QueueTrigger)
        self._function = function
        self._trigger = function.trigger
        self._queue = function.trigger.queue
        self._poison = poison_queue_of(self._queue)
        self._store = store
        self._invoker = invoker
        self._configuration = configuration
        self._lease_seconds = max(1, round(lease.total_seconds()))
        self._stopping = asyncio.Event()
        self._awake = asyncio.Event()  # set by a stop, and by a message that this host sends
        store.watch(self._queue, self._awake.set)
        self._running: dict[asyncio.Task[None], str] = {}
        self._held: dict[str, _Held] = {}
        self._listening: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._listening = asyncio.create_task(self._listen())

    async def stop(self) -> None:
        """Take no new messages. Those being worked on go on."""
        self._stopping.set()
        self._awake.set()
        if self._listening:
            await self._listening

    async def finish(self, seconds: float) -> None:
        """Wait for the messages being worked on; what is not done by then stays hidden until its lease ends."""
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)

    async def _listen(self) -> None:
        delay = _LEAST_DELAY_SECONDS
        is_reported = False
        missing_said_at: float | None = None
        while not self._stopping.is_set():
            self._awake.clear()
            if len(self._running) > self._configuration.new_batch_threshold:
                await self._wait_for_room()
                continue
            try:
                found = await self._receive()
                is_reported, missing_said_at = False, None
            except ResourceNotFoundError:
                missing_said_at = self._say_missing(missing_said_at)
                found = []
            except AzureError as error:
                if not is_reported:
                    _log.error(
                        "Queue %s of function %s cannot be read, trying on: %s",
                        self._queue.name,
                        self._function.name,
                        error,
                    )
                    is_reported = True
                found = []
            for message in found:
                if self._stopping.is_set():
                    await self._give_back(self._new_lease(message), 0)
                else:
                    self._begin(message)
            if found:
                delay = _LEAST_DELAY_SECONDS
                continue
            if await is_set_within(self._awake, delay):
                delay = _LEAST_DELAY_SECONDS
                continue
            longest = max(_LEAST_DELAY_SECONDS, self._configuration.max_polling_interval.total_seconds())
            # Spread, so that several hosts do not poll in step.
            delay = min(longest, delay * 2 * random.uniform(0.8, 1.2))

    def _say_missing(self, said_at: float | None) -> float:
        """The real host does not create queues; it says so again and again. When it was last said."""
        now = time.monotonic()
        if said_at is not None and now - said_at < _MISSING_AGAIN_SECONDS:
            return said_at
        _azure_log.warning(
            "The queue %s of function %s does not exist (QueueNotFound): the host does not create it",
            self._queue.name,
            self._function.name,
        )
        return now

    def _new_lease(self, message: QueueMessage) -> _Held:
        return _Held(message, message.pop_receipt or "", time.monotonic() + self._lease_seconds)

    async def _receive(self) -> list[QueueMessage]:
        pages = self._store.client(self._queue).receive_messages(
            messages_per_page=self._configuration.batch_size,
            max_messages=self._configuration.batch_size,
            visibility_timeout=self._lease_seconds,
        )
        return [message async for message in pages]

    async def _wait_for_room(self) -> None:
        awake = asyncio.create_task(self._awake.wait())
        await asyncio.wait([*self._running, awake], return_when=asyncio.FIRST_COMPLETED)
        awake.cancel()

    def _begin(self, message: QueueMessage) -> None:
        self._held[message.id] = self._new_lease(message)
        task = asyncio.create_task(self._process(message))
        self._running[task] = message.id
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._held.pop(self._running.pop(task), None)
        if not task.cancelled() and (error := task.exception()):
            _log.error("Queue %s: a message could not be completed and will reappear", self._queue.name, exc_info=error)

    async def _process(self, message: QueueMessage) -> None:
        try:
            body = self._store.decode(message)
        except UndecodableMessageError as error:
            _log.error("Queue %s: %s", self._queue.name, error)
            await self._make_poison(message, "cannot be decoded")
            return
        if (message.dequeue_count or 0) > self._configuration.max_dequeue_count and self._poison:
            # It was taken that often before, by hosts that never came to an end with it.
            await self._make_poison(message, f"exceeded the limit of {self._configuration.max_dequeue_count} dequeues")
            return
        ended = asyncio.Event()
        renewing = asyncio.create_task(self._renew(message.id, ended))
        try:
            result = await self._result_of(body, message)
        finally:
            # Not cancelled: a renewal on its way changes the receipt that the message is deleted with.
            ended.set()
            await renewing
        await self._complete(message, result)

    async def _result_of(self, body: bytes, message: QueueMessage) -> InvocationResult:
        try:
            call = queue_call(self._function, body, message)
        except UnicodeDecodeError as error:
            # The function is never called, and a poison queue's message comes back at the end of each lease.
            failure = Failure(f"Exception binding parameter '{self._function.trigger_name}': {error}")
            _log.error("Function '%s' failed (message %s): %s", self._function.name, message.id, failure.message)
            return InvocationResult(failure)
        return await self._invoker.invoke(call)

    async def _renew(self, message_id: str, ended: asyncio.Event) -> None:
        while not await is_set_within(ended, self._lease_seconds / 2):
            held = self._held[message_id]
            try:
                receipt = await self._change_visibility(held, self._lease_seconds)
                until = time.monotonic() + self._lease_seconds
                self._held[message_id] = replace(held, receipt=receipt, until=until)
            except AzureError as error:
                _log.warning(
                    "Queue %s: the lease of message %s is not renewed: %s", self._queue.name, message_id, error
                )

    async def _complete(self, message: QueueMessage, result: InvocationResult) -> None:
        if not result.failure:
            await self._delete(message)
        elif not self._poison:
            # As in the real host: nowhere to put it, so it stays invisible until its lease ends, lest it loop fast.
            hidden_seconds = max(0.0, self._held[message.id].until - time.monotonic())
            asyncio.get_running_loop().call_later(hidden_seconds + _AFTER_LEASE_SECONDS, self._awake.set)
            _log.warning(
                "Queue %s: message %s failed and reappears in at most %d s",
                self._queue.name,
                message.id,
                self._lease_seconds,
            )
        elif (message.dequeue_count or 0) >= self._configuration.max_dequeue_count:
            await self._make_poison(message, f"has reached MaxDequeueCount of {self._configuration.max_dequeue_count}")
        else:
            seconds = round(self._configuration.visibility_timeout.total_seconds())
            await self._give_back(self._held[message.id], seconds)

    async def _make_poison(self, message: QueueMessage, why: str) -> None:
        if not self._poison:
            return
        _log.warning("Message %s %s. Moving message to queue '%s'.", message.id, why, self._poison.name)
        await self._store.send_text(self._poison, str(message.content or ""))
        await self._delete(message)

    async def _delete(self, message: QueueMessage) -> None:
        try:
            await self._store.client(self._queue).delete_message(message.id, self._held[message.id].receipt)
        except HttpResponseError as error:
            # Its lease ran out and another host has it, or the queue is gone: at least once, as in Azure.
            _log.warning("Queue %s: message %s could not be deleted: %s", self._queue.name, message.id, error.reason)

    async def _give_back(self, held: _Held, seconds: int) -> None:
        try:
            await self._change_visibility(held, seconds)
        except AzureError as error:
            _log.warning("Queue %s: message %s could not be given back: %s", self._queue.name, held.message.id, error)

    async def _change_visibility(self, held: _Held, seconds: int) -> str:
        changed = await self._store.client(self._queue).update_message(
            held.message.id, held.receipt, visibility_timeout=seconds, content=held.message.content
        )
        return changed.pop_receipt or held.receipt


def poison_queue_of(queue: QueueAddress) -> QueueAddress | None:
    """`<queue>-poison`; a poison queue has none of its own, nor has one whose name would become too long."""
    name = queue.name + _POISON
    return None if queue.name.endswith(_POISON) or len(name) > _LONGEST_NAME else replace(queue, name=name)


def queue_call(function: HostedFunction, body: bytes, message: QueueMessage) -> Call:
    """The invocation for a message. Raises UnicodeDecodeError, unless the trigger takes bytes."""
    times = {
        "InsertionTime": message.inserted_on,
        "ExpirationTime": message.expires_on,
        "NextVisibleTime": message.next_visible_on,
    }
    metadata: dict[str, str | JsonText] = {
        "Id": message.id,
        "DequeueCount": JsonText(str(message.dequeue_count or 0)),
        "PopReceipt": message.pop_receipt or "",
        **{name: JsonText(json.dumps(write_time(at))) for name, at in times.items() if at},
    }
    return _call(function, f"New queue message detected on '{_queue_name(function)}'.", body, metadata)


def queue_call_by_hand(function: HostedFunction, text: str) -> Call:
    """The invocation for a text that never was in the queue: no id, no count, and not tried again when it fails."""
    return _call(function, "This function was programmatically called via the host APIs.", text.encode(), {})


def _queue_name(function: HostedFunction) -> str:
    assert isinstance(function.trigger, QueueTrigger)
    return function.trigger.queue.name


def _call(function: HostedFunction, reason: str, body: bytes, metadata: Mapping[str, str | JsonText]) -> Call:
    assert isinstance(function.trigger, QueueTrigger)
    value: str | bytes = body if function.trigger.is_binary else body.decode()
    text: str | JsonText = value if isinstance(value, str) else ""
    return Call(function, reason, value, {"QueueTrigger": text, **metadata})
