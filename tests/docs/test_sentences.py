"""The pages for users are written in short sentences, and in words that need no explanation."""

import re

import pytest

from tests.docs.blocks import PAGES, ROOT

MOST_WORDS = 25
# Words of this project alone, and what to write in their place.
PRIVATE = {
    r"\bmend(s|ed|ing)?\b": "fix, correct, remedy",
    r"\b(is|are) (told|laid)\b": "say who tells what",
    r"\bhalf a character\b": "an unpaired surrogate",
    r"\bby itself as a rule\b": "say when",
    r"\banew\b": "again",
    r"\bfar side\b": "name the service",
    r"\bstand-ins?\b": "emulator",
    r"\bin vain\b": "failed",
    r"\blet go of\b": "release",
    r"\b(There|there) (is|are) not\b": "does not exist",
}
GUIDES = (*PAGES, ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md")


def _prose(text: str) -> str:
    """Without blocks, what stands between backticks, and addresses of links; a broken line is one again."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"`+[^`\n]*`+", "X", text)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    return re.sub(r"(?<=[^\n|])\n(?=[^\n|#\-\d*>])", " ", text)


def _sentences(text: str) -> list[str]:
    return [
        sentence.strip()
        for line in _prose(text).splitlines()
        for part in (re.split(r"(?<!\\)\|", line) if line.startswith("|") else [line])
        for sentence in re.split(r"(?<=[.?!:;])\s+", part)
    ]


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.name)
def test_no_sentence_of_a_page_is_too_long(path: object) -> None:
    text = (ROOT / str(path)).read_text("utf-8")
    assert [sentence for sentence in _sentences(text) if len(sentence.split()) > MOST_WORDS] == []


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.name)
def test_no_page_has_a_word_of_this_project_alone(path: object) -> None:
    text = _prose((ROOT / str(path)).read_text("utf-8"))
    found = {match[0]: instead for word, instead in PRIVATE.items() for match in re.finditer(word, text)}
    assert found == {}
