"""Summaries and details of tickets from templates: `{object_name}` and the like, from a fixed list of names."""

import re
from collections.abc import Mapping
from functools import lru_cache

# No str.format: a template is an operator's text, and format reaches into attributes.
PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
PLACEHOLDERS = (
    "vault",
    "object_type",
    "object_name",
    "version",
    "expires_at",
    "expires_on",
    "days_to_expiry",
    "event",
    "at",
)
LONGEST_SUMMARY = 255
LONGEST_DETAILS = 30_000


def unknown_placeholders(template: str) -> list[str]:
    """The placeholders of a template that mean nothing."""
    return [name for name in PLACEHOLDER.findall(template) if name not in PLACEHOLDERS]


def render(template: str, values: Mapping[str, str], longest: int) -> str:
    """The template with its placeholders filled, cut to `longest` characters."""
    # Texts stand at even places, names at odd ones.
    pieces = _pieces(template).copy()
    for place in range(1, len(pieces), 2):
        pieces[place] = values.get(pieces[place], f"{{{pieces[place]}}}")
    text = "".join(pieces)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


@lru_cache(maxsize=256)
def _pieces(template: str) -> list[str]:
    return PLACEHOLDER.split(template)
