"""Whether a text repeats a secret: as it is, reversed, or in the encodings in which a server may hand it back."""

import base64
import json
from urllib.parse import quote

# The halves count too, so that a text cut short is no way around; shorter ones could stand there by chance.
_SHORTEST_HALF = 8
_ALIGNMENTS = 3


class SecretEcho:
    """Looks for one secret. Case does not count."""

    def __init__(self, secret: str) -> None:
        middle = len(secret) // 2
        halves = (secret[:middle], secret[middle:]) if middle >= _SHORTEST_HALF else ()
        self._forms = frozenset(
            form.casefold() for part in (secret, *halves) if part for form in (*_forms(part), *_forms(part[::-1]))
        )

    def is_in(self, text: str) -> bool:
        folded = text.casefold()
        return any(form in folded for form in self._forms)


def _forms(text: str) -> set[str]:
    raw = text.encode("utf-8", "replace")
    return {
        text,
        json.dumps(text)[1:-1],
        quote(text, safe=""),
        "".join(f"%{byte:02x}" for byte in raw),
        raw.hex(),
        base64.b32encode(raw).decode().rstrip("="),
        *_base64_forms(raw),
    }


def _base64_forms(raw: bytes) -> set[str]:
    """What stays the same of it in Base64, wherever in a longer text it stands, in both alphabets."""
    found: set[str] = set()
    for before in range(_ALIGNMENTS):
        encoded = base64.b64encode(b"\0" * before + raw).decode()
        # The characters at both ends that depend on their neighbours are left out.
        inner = encoded[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
        found |= {inner, inner.replace("+", "-").replace("/", "_")}
    return found
