"""Text to tokens, for the subset of Bicep that these files use. Strings keep their interpolations as tokens."""

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["name", "number", "string", "symbol", "newline", "end"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NUMBER = re.compile(r"[0-9]+")
_SYMBOLS = ("!=", "==", "<=", ">=", "=~", "!~", "&&", "||", "??", ".?", "[?", *"{}[]()<>=:,.!?+-*/%@|")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", "'": "'", "$": "$"}


class BicepError(Exception):
    """The text is not of the subset; `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line
        self.message = message


@dataclass(frozen=True)
class Token:
    """`text` is the name, number or symbol. `parts` of a string alternate literal text and the tokens of an insert."""

    kind: Kind
    text: str
    line: int
    parts: tuple["str | tuple[Token, ...]", ...] = ()


def tokenize(text: str) -> list[Token]:
    """All tokens of a file, the last of kind `end`. Raises BicepError."""
    return _Reader(text).read(until=None)


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.line = 1

    def read(self, until: str | None) -> list[Token]:
        """Tokens up to the closing brace of an insert, or to the end of the text."""
        found: list[Token] = []
        depth = 0
        while self.at < len(self.text):
            character = self.text[self.at]
            if character == "\n":
                found.append(Token("newline", "\n", self.line))
                self.line += 1
                self.at += 1
            elif character in " \t\r":
                self.at += 1
            elif self.text.startswith("//", self.at):
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif self.text.startswith("/*", self.at):
                self._skip_block()
            elif self.text.startswith("'''", self.at):
                raise BicepError(self.line, "multi-line strings are outside the subset")
            elif character == "'":
                found.append(self._string())
            elif match := _NAME.match(self.text, self.at):
                found.append(self._take("name", match[0]))
            elif match := _NUMBER.match(self.text, self.at):
                found.append(self._take("number", match[0]))
            else:
                if until == "}" and character == "}" and depth == 0:
                    self.at += 1
                    return [*found, Token("end", "", self.line)]
                symbol = next((symbol for symbol in _SYMBOLS if self.text.startswith(symbol, self.at)), None)
                if symbol is None:
                    raise BicepError(self.line, f"{character!r} begins nothing")
                depth += {"{": 1, "}": -1}.get(symbol, 0)
                found.append(self._take("symbol", symbol))
        if until is not None:
            raise BicepError(self.line, "an insert ${…} does not end")
        return [*found, Token("end", "", self.line)]

    def _take(self, kind: Kind, text: str) -> Token:
        self.at += len(text)
        return Token(kind, text, self.line)

    def _skip_block(self) -> None:
        end = self.text.find("*/", self.at)
        if end < 0:
            raise BicepError(self.line, "a comment does not end")
        self.line += self.text.count("\n", self.at, end)
        self.at = end + 2

    def _string(self) -> Token:
        line = self.line
        self.at += 1
        parts: list[str | tuple[Token, ...]] = []
        literal = ""
        while True:
            character = self.text[self.at : self.at + 1]
            if character in {"", "\n"}:
                raise BicepError(line, "a string does not end on its line")
            if character == "'":
                self.at += 1
                return Token("string", "", line, (*parts, literal))
            if character == "\\":
                literal += self._escape()
            elif self.text.startswith("${", self.at):
                self.at += 2
                parts += [literal, tuple(self.read(until="}"))]
                literal = ""
            else:
                literal += character
                self.at += 1

    def _escape(self) -> str:
        following = self.text[self.at + 1 : self.at + 2]
        if following not in _ESCAPES:
            raise BicepError(self.line, f"\\{following} is no escape")
        self.at += 2
        return _ESCAPES[following]
