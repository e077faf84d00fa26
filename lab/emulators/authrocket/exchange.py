"""What the emulator hears and says: a request and an answer, whatever server carries them."""

from collections.abc import Mapping
from dataclasses import dataclass, field


class ResetError(Exception):
    """The connection is to be reset without an answer."""


@dataclass(frozen=True)
class Received:
    """A request: decoded path, the first value of each parameter, lower-case header names."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """An answer; a truncated one announces all of its body and sends half."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    is_truncated: bool = False
