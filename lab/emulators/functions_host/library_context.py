"""The `context` argument that a function may ask for, with the attributes that Microsoft's worker gives it."""

import threading
from dataclasses import dataclass, field

from lab.emulators.functions_host.worker import Failure, Invocation


@dataclass(frozen=True)
class _TraceContext:
    trace_parent: str
    trace_state: str
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _RetryContext:
    retry_count: int
    max_retry_count: int
    exception: Failure | None


class InvocationContext:
    """Who is called, where it lies, and which attempt this is."""

    def __init__(self, invocation: Invocation, directory: str, thread_storage: threading.local) -> None:
        self.invocation_id = invocation.invocation_id
        self.function_name = invocation.function.name
        self.function_directory = directory
        self.thread_local_storage = thread_storage
        self.trace_context = _TraceContext(invocation.trace_parent, invocation.trace_state)
        retry = invocation.retry
        self.retry_context = _RetryContext(
            retry.count if retry else 0, retry.max_count if retry else 0, retry.last_failure if retry else None
        )
