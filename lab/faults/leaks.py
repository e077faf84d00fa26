"""Looks for planted secrets in whatever text left the product: as they are, URL-encoded, in JSON, in Base64."""

import base64
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus


def marker(purpose: str) -> str:
    """A secret that occurs nowhere by chance, with characters that every encoding changes."""
    return f"leak-{purpose}-{secrets.token_hex(8)}-~/+ &é\"'"


def base64_forms(text: str) -> set[str]:
    """What remains of the text in Base64, in the usual and the URL alphabet, wherever in a longer text it stood.

    Three bytes make four characters, so the text can begin at each of three places. The characters at its ends that
    depend on its neighbours are left out.
    """
    raw = text.encode("utf-8")
    found: set[str] = set()
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw)
        start = -(-before * 8 // 6)
        length = (before + len(raw)) * 8 // 6
        inner = encoded[start:length].decode("ascii")
        found |= {inner, inner.replace("+", "-").replace("/", "_")}
    return found


def forms(text: str) -> dict[str, str]:
    """Every form that is searched for, and what it is."""
    found = {text: "plain"}
    found.update({quote(text, safe=safe): "URL-encoded" for safe in ("", "/", "~/+&")})
    found[quote_plus(text)] = "form-encoded"
    found.update({form.lower(): "URL-encoded" for form, kind in list(found.items()) if kind != "plain"})
    found[json.dumps(text)[1:-1]] = "JSON"
    found[json.dumps(text, ensure_ascii=False)[1:-1]] = "JSON"
    found[repr(text)[1:-1]] = "repr"
    found.update(dict.fromkeys(base64_forms(text), "Base64"))
    found[text.encode("utf-8").hex()] = "hexadecimal"
    return found


@dataclass(frozen=True)
class Leak:
    """A planted secret that was found: which one, in which form, where. Its value is not shown."""

    purpose: str
    form: str
    place: str


@dataclass
class LeakSearch:
    """`planted` gives each secret a purpose; `search` may be called for any number of places."""

    planted: Mapping[str, str]
    found: list[Leak] = field(default_factory=list)
    searched: int = 0

    def search(self, place: str, content: object) -> None:
        """Look through a text, bytes, or anything else by its repr."""
        if isinstance(content, bytes):
            content = content.decode("utf-8", "replace")
        text = content if isinstance(content, str) else repr(content)
        self.searched += len(text)
        for purpose, planted in self.planted.items():
            # A part is as bad as the whole, and an encoding may stop at a character it cannot carry.
            for part in {planted, planted.split("~")[0].rstrip("-")}:
                for form, kind in forms(part).items():
                    if form in text:
                        self.found.append(Leak(purpose, kind, place))

    def search_all(self, places: Iterable[tuple[str, object]]) -> None:
        for place, content in places:
            self.search(place, content)
