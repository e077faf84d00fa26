"""What the host asks of a worker (the part that runs the app's code), in terms that know of neither library."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


class AppLoadError(Exception):
    """The app cannot be loaded. `str()` is one sentence; `stack_trace` is the app's own, possibly empty."""

    def __init__(self, sentence: str, stack_trace: str = "") -> None:
        super().__init__(sentence)
        self.stack_trace = stack_trace


@dataclass(frozen=True)
class JsonText:
    """A value that travels as JSON text, unlike a plain `str`, which is text."""

    text: str


@dataclass(frozen=True)
class HttpRequestMessage:
    """A request as the real host hands it to a worker: lower-case header names, repeated values joined by commas."""

    method: str
    url: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    route_parameters: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class HttpResponseMessage:
    """A response as a worker answers it; `cookies` are whole Set-Cookie header values."""

    status: int
    headers: Sequence[tuple[str, str]] = ()
    cookies: Sequence[str] = ()
    body: bytes = b""


Input = str | bytes | JsonText | HttpRequestMessage
Output = str | bytes | JsonText | HttpResponseMessage


@dataclass(frozen=True)
class Binding:
    """One binding of a function; `settings` is its function.json object as the library writes it."""

    name: str
    type: str
    is_output: bool
    settings: Mapping[str, Any]

    @property
    def is_trigger(self) -> bool:
        return self.type.casefold().endswith("trigger")


@dataclass(frozen=True)
class RetryPolicy:
    """The @retry of a function. Delays in seconds; `max_retry_count` -1 means for ever."""

    max_retry_count: int
    fixed_delay: float | None = None
    minimum_delay: float = 0.0
    maximum_delay: float = 0.0


@dataclass(frozen=True)
class FunctionMetadata:
    """A function as the app declares it."""

    name: str
    function_id: str
    bindings: Sequence[Binding]
    retry: RetryPolicy | None = None


@dataclass(frozen=True)
class Failure:
    """What went wrong in an invocation: `Type: message`, and the stack trace."""

    message: str
    stack_trace: str = ""


@dataclass(frozen=True)
class RetryAttempt:
    """The position of an attempt in a retry policy."""

    count: int
    max_count: int
    last_failure: Failure


@dataclass(frozen=True)
class Invocation:
    """One call of one function."""

    invocation_id: str
    function: FunctionMetadata
    trigger_name: str
    trigger_value: Input
    trigger_metadata: Mapping[str, str | JsonText] = field(default_factory=dict)
    trace_parent: str = ""
    trace_state: str = ""
    retry: RetryAttempt | None = None


@dataclass(frozen=True)
class InvocationResult:
    """What came of an invocation: a failure, or the returned value and the output bindings by parameter name."""

    failure: Failure | None = None
    return_value: Output | None = None
    outputs: Mapping[str, Output] = field(default_factory=dict)


class Worker(Protocol):
    """Loads one app and runs its functions; one per process, because an app's module can be imported only once."""

    async def load(self, app_directory: Path) -> Sequence[FunctionMetadata]:
        """Import the app and list its functions. Raises AppLoadError."""
        ...

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        """Run a function to its end. A failing function is a result, not an exception."""
        ...

    def invocation_id(self) -> str | None:
        """The invocation that the calling thread or task works for, if any: log records are named by it."""
        ...

    def close(self) -> None:
        """End it. Does not wait for what still runs."""
        ...
