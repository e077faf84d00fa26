"""Query parameters: what each may be, read once and refused by name when it is wrong."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, TypeVar

import azure.functions as func

from shared.errors import Fault, InvalidInputError
from shared.reasons import Reason

T = TypeVar("T")

LARGEST_PAGE = 200
USUAL_PAGE = 50
# The host reads these itself: a key may be given as ?code=, and the portal adds the name of the key.
_OF_THE_HOST = frozenset({"code", "clientid"})


class Query(NamedTuple, Generic[T]):
    """One query parameter. `read` makes its value of the text or raises ValueError with what it must be."""

    name: str
    about: str
    parse: Callable[[str], T]
    schema: Mapping[str, Any] = MappingProxyType({})
    default: T | None = None
    example: Any = None

    def read(self, request: func.HttpRequest) -> T | None:
        """The value, or the default. Raises InvalidInputError; an endpoint's own parameters are checked before."""
        text = request.params.get(self.name)
        if text is None or text == "":
            return self.default
        try:
            return self.parse(text)
        except ValueError as error:
            raise _invalid([Fault(self.name, str(error))]) from error


def text(name: str, about: str, *, longest: int = 200, pattern: str = "", example: str | None = None) -> Query[str]:
    """Any text of at most `longest` characters that matches `pattern`."""
    schema: dict[str, Any] = {"type": "string", "maxLength": longest}
    if pattern:
        schema["pattern"] = pattern

    def parse(value: str) -> str:
        if len(value) > longest:
            raise ValueError(f"must have at most {longest} characters")
        if pattern and not re.fullmatch(pattern, value):
            raise ValueError(f"must match {pattern}")
        return value

    return Query(name, about, parse, schema, example=example)


def one_of(
    name: str, about: str, choices: Sequence[str], *, default: str | None = None, example: str | None = None
) -> Query[str]:
    """One of the choices."""

    def parse(value: str) -> str:
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return value

    schema: dict[str, Any] = {"type": "string", "enum": list(choices)}
    if default is not None:
        schema["default"] = default
    return Query(name, about, parse, schema, default, example or choices[0])


def some_of(name: str, about: str, choices: Sequence[str], *, example: str | None = None) -> Query[tuple[str, ...]]:
    """One or more of the choices, separated by commas."""

    def parse(value: str) -> tuple[str, ...]:
        given = tuple(dict.fromkeys(value.split(",")))
        if not set(given) <= set(choices):
            raise ValueError(f"must be one or more of {', '.join(choices)}, separated by commas")
        return given

    alternatives = "|".join(choices)
    schema = {"type": "string", "pattern": f"^({alternatives})(,({alternatives}))*$"}
    return Query(name, about, parse, schema, (), example or choices[0])


def flag(name: str, about: str) -> Query[bool]:
    """`true` or `false`; false when it is absent."""

    def parse(value: str) -> bool:
        if value not in {"true", "false"}:
            raise ValueError("must be true or false")
        return value == "true"

    return Query(name, about, parse, {"type": "boolean", "default": False}, default=False, example=True)


def whole_number(name: str, about: str, *, least: int, most: int, default: int | None = None) -> Query[int]:
    """A whole number from `least` to `most`."""

    def parse(value: str) -> int:
        # Other alphabets' digits, signs and underscores are whole numbers to int() and to nobody else.
        if not (value.isascii() and value.isdigit() and len(value) <= 12 and least <= int(value) <= most):
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(value)

    schema: dict[str, Any] = {"type": "integer", "minimum": least, "maximum": most}
    if default is not None:
        schema["default"] = default
    return Query(name, about, parse, schema, default, default or least)


def moment(name: str, about: str) -> Query[datetime]:
    """A time with its zone, as in ISO 8601."""

    def parse(value: str) -> datetime:
        # A plus sign that was not escaped arrives as a space.
        return to_moment(value.replace(" ", "+"))

    return Query(name, about, parse, {"type": "string", "format": "date-time"}, example="2026-05-01T00:00:00Z")


def to_moment(value: str) -> datetime:
    """A time in UTC from ISO 8601 with its zone, of a parameter or of a body; raises ValueError that says so."""
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise ValueError("must be a time with its zone, such as 2026-05-01T00:00:00Z")
    try:
        return found.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("must be a time between the years 1 and 9999, in UTC") from error


LIMIT = whole_number(
    "limit", "The largest number of items of the page.", least=1, most=LARGEST_PAGE, default=USUAL_PAGE
)
AFTER = text(
    "after",
    "Where to go on: the `next` of the page before, as it is.",
    longest=2000,
    pattern=r"^[A-Za-z0-9_=:.+/-]*$",
)
SEARCH = text(
    "q",
    "Found by the beginnings of its names, words, numbers, ids and addresses; each word that is given must fit.",
    longest=100,
    example="mail-pass",
)
CUSTOMER = text("customer", "Of this customer's sites.", example="st-johns")
UPDATED_AFTER = moment("updated_after", "Changed after this moment.")
PAGE: tuple[Query[Any], ...] = (LIMIT, AFTER)
# It becomes the name of a column in a filter, so it must be one.
FIELD = text(
    "field",
    "With `value`: only those whose field of this name has that value.",
    longest=70,
    pattern=r"^((custom\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?)?$",
    example="model",
)
_NEEDS = (("field", "value"), ("value", "field"), ("region", "account"))
VALUE = text("value", "With `field`: the text that the field has.", example="t3.micro")


def page_asked(request: func.HttpRequest) -> tuple[int, str | None]:
    """The largest number of items that is asked for, and where to go on."""
    return LIMIT.read(request) or USUAL_PAGE, AFTER.read(request)


def filters_of(request: func.HttpRequest, declared: Sequence[Query[str]]) -> dict[str, str]:
    """Those of the parameters that are given, by name. Raises InvalidInputError for one that needs another."""
    given = {query.name: query.read(request) for query in declared}
    filters = {name: value for name, value in given.items() if value is not None}
    faults = [
        Fault(name, f"needs the parameter {other} beside it")
        for name, other in _NEEDS
        if filters.get(name) and other not in filters
    ]
    if faults:
        # Left out of the search, it would answer with everything as if that had been asked for.
        raise _invalid(faults)
    return filters


def check(request: func.HttpRequest, declared: Sequence[Query[Any]], *, key_in_query: bool = False) -> None:
    """Raise InvalidInputError that names every parameter that there is not, or whose value is wrong.

    `key_in_query` says that the host itself may read its key there.
    """
    known = {query.name: query for query in declared}
    listed = ", ".join(known) or "none"
    of_the_host = _OF_THE_HOST if key_in_query else frozenset[str]()
    unknown = [name for name in request.params if name not in known and name.casefold() not in of_the_host]
    if unknown:
        raise InvalidInputError(
            Reason.PARAMETER_UNKNOWN,
            f"There is no query parameter {', '.join(map(repr, unknown))} here.",
            remedy=f"The parameters of this address are: {listed}.",
            faults=[Fault(name, "there is no such parameter") for name in unknown],
        )
    faults: list[Fault] = []
    for query in declared:
        try:
            query.read(request)
        except InvalidInputError as error:
            faults += error.faults
    if faults:
        raise _invalid(faults)


def _invalid(faults: Sequence[Fault]) -> InvalidInputError:
    sentence = "; ".join(f"{fault.path} {fault.message}" for fault in faults)
    return InvalidInputError(
        Reason.PARAMETER_INVALID,
        f"A query parameter is wrong: {sentence}.",
        remedy="Fix each fault listed.",
        faults=faults,
    )
