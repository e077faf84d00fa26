"""What people type to find a thing: the beginnings of its names, words, numbers, ids and addresses, folded."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from shared.errors import Fault, InvalidInputError
from shared.reasons import Reason
from shared.text import LONE_SURROGATE, escape_key

# Of one text: itself, and what comes first of its words.
_MOST_OF_A_TEXT = 6
_LONGEST = 64
_SHORTEST = 2
_MOST_WORDS = 5
# Nearly all ids of a kind begin so: the characters behind it tell them apart.
_COMMON = re.compile(r"i-0(?=[0-9a-f]|\Z)|usr_")
_APART = re.compile(r"[\s,;:/\\()\[\]<>\"'|]+")
_INNER = re.compile(r"[-_.@]+")


class SearchWords(NamedTuple):
    """What was typed, as terms: `first` finds, and `others` must fit too."""

    first: str
    others: tuple[str, ...]

    def fit(self, terms: Sequence[str]) -> bool:
        """Whether each word begins one of the terms, or a word in one."""
        words = {*terms, *(word for term in terms for word in _APART.split(term))}
        return all(any(word.startswith(asked) for word in words) for asked in (self.first, *self.others))


def fold(text: str) -> str:
    """The text as it is compared: without case, and no longer than a term."""
    return LONE_SURROGATE.sub("\ufffd", text.strip().casefold())[:_LONGEST]


def terms_of(texts: Iterable[str | None]) -> tuple[str, ...]:
    """The terms of a thing: each text whole, each of its words, and what stands behind a dash, dot or underscore.

    Nothing of one character is a term, and no number that is a part of something.
    """
    return tuple(dict.fromkeys(term for text in texts if text for term in _terms_of_text(fold(text))))


def _terms_of_text(whole: str) -> list[str]:
    words = _APART.split(whole)
    inner = [part for word in words if not _COMMON.match(word) for part in _INNER.split(word) if not part.isdigit()]
    # A plus sign of an address that nobody encoded comes as a blank: then what follows it is a word.
    behind = [word.partition("+")[2] for word in words if "@" in word and "+" in word]
    found = dict.fromkeys(term for term in (whole, *words, *behind, *inner) if len(term) >= _SHORTEST)
    return list(found)[:_MOST_OF_A_TEXT]


def search_words(text: str) -> SearchWords:
    """What was typed, its longest word first. Raises InvalidInputError for what is too short to find anything by."""
    words = sorted(set(filter(None, _APART.split(fold(text)))), key=lambda word: (-len(word), word))[:_MOST_WORDS]
    needed = _SHORTEST
    if words and (common := _COMMON.match(words[0])):
        needed += common.end()
    if not words or len(words[0]) < needed:
        message = f"must have a word of at least {needed} characters"
        raise InvalidInputError(
            Reason.PARAMETER_INVALID,
            f"q {message}.",
            remedy="Type more of the name, number, id or address.",
            faults=[Fault("q", message)],
        )
    return SearchWords(words[0], tuple(words[1:]))


def partition_of_term(kind: str, term: str) -> str:
    """Where the rows of a term stand. Any longer term that begins with it stands in the same partition."""
    common = _COMMON.match(term)
    begin = common.end() if common is not None and len(term) >= common.end() + _SHORTEST else 0
    return f"{kind}:find:{escape_key(term[begin : begin + _SHORTEST])}"
