"""What an operator sees of a running worker: quiet SDKs, and OpenTelemetry's spans when the setting is on.

The product does not depend on OpenTelemetry: without its API package, or with the setting off, there are no spans.
"""

import logging
from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")
Attribute = str | int | bool

# They log every request with its headers at INFO; what goes wrong, the product says itself, with a reason.
_CHATTY = ("azure", "boto3", "botocore", "msal", "s3transfer", "urllib3")
# Its warnings hold the answer that it could not read, and so a token, or half of one.
_TALKATIVE = ("azure.identity",)
_NOTHING: AbstractContextManager[None] = nullcontext()

_tracer: Any = None


def quieten_sdks() -> None:
    """Let only the warnings of the SDKs through, and of those that would tell secrets not even these."""
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.ERROR)


def turn_on() -> None:
    """Make spans from now on, if OpenTelemetry is there; say so when it is not."""
    global _tracer  # noqa: PLW0603 - one tracer a process, as OpenTelemetry has it
    try:
        from opentelemetry import trace
    except ImportError:
        logger.warning("DESKBRIDGE_OPENTELEMETRY is on, and the package opentelemetry-api is not installed: no spans.")
        return
    _tracer = trace.get_tracer("deskbridge")


def span(name: str, **attributes: Attribute) -> AbstractContextManager[Any]:
    """A span around a delivery, a part, a page or a transaction; an exception that leaves it is recorded in it."""
    if _tracer is None:
        return _NOTHING
    named = {f"deskbridge.{key}": value for key, value in attributes.items()}
    made: AbstractContextManager[Any] = _tracer.start_as_current_span(f"deskbridge.{name}", attributes=named)
    return made


def spanned(name: str, items: Iterable[T], **attributes: Attribute) -> Generator[T, None, None]:
    """The items, with a span around the getting of each. Close it when not read to its end."""
    iterator = iter(items)
    while True:
        with span(name, **attributes):
            try:
                item = next(iterator)
            except StopIteration:
                return
        yield item
        # A page is large: the next one is got without this one beside it.
        del item
