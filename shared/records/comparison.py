"""Whether two values of an identifying field are the same one: addresses, numbers and names as people see them."""

import re
import unicodedata
from functools import lru_cache

from shared.rules.operators import text_of

# Normalisation turns these signs into letters. The first, of kelvin, into the K of another address.
_SIGNS = re.compile("([\u212a\u212b\u2126])")
_BLANKS = re.compile(r"\s+")
# By these fields of assets and of users records are matched: they tell one from another, and the index has them.
MATCHED_FIELDS = {
    "assets": ("name", "asset-number", "serial-number", "host-name"),
    "users": ("email", "username", "reference", "phone"),
}
# A value that more records have tells none from the others.
MOST_ALIKE = 100
_TO_LOWER = {ord("A") + n: chr(ord("a") + n) for n in range(26)}
# Machines come with these where nobody entered anything; people write the others where they know nothing.
MEANINGLESS = (
    "-",
    "--",
    "---",
    ".",
    "?",
    "0",
    "00000000",
    "123456789",
    "default",
    "default string",
    "empty",
    "n/a",
    "na",
    "nil",
    "none",
    "not applicable",
    "not available",
    "not specified",
    "null",
    "o.e.m.",
    "oem",
    "system serial number",
    "tbd",
    "to be filled by o.e.m.",
    "undefined",
    "unknown",
    "unset",
    "x",
    "xxx",
)


def comparable(value: object, *, ignore_case: bool = False) -> str:
    """The text by which two values are compared; empty for nothing.

    Combining marks are composed (NFC), invisible characters dropped, blanks evened out, and a number is its digits.
    Case is ignored of A to Z alone: to fold all of Unicode would make one address of two (`ß` and `ss`). The domain of
    an address has no case, and is compared in its ASCII form (IDNA 2008).
    """
    text = text_of(value)
    if not text.isascii():
        text = "".join(
            part if _SIGNS.fullmatch(part) else unicodedata.normalize("NFC", part) for part in _SIGNS.split(text)
        )
        text = "".join(character for character in text if unicodedata.category(character) != "Cf")
    text = _BLANKS.sub(" ", text).strip()
    if ignore_case:
        text = text.translate(_TO_LOWER)
    name, at, domain = text.rpartition("@")
    return f"{name}@{_ascii_domain(domain)}" if at and name and " " not in domain else text


@lru_cache(maxsize=1024)
def _ascii_domain(domain: str) -> str:
    if domain.isascii():
        return domain.translate(_TO_LOWER)
    # Only an address with other letters pays for the tables.
    import idna

    try:
        return idna.encode(domain, uts46=True, transitional=False).decode()
    except idna.IDNAError:
        return domain
