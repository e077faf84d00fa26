"""Light forms of the Functions RPC messages: the fields that azure-functions-runtime uses, and no gRPC.

The runtime gets this module as `protos`. Field names are those of Microsoft's FunctionRpc.proto.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any


class TypedData:
    """Exactly one field is set; `WhichOneof` says which (a oneof in the proto file)."""

    def __init__(self, **one: Any) -> None:
        if len(one) > 1:
            raise TypeError(f"TypedData holds one value, not {sorted(one)}")
        self._which = next(iter(one), None)
        for name, value in one.items():
            setattr(self, name, value)

    def WhichOneof(self, group: str) -> str | None:  # noqa: N802 - protobuf's name
        del group
        return self._which

    def get(self) -> tuple[str | None, Any]:
        """The field that is set and its value."""
        value: Any = None if self._which is None else getattr(self, self._which)
        return self._which, value


class ParameterBinding:
    """A named value. Shared memory is never used here."""

    def __init__(self, name: str, data: TypedData | None = None) -> None:
        self.name = name
        self.data = data

    def WhichOneof(self, group: str) -> str | None:  # noqa: N802 - protobuf's name
        del group
        return None if self.data is None else "data"


@dataclass
class Nullable:
    """A wrapped value; absent is None at the place of use."""

    value: Any = None


NullableString = NullableBool = NullableDouble = NullableTimestamp = Nullable


@dataclass
class Timestamp:
    """Seconds since 1970."""

    seconds: int = 0


class RpcHttpCookie:
    """A cookie that a function sets."""

    SameSite = IntEnum("SameSite", [("None", 0), ("Lax", 1), ("Strict", 2), ("ExplicitNone", 3)])

    def __init__(self, name: str, value: str, **attributes: Any) -> None:
        self.name = name
        self.value = value
        self.attributes = attributes


@dataclass
class RpcHttp:
    """A request (method, url, params, query) or a response (status_code, cookies)."""

    method: str = ""
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: TypedData | None = None
    status_code: str = ""
    cookies: Sequence[RpcHttpCookie] | None = None
    enable_content_negotiation: bool = False


@dataclass
class RpcException:
    """An exception as text."""

    message: str = ""
    stack_trace: str = ""
    source: str = ""


@dataclass
class StatusResult:
    """Success or failure of a request."""

    status: int = 0
    exception: RpcException | None = None

    Failure = 0
    Success = 1
    Cancelled = 2


@dataclass
class BindingInfo:
    """A binding's outline; everything else is in the raw bindings."""

    type: str = ""
    data_type: int | None = None
    direction: int = 0

    out = 1
    inout = 2
    undefined = 0


@dataclass
class RpcRetryOptions:
    """A retry policy; the delays are timedeltas."""

    max_retry_count: int = 0
    retry_strategy: Any = None
    delay_interval: Any = None
    minimum_interval: Any = None
    maximum_interval: Any = None


class _Message:
    """A message of which the host reads a few fields: keeps them all."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{type(self).__name__} was built without {name}")


class WorkerMetadata(_Message):
    """Name and version of the worker."""


class WorkerInitResponse(_Message):
    """Answer to the first request."""


class FunctionMetadataResponse(_Message):
    """The indexed functions."""


class RpcFunctionMetadata(_Message):
    """One indexed function."""


class FunctionLoadResponse(_Message):
    """Answer to a load request."""


class InvocationResponse(_Message):
    """What came of an invocation."""
