"""The fenced blocks of the pages for users, and which of them need Azure."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
# A block of a shell that begins so is not run.
NEEDS_AZURE = "# needs Azure"
# Pages all of whose commands need Azure; they say so.
ABOUT_AZURE = frozenset({"deploy.md"})


class Block(NamedTuple):
    """One fenced block: its page, its language, and what stands in it."""

    page: str
    language: str
    text: str


def blocks(language: str, *pages: str) -> list[Block]:
    """The blocks of that language; of all pages when none is named."""
    return [
        Block(path.name, language, text)
        for path in PAGES
        if not pages or path.name in pages
        for text in re.findall(rf"^```{language}\n(.*?)^```$", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    ]


def runs_here(block: Block) -> bool:
    """Whether a shell block works without Azure."""
    return block.page not in ABOUT_AZURE and not block.text.startswith(NEEDS_AZURE)
