"""Request paths as the real host (ASP.NET Core) reads them, before it looks for a route."""

import re

_ENCODED = re.compile("(?:%[0-9a-fA-F]{2})+")


def normalized(raw_path: str) -> str | None:
    """The still encoded path without `.` and `..`; None when an empty segment stands inside, which matches nothing."""
    kept: list[str] = []
    segments = raw_path.removeprefix("/").split("/")
    for index, segment in enumerate(segments):
        dots = segment.lower().replace("%2e", ".")
        is_last = index == len(segments) - 1
        if dots in (".", ".."):
            if dots == ".." and kept:
                kept.pop()
            if is_last:
                kept.append("")
            continue
        if not segment and not is_last:
            return None
        kept.append(segment)
    return "/" + "/".join(kept)


def decode_segment(segment: str) -> str:
    """One segment decoded, but for slashes and for bytes that are no UTF-8: these stay as they were sent."""
    return _ENCODED.sub(lambda found: _decode(found[0]), segment)


def _decode(encoded: str) -> str:
    triplets = [encoded[start : start + 3] for start in range(0, len(encoded), 3)]
    decoded = ""
    while triplets:
        length = _character_length(triplets)
        decoded += bytes(int(each[1:], 16) for each in triplets[:length]).decode() if length else triplets[0]
        del triplets[: length or 1]
    return decoded


def _character_length(triplets: list[str]) -> int:
    """How many of the first triplets make one character; 0 for a slash and for what is no UTF-8."""
    if triplets[0].lower() == "%2f":
        return 0
    for length in range(1, min(4, len(triplets)) + 1):
        try:
            bytes(int(each[1:], 16) for each in triplets[:length]).decode()
        except UnicodeDecodeError:
            continue
        return length
    return 0
