"""Versions as people see them and send them back: a short tag, and whether it is the present one."""

import hashlib

from shared.errors import ChangedMeanwhileError, ConflictError
from shared.reasons import Reason

ANY_VERSION = "*"


def short_etag(etag: str) -> str:
    """The tag of a row's storage ETag, for rows that count no versions: hexadecimal digits, so it needs no quoting."""
    return hashlib.sha256(etag.encode()).hexdigest()[:16]


def check_version(what: str, if_match: str | None, present: str) -> None:
    """Raise unless `if_match` is the tag of the present version or `*`.

    Without one it raises ConflictError, with another one ChangedMeanwhileError that holds the present tag. `what`
    begins the sentence, such as `The ticket KV-7F3K9-Q2MXB`.
    """
    if if_match is None:
        raise ConflictError(
            Reason.VERSION_NEEDED,
            f"{what} is there already: a change needs the version that was read.",
            remedy=f'Read it, and send the header If-Match: "{present}"; or If-Match: * for any version.',
        )
    if if_match not in {ANY_VERSION, present}:
        raise ChangedMeanwhileError(f"{what} changed meanwhile.", present_version=present)
