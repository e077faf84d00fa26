"""One invocation from its trigger to its sent outputs, with the lines that tell of it."""

import asyncio
import logging
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace

from azure.core.exceptions import AzureError

from lab.emulators.functions_host.configuration import HostConfiguration
from lab.emulators.functions_host.functions import HostedFunction
from lab.emulators.functions_host.logs import say
from lab.emulators.functions_host.queue_store import QueueStore, messages_of
from lab.emulators.functions_host.worker import (
    Failure,
    Input,
    Invocation,
    InvocationResult,
    JsonText,
    Output,
    RetryAttempt,
    Worker,
)

_log = logging.getLogger("lab.emulators.functions_host")


@dataclass(frozen=True)
class Call:
    """What a trigger hands over."""

    function: HostedFunction
    reason: str
    value: Input
    metadata: Mapping[str, str | JsonText]
    retry: RetryAttempt | None = None
    trace_parent: str = ""
    trace_state: str = ""


class Invoker:
    """Runs functions on the worker, sends their outputs and counts what is running."""

    def __init__(self, worker: Worker, store: QueueStore, configuration: HostConfiguration) -> None:
        self._worker = worker
        self._store = store
        self._timeout = configuration.function_timeout
        self._running: set[str] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    async def invoke(self, call: Call) -> InvocationResult:
        """Run one function to its end. The result is a failure when an output could not be sent."""
        function = call.function
        invocation_id = str(uuid.uuid4())
        self._running.add(invocation_id)
        self._idle.clear()
        say(f"Executing 'Functions.{function.name}' (Reason='{call.reason}', Id={invocation_id})")
        started = time.perf_counter()
        try:
            result = await self._run(call, invocation_id)
        finally:
            self._running.discard(invocation_id)
            if not self._running:
                self._idle.set()
        duration = time.perf_counter() - started
        outcome = "Failed" if result.failure else "Succeeded"
        say(f"Executed 'Functions.{function.name}' ({outcome}, Id={invocation_id}, Duration={duration * 1000:.0f}ms)")
        if result.failure:
            _log.error(
                "Function '%s' failed (Id=%s): %s\n%s",
                function.name,
                invocation_id,
                result.failure.message,
                result.failure.stack_trace.rstrip(),
            )
        return result

    async def _run(self, call: Call, invocation_id: str) -> InvocationResult:
        overrun = None
        if self._timeout is not None:
            overrun = asyncio.get_running_loop().call_later(
                self._timeout.total_seconds(), self._report_overrun, call.function.name, invocation_id
            )
        try:
            result = await self._worker.invoke(
                Invocation(
                    invocation_id,
                    call.function.metadata,
                    call.function.trigger_name,
                    call.value,
                    call.metadata,
                    call.trace_parent,
                    call.trace_state,
                    call.retry,
                )
            )
            return result if result.failure else await self._send_outputs(call.function, result)
        finally:
            if overrun:
                overrun.cancel()

    def _report_overrun(self, name: str, invocation_id: str) -> None:
        _log.error(
            "Timeout value of %s was exceeded by function 'Functions.%s' (Id: '%s'): in Azure its worker is killed now",
            self._timeout,
            name,
            invocation_id,
        )

    async def _send_outputs(self, function: HostedFunction, result: InvocationResult) -> InvocationResult:
        values: dict[str, Output] = dict(result.outputs)
        if result.return_value is not None:
            values["$return"] = result.return_value
        for name, queue in function.outputs.items():
            if name not in values:
                continue
            try:
                for message in messages_of(values[name]):
                    await self._store.send(queue, message)
            except (AzureError, ValueError, TypeError) as error:
                failure = Failure(f"the output binding {name} (queue {queue.name}) could not be sent: {error}")
                return replace(result, failure=failure)
        return result

    async def wait_until_idle(self, seconds: float) -> bool:
        """Whether every running invocation has ended within that time."""
        try:
            await asyncio.wait_for(self._idle.wait(), seconds)
        except TimeoutError:
            return False
        return True
