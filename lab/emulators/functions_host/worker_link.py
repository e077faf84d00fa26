"""Messages between the host and its worker's process: each is a pickled value behind its length."""

import pickle
import socket
import struct
from asyncio import StreamReader
from dataclasses import dataclass

from lab.emulators.functions_host.worker import FunctionMetadata, Invocation, InvocationResult

_LENGTH = struct.Struct(">Q")


@dataclass(frozen=True)
class Loaded:
    """The worker has loaded the app."""

    functions: list[FunctionMetadata]


@dataclass(frozen=True)
class LoadFailed:
    """The worker cannot load the app, and ends."""

    sentence: str
    stack_trace: str


@dataclass(frozen=True)
class Done:
    """What came of an invocation."""

    invocation_id: str
    result: InvocationResult


Message = Loaded | LoadFailed | Done | Invocation


def packed(message: Message) -> bytes:
    body = pickle.dumps(message)
    return _LENGTH.pack(len(body)) + body


async def receive(reader: StreamReader) -> Message:
    """The next message. Raises IncompleteReadError when the other side has ended."""
    [length] = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return _unpacked(await reader.readexactly(length))


def receive_blocking(connection: socket.socket) -> Message | None:
    """The next message; None when the other side has ended."""
    head = _exactly(connection, _LENGTH.size)
    body = _exactly(connection, _LENGTH.unpack(head)[0]) if head else None
    return _unpacked(body) if body else None


def _exactly(connection: socket.socket, count: int) -> bytes | None:
    found = bytearray()
    while len(found) < count:
        try:
            piece = connection.recv(min(count - len(found), 1 << 20))
        except OSError:
            return None
        if not piece:
            return None
        found += piece
    return bytes(found)


def _unpacked(body: bytes) -> Message:
    message: Message = pickle.loads(body)  # noqa: S301 - a socket between the host and the worker that it started
    return message
