"""Tokens to a syntax tree, for the subset of Bicep that these files use. What it does not know is an error."""

from collections.abc import Sequence

from infra.check.syntax import (
    Access,
    Array,
    Assignment,
    Binary,
    Call,
    Choice,
    Condition,
    Constant,
    Decorator,
    File,
    Index,
    Loop,
    Module,
    Name,
    Node,
    NotNull,
    Object,
    Output,
    Param,
    Property,
    Resource,
    Statement,
    TargetScope,
    Text,
    Unary,
    Using,
    Var,
)
from infra.check.tokens import BicepError, Token, tokenize

_TYPES = {"string", "int", "bool", "array", "object"}
# From loose to tight.
_BINARY = (("??",), ("||",), ("&&",), ("==", "!=", "=~", "!~"), ("<", ">", "<=", ">="), ("+", "-"), ("*", "/", "%"))


def parse(text: str, path: str) -> File:
    """The file. Raises BicepError at the first thing outside the subset."""
    return _Parser(tokenize(text)).file(path)


class _Parser:
    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens = tokens
        self.at = 0

    # Tokens

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    @property
    def ended(self) -> bool:
        return self.token.kind == "end"

    def is_symbol(self, *symbols: str) -> bool:
        return self.token.kind == "symbol" and self.token.text in symbols

    def is_word(self, *words: str) -> bool:
        return self.token.kind == "name" and self.token.text in words

    def next(self) -> Token:
        token = self.token
        self.at += 1
        return token

    def expect(self, symbol: str) -> Token:
        if not self.is_symbol(symbol):
            raise self.wrong(repr(symbol))
        return self.next()

    def word(self) -> str:
        if self.token.kind != "name":
            raise self.wrong("a name")
        return self.next().text

    def wrong(self, expected: str) -> BicepError:
        found = {"end": "the end", "newline": "the end of the line", "string": "a string"}.get(
            self.token.kind, repr(self.token.text)
        )
        return BicepError(self.token.line, f"expected {expected}, found {found}")

    def newlines(self) -> bool:
        before = self.at
        while self.token.kind == "newline":
            self.at += 1
        return self.at > before

    def peek_over_newlines(self, *symbols: str) -> bool:
        at = self.at
        while self.tokens[at].kind == "newline":
            at += 1
        return self.tokens[at].kind == "symbol" and self.tokens[at].text in symbols

    # Statements

    def file(self, path: str) -> File:
        statements: list[Statement] = []
        self.newlines()
        while not self.ended:
            statements.append(self.statement())
            if not self.newlines() and not self.ended:
                raise self.wrong("the end of the line")
        return File(1, path, tuple(statements))

    def statement(self) -> Statement:
        decorators: list[Decorator] = []
        while self.is_symbol("@"):
            line = self.next().line
            name = self.word()
            decorators.append(Decorator(line, name, self.arguments()))
            self.newlines()
        line, marks, word = self.token.line, tuple(decorators), self.word()
        if word == "targetScope":
            self.expect("=")
            return TargetScope(line, self.plain_text())
        if word == "using":
            return Using(line, self.plain_text())
        if word == "param":
            return self.param(line, marks)
        if word == "var":
            name = self.word()
            self.expect("=")
            return Var(line, name, self.value(), decorators=marks)
        if word == "output":
            name, kind = self.word(), self.type()
            self.expect("=")
            return Output(line, name, kind, self.value(), decorators=marks)
        if word == "resource":
            return self.resource(line, marks)
        if word == "module":
            symbol, path = self.word(), self.plain_text()
            self.expect("=")
            return Module(line, symbol, self.deployed(), path, decorators=marks)
        raise BicepError(line, f"{word!r} begins no statement")

    def param(self, line: int, marks: tuple[Decorator, ...]) -> Statement:
        name = self.word()
        if self.is_symbol("="):
            self.next()
            return Assignment(line, name, self.value(), decorators=marks)
        kind, default = self.type(), None
        if self.is_symbol("="):
            self.next()
            default = self.expression()
        return Param(line, name, kind, default, decorators=marks)

    def resource(self, line: int, marks: tuple[Decorator, ...]) -> Resource:
        symbol, described = self.word(), self.plain_text()
        kind, _, version = described.partition("@")
        if not version:
            raise BicepError(line, f"{described!r} names no API version")
        existing = self.is_word("existing")
        if existing:
            self.next()
        self.expect("=")
        return Resource(line, symbol, self.deployed(), kind, version, existing, decorators=marks)

    def type(self) -> str:
        kind = self.word()
        if kind not in _TYPES:
            raise BicepError(self.token.line, f"the type {kind!r} is outside the subset")
        return kind

    def plain_text(self) -> str:
        if self.token.kind != "string":
            raise self.wrong("a string")
        text = self.text(self.next())
        if text.constant is None:
            raise BicepError(text.line, "nothing may be inserted here")
        return text.constant

    def deployed(self) -> Node:
        """An object, behind `if`, or in a loop."""
        value = self.loop() if self.is_symbol("[") else self.conditional()
        body = value.body if isinstance(value, Loop) else value
        if not isinstance(body.body if isinstance(body, Condition) else body, Object):
            raise BicepError(value.line, "a resource or module needs an object")
        return value

    def conditional(self) -> Node:
        if not self.is_word("if"):
            return self.object()
        line = self.next().line
        self.expect("(")
        test = self.expression()
        self.expect(")")
        return Condition(line, test, self.object())

    # Expressions

    def value(self) -> Node:
        """An expression or a loop."""
        at = self.at
        if self.is_symbol("["):
            self.next()
            self.newlines()
            looped = self.is_word("for")
            self.at = at
            if looped:
                return self.loop()
        return self.expression()

    def loop(self) -> Loop:
        line = self.expect("[").line
        self.newlines()
        if self.word() != "for":
            raise BicepError(line, "expected a loop")
        index = None
        if self.is_symbol("("):
            self.next()
            item = self.word()
            self.expect(",")
            index = self.word()
            self.expect(")")
        else:
            item = self.word()
        if self.word() != "in":
            raise self.wrong("'in'")
        over = self.expression()
        self.expect(":")
        body = self.conditional() if self.is_word("if") else self.expression()
        self.newlines()
        self.expect("]")
        return Loop(line, item, index, over, body)

    def expression(self) -> Node:
        test = self.binary(0)
        if not self.peek_over_newlines("?"):
            return test
        self.newlines()
        self.next()
        self.newlines()
        yes = self.expression()
        self.newlines()
        self.expect(":")
        self.newlines()
        return Choice(test.line, test, yes, self.expression())

    def binary(self, level: int) -> Node:
        if level == len(_BINARY):
            return self.unary()
        left = self.binary(level + 1)
        while self.is_symbol(*_BINARY[level]):
            operator = self.next()
            self.newlines()
            left = Binary(operator.line, operator.text, left, self.binary(level + 1))
        return left

    def unary(self) -> Node:
        if self.is_symbol("!", "-"):
            operator = self.next()
            return Unary(operator.line, operator.text, self.unary())
        return self.postfix()

    def postfix(self) -> Node:
        node = self.primary()
        while True:
            line = self.token.line
            if self.is_symbol(".", ".?"):
                self.next()
                node = Access(line, node, self.word())
            elif self.is_symbol("[", "[?"):
                self.next()
                index = self.expression()
                self.expect("]")
                node = Index(line, node, index)
            elif self.is_symbol("("):
                node = Call(line, node, self.arguments())
            elif self.is_symbol("!"):
                self.next()
                node = NotNull(line, node)
            else:
                return node

    def arguments(self) -> tuple[Node, ...]:
        self.expect("(")
        found: list[Node] = []
        self.newlines()
        while not self.is_symbol(")"):
            found.append(self.expression())
            self.newlines()
            if not self.is_symbol(")"):
                self.expect(",")
                self.newlines()
        self.next()
        return tuple(found)

    def primary(self) -> Node:
        token = self.token
        if token.kind == "string":
            return self.text(self.next())
        if token.kind == "number":
            return Constant(token.line, int(self.next().text))
        if self.is_symbol("{"):
            return self.object()
        if self.is_symbol("["):
            return self.array()
        if self.is_symbol("("):
            self.next()
            self.newlines()
            inner = self.expression()
            self.newlines()
            self.expect(")")
            return inner
        if token.kind == "name":
            self.next()
            known = {"true": True, "false": False, "null": None}
            return Constant(token.line, known[token.text]) if token.text in known else Name(token.line, token.text)
        raise self.wrong("an expression")

    def text(self, token: Token) -> Text:
        parts: list[str | Node] = []
        for part in token.parts:
            if isinstance(part, str):
                parts.append(part)
                continue
            inner = _Parser(part)
            inserted = inner.expression()
            if inner.token.kind != "end":
                raise inner.wrong("the end of the insert")
            parts.append(inserted)
        return Text(token.line, tuple(part for part in parts if part != ""))

    def array(self) -> Array:
        line = self.expect("[").line
        found: list[Node] = []
        self.newlines()
        while not self.is_symbol("]"):
            found.append(self.expression())
            self.separator("]")
        self.next()
        return Array(line, tuple(found))

    def object(self) -> Object:
        line = self.expect("{").line
        found: list[Property] = []
        self.newlines()
        while not self.is_symbol("}"):
            at = self.token.line
            quoted = self.text(self.next()) if self.token.kind == "string" else None
            key = quoted.pattern if quoted else self.word()
            inserts = tuple(part for part in quoted.parts if isinstance(part, Node)) if quoted else ()
            if any(key == other.key for other in found):
                raise BicepError(at, f"{key!r} stands twice")
            self.expect(":")
            found.append(Property(at, key, self.value(), inserts))
            self.separator("}")
        self.next()
        return Object(line, tuple(found))

    def separator(self, closing: str) -> None:
        if self.is_symbol(","):
            self.next()
            self.newlines()
        elif not self.newlines() and not self.is_symbol(closing):
            raise self.wrong(f"a comma, a new line or {closing!r}")
