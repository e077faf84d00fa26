"""Keeps secrets out of what is told: by the name of a field, and by the form of a value.

A settings document holds names of secrets and no values, so names are told. What looks like a value is masked wherever
it stands: somebody may have typed it into the wrong field.
"""

import re
from collections.abc import Collection
from typing import Any

MASK = "(masked)"
LONGEST_VALUE = 500
# Of a text, as much as is searched. What stands behind it is not told.
_SEARCHED = 4_000
# What a secret at the end of the searched text may lose of its form.
_UNSURE = 200
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET_WORDS = frozenset(
    {
        *("password", "passwords", "passwd", "pwd", "passphrase", "passcode", "pin", "otp"),
        *("secret", "secrets", "token", "tokens", "credential", "credentials", "cookie", "authorization"),
        *("key", "keys", "apikey", "sas", "signature"),
    }
)
_FORMS = re.compile(
    r"""
      -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*                                  # PEM
    | \bdesk_[A-Za-z0-9_-]{16,}                                               # access tokens of this desk
    | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?             # JSON web tokens
    | (?<![A-Za-z0-9+/])(?=[A-Za-z0-9+/]{0,39}[a-z])(?=[A-Za-z0-9+/]{0,39}[A-Z])(?=[A-Za-z0-9+/]{0,39}[0-9])
      [A-Za-z0-9+/]{40}(?![A-Za-z0-9+/])                                      # AWS secret access keys
    | (?<![A-Za-z0-9+/])[A-Za-z0-9+/]{86}==                                   # keys of storage accounts
    | [A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{30,}                           # client secrets of Entra
    | (?<=://)[^/\s:@]{0,200}:[^/\s@]{1,200}(?=@)                             # user and password in an address
    | (?<=hooks\.slack\.com/services/)\S+                                     # webhooks whose address is the secret
    """,
    re.VERBOSE | re.DOTALL,
)
_TOLD_WITH_ITS_NAME = re.compile(
    r"""\b(password|passwd|pwd|passphrase|secret|token|api[-_ ]?key|access[-_ ]?key|account[-_ ]?key|sig|signature
    |authorization|code)(["']?\s{0,3}[=:]\s{0,3}["']?(?:bearer\s|basic\s)?)([^\s"'&;,]+)""",
    re.VERBOSE | re.IGNORECASE,
)


def is_secret_name(field: str, told: Collection[str] = ()) -> bool:
    """Whether a field of that name may hold a secret. Fields in `told` hold a name instead."""
    last = field.rsplit(".", 1)[-1]
    if last in told:
        return False
    words = {word.casefold() for word in _WORDS.findall(field)}
    return not words.isdisjoint(_SECRET_WORDS)


def masked(value: Any) -> Any:
    """A value as it may be told: what has the form of a secret is masked, what is long is cut."""
    if not isinstance(value, str):
        return value
    text = _FORMS.sub(MASK, value[:_SEARCHED])
    text = _TOLD_WITH_ITS_NAME.sub(rf"\1\2{MASK}", text)
    if len(value) > _SEARCHED:
        text = text[:-_UNSURE]
    if len(text) <= LONGEST_VALUE and len(value) <= _SEARCHED:
        return text
    return f"{text[:LONGEST_VALUE]}…"
