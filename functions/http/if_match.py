"""The header If-Match: which version the caller read."""

import re

import azure.functions as func

from shared.errors import InvalidInputError
from shared.reasons import Reason

# A number of a settings document's version, or the short tag of a row. Proxies that compress make tags weak.
_TAG = "([0-9]{1,15}|[0-9a-f]{16})"
VERSION_PATTERN = rf'(?:W/)?"{_TAG}"|{_TAG}|(\*)'
_VERSION = re.compile(VERSION_PATTERN)
_LONGEST_SHOWN = 60


def if_match_of(request: func.HttpRequest) -> str | None:
    """The version without quotes, `*` for any, None when the header is absent. Raises InvalidInputError."""
    header = request.headers.get("If-Match")
    if header is None:
        return None
    found = _VERSION.fullmatch(header.strip())
    if found is None:
        shown = header if len(header) <= _LONGEST_SHOWN else f"{header[:_LONGEST_SHOWN]}…"
        raise InvalidInputError(
            Reason.VERSION_INVALID,
            f"The header If-Match is no version: {shown}",
            remedy='Send the ETag of what you read as it is, such as If-Match: "7", or If-Match: * for any version.',
        )
    return next(version for version in found.groups() if version is not None)
