"""What the real host refuses before it looks for a function: Kestrel's limits, and headers that are no UTF-8."""

import os

from aiohttp import web

# 100 MB, with the real host's setting that changes it.
_BODY_LIMIT_SETTING = "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT"
_BODY_LIMIT = 104_857_600
_REQUEST_LINE_BYTES = 8_192
_HEADER_BYTES = 32_768
_HEADER_COUNT = 100
_AROUND_TARGET = len(" ") + len(" HTTP/1.1\r\n")
_AROUND_HEADER = len(": ") + len("\r\n")

# What aiohttp is told, so that the refusals here come first.
PARSER_BYTES = 1024 * 1024
PARSER_HEADERS = 10_000


def body_limit() -> int:
    """Bytes that a request's body may have."""
    return int(os.environ.get(_BODY_LIMIT_SETTING) or _BODY_LIMIT)


def refusal(request: web.BaseRequest, most_body_bytes: int) -> int | None:
    """The status that refuses this request, with an empty body; None lets it in."""
    if len(request.method) + len(request.raw_path) + _AROUND_TARGET > _REQUEST_LINE_BYTES:
        return 414
    sizes = [len(name) + len(value) + _AROUND_HEADER for name, value in request.raw_headers]
    if len(sizes) > _HEADER_COUNT or sum(sizes) > _HEADER_BYTES:
        return 431
    if not all(_is_utf8(value) for _, value in request.raw_headers):
        return 400
    # Not the 413 that one would expect.
    return 500 if (request.content_length or 0) > most_body_bytes else None


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
