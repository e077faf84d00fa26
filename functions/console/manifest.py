"""The console's files, read once: what is not listed here is not served, and no address becomes a path on disk."""

import gzip
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

_FOLDER = Path(__file__).parent / "web"
_PAGE = "index.html"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Where the page says the folder of its files: their addresses change with their content.
_PLACE = b"{files}"


class ConsoleFile(NamedTuple):
    """One file as it is sent. `etag` has no quotes."""

    content: bytes
    compressed: bytes
    media_type: str
    etag: str


class Manifest(NamedTuple):
    """`folder` is the hash of all files: it stands in their addresses, and so they can be kept for ever."""

    folder: str
    page: ConsoleFile
    files: Mapping[str, ConsoleFile]


@cache
def manifest() -> Manifest:
    """All files of the console, by their names within its folder, with slashes."""
    contents = {
        path.relative_to(_FOLDER).as_posix(): path.read_bytes()
        for path in sorted(_FOLDER.rglob("*"))
        if path.suffix in _TYPES
    }
    page = contents.pop(_PAGE)
    together = hashlib.sha256(page)
    for name, content in contents.items():
        together.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
    folder = together.hexdigest()[:16]
    files = {name: _file(name, content) for name, content in contents.items()}
    return Manifest(folder, _file(_PAGE, page.replace(_PLACE, f"/api/console/{folder}".encode())), files)


def _file(name: str, content: bytes) -> ConsoleFile:
    digest = hashlib.sha256(content).hexdigest()[:32]
    # The time of the packing stays out: the same file is the same bytes on every worker.
    return ConsoleFile(content, gzip.compress(content, mtime=0), _TYPES[Path(name).suffix], digest)
