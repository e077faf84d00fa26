"""Loopback ports for the lab's parts: find a free one, or keep the one a person asked for."""

import contextlib
import socket
from collections.abc import Callable

LOOPBACK = "127.0.0.1"


class PortTakenError(RuntimeError):
    """A port that was asked for is in use; the message says which, and for what it was wanted."""

    def __init__(self, port: int, purpose: str) -> None:
        super().__init__(f"port {port}, wanted for {purpose}, is taken by another program on {LOOPBACK}")
        self.port = port
        self.purpose = purpose


def is_free(port: int) -> bool:
    """Whether a listener can be opened on this loopback port right now."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        # Servers set this too: a port whose last connections are in TIME_WAIT is free to them.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port that nobody listens on. Another program may still take it first: prefer binding port 0."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def require(port: int, purpose: str) -> int:
    """The port that a person insists on; raises PortTakenError when it is in use."""
    if not is_free(port):
        raise PortTakenError(port, purpose)
    return port


def choose(wanted: int, purpose: str, say: Callable[[str], object] = print) -> int:
    """The wanted port, or another one when it is taken, having said so."""
    if is_free(wanted):
        return wanted
    other = free_port()
    say(f"port {wanted} is taken; {purpose} listens on {other} instead")
    return other
