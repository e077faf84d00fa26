"""Route templates as the real host's (ASP.NET Core): literals, parameters, optional ones, defaults, catch-all."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.emulators.functions_host.paths import decode_segment
from lab.emulators.functions_host.route_constraints import Constraint, parse_constraint


@dataclass(frozen=True)
class _Parameter:
    name: str
    constraints: Sequence[tuple[str, Constraint]]
    is_optional: bool = False
    is_catch_all: bool = False
    default: str | None = None

    @property
    def may_be_absent(self) -> bool:
        return self.is_optional or self.is_catch_all or self.default is not None


_Part = str | _Parameter


@dataclass(frozen=True)
class _Segment:
    """Literal text and parameters in turn, such as `report-{id}.{ext}`; usually just one of them."""

    parts: tuple[_Part, ...]

    @property
    def only(self) -> _Parameter | None:
        """The parameter that is the whole segment."""
        return self.parts[0] if len(self.parts) == 1 and isinstance(self.parts[0], _Parameter) else None

    def rank(self) -> int:
        """Order in which routes are tried: literal, mixed, constrained, free, catch-all."""
        if all(isinstance(part, str) for part in self.parts):
            return 1
        only = self.only
        if only is None:
            return 2
        if only.is_catch_all:
            return 4 if only.constraints else 5
        return 2 if only.constraints else 3

    def shape(self) -> str:
        """Equal for segments that match the same values."""
        return "".join(
            part.casefold()
            if isinstance(part, str)
            else "{"
            + "*" * part.is_catch_all
            + ":".join(text for text, _ in part.constraints)
            + "?" * part.may_be_absent
            + "}"
            for part in self.parts
        )

    def match(self, value: str) -> Mapping[str, str] | None:
        """The values of the parameters, or None. Literals ignore case."""
        pattern = "".join(
            re.escape(part) if isinstance(part, str) else f"(?P<p{index}>.+)" for index, part in enumerate(self.parts)
        )
        found = re.fullmatch(pattern, value, re.IGNORECASE | re.DOTALL)
        if not found:
            return None
        values = {}
        for index, part in enumerate(self.parts):
            if isinstance(part, _Parameter):
                values[part.name] = found[f"p{index}"]
                if not all(accepts(values[part.name]) for _, accepts in part.constraints):
                    return None
        return values


@dataclass(frozen=True)
class Route:
    """A parsed template."""

    template: str
    segments: tuple[_Segment, ...]

    def precedence(self) -> tuple[tuple[int, ...], str]:
        """Sort key: the most specific template first."""
        return tuple(segment.rank() for segment in self.segments), self.template

    def shape(self) -> str:
        """Equal for two templates that match the same paths, whatever their parameters are called."""
        return "/".join(segment.shape() for segment in self.segments)

    def match(self, raw_path: str) -> Mapping[str, str] | None:
        """The route parameters of a still encoded path (without the prefix), or None when it does not match."""
        values: dict[str, str] = {}
        given = [decode_segment(each) for each in raw_path.strip("/").split("/")] if raw_path.strip("/") else []
        for index, segment in enumerate(self.segments):
            only = segment.only
            if only and only.is_catch_all:
                return _catch_all(only, "/".join(given[index:]), values)
            if index >= len(given):
                if only is None or not only.may_be_absent:
                    return None
                if only.default is not None:
                    values[only.name] = only.default
                continue
            if not given[index] or (found := segment.match(given[index])) is None:
                return None
            values |= found
        return values if len(given) <= len(self.segments) else None


def parse_route(template: str) -> Route:
    """Parse a template. Raises ValueError with the reason when the real host would refuse it."""
    text = template.strip().strip("/")
    if template.startswith("~") or "?" in re.sub(r"\{[^{}]*\}", "", text):
        raise ValueError(f"the route {template!r} must not start with ~ or hold a question mark outside of braces")
    segments = tuple(_segment(each, template) for each in _split(text)) if text else ()
    names = [part.name.casefold() for each in segments for part in each.parts if isinstance(part, _Parameter)]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"the route {template!r} has the parameter {doubled[0]} twice")
    for index, segment in enumerate(segments):
        only = segment.only
        if only and only.is_catch_all and index < len(segments) - 1:
            raise ValueError(f"the route {template!r} has a catch-all parameter before its end")
        if index < len(segments) - 1 and any(
            isinstance(each, _Parameter) and each.is_optional for each in segment.parts
        ):
            raise ValueError(f"the route {template!r} has an optional parameter before its end")
    return Route(text, segments)


def _catch_all(parameter: _Parameter, rest: str, values: dict[str, str]) -> Mapping[str, str] | None:
    if not rest:
        return values if parameter.default is None else values | {parameter.name: parameter.default}
    if not all(accepts(rest) for _, accepts in parameter.constraints):
        return None
    return values | {parameter.name: rest}


def _split(text: str) -> list[str]:
    """Split at slashes outside of braces."""
    segments, depth, start = [], 0, 0
    for index, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if character == "/" and depth == 0:
            segments.append(text[start:index])
            start = index + 1
    return [*segments, text[start:]]


def _segment(text: str, template: str) -> _Segment:
    if not text:
        raise ValueError(f"the route {template!r} has an empty segment")
    parts: list[_Part] = []
    rest = text
    while rest:
        opening = rest.find("{")
        if opening < 0:
            opening = len(rest)
        if opening:
            parts.append(rest[:opening])
            rest = rest[opening:]
            continue
        closing = _closing(rest)
        if closing < 0:
            raise ValueError(f"the route {template!r} has an opening brace without its closing one")
        parts.append(_parameter(rest[1:closing], template))
        rest = rest[closing + 1 :]
    if any(isinstance(part, str) and "}" in part for part in parts):
        raise ValueError(f"the route {template!r} has a closing brace without its opening one")
    if any(isinstance(a, _Parameter) and isinstance(b, _Parameter) for a, b in itertools.pairwise(parts)):
        raise ValueError(f"the route {template!r} has two parameters with nothing between them")
    if len(parts) > 1 and any(isinstance(part, _Parameter) and part.may_be_absent for part in parts):
        raise ValueError(f"the route {template!r} has an optional or catch-all parameter that is not a whole segment")
    return _Segment(tuple(parts))


def _closing(text: str) -> int:
    """Where the brace that opens `text` closes; doubled braces belong to a regular expression."""
    index = 1
    while index < len(text):
        if text[index] in "{}":
            if text[index : index + 2] in ("{{", "}}"):
                index += 2
                continue
            return index if text[index] == "}" else -1
        index += 1
    return -1


def _parameter(text: str, template: str) -> _Parameter:
    is_catch_all = text.startswith("*")
    name, *constraints = _split_constraints(text.lstrip("*"))
    last = constraints[-1] if constraints else name
    is_optional = last.endswith("?")
    default: str | None = None
    if is_optional:
        last = last[:-1]
    elif "=" in last and "(" not in last:
        last, _, default = last.partition("=")
    if constraints:
        constraints[-1] = last
    else:
        name = last
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", name):
        raise ValueError(f"the route {template!r} has a parameter without a proper name: {{{text}}}")
    parsed = [(each, parse_constraint(each)) for each in constraints]
    return _Parameter(name, parsed, is_optional, is_catch_all, default)


def _split_constraints(text: str) -> list[str]:
    """Split at colons outside of parentheses."""
    pieces, depth, start = [], 0, 0
    for index, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if character == ":" and depth == 0:
            pieces.append(text[start:index])
            start = index + 1
    return [*pieces, text[start:]]
