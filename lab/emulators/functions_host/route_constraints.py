"""Route constraints as ASP.NET Core understands them: `{id:int}`, `{name:alpha:length(3)}`, `{code:regex(^\\d+$)}`."""

import re
import uuid
from collections.abc import Callable
from datetime import datetime

Constraint = Callable[[str], bool]

_INT_MAX, _LONG_MAX = 2**31, 2**63


def parse_constraint(text: str) -> Constraint:
    """One constraint of a template. Raises ValueError for one that the real host would refuse."""
    name, _, rest = text.partition("(")
    arguments = rest.removesuffix(")")
    name = name.strip()
    if not rest and name in _PLAIN:
        return _PLAIN[name]
    if rest and name in _WITH_ARGUMENTS:
        try:
            return _WITH_ARGUMENTS[name](arguments)
        except (ValueError, re.error) as error:
            raise ValueError(f"the constraint {text!r} is not valid: {error}") from error
    raise ValueError(f"the constraint {text!r} is not one of {', '.join(sorted({*_PLAIN, *_WITH_ARGUMENTS}))}")


def _whole(value: str, limit: int) -> bool:
    return bool(re.fullmatch(r"[+-]?[0-9]+", value)) and -limit <= int(value) < limit


def _is_number(value: str) -> bool:
    return bool(re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", value))


def _is_decimal(value: str) -> bool:
    return bool(re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)", value))


def _is_guid(value: str) -> bool:
    try:
        uuid.UUID(value)
    except ValueError:
        return False
    return True


def _is_datetime(value: str) -> bool:
    for parse in (datetime.fromisoformat, lambda text: datetime.strptime(text, "%m/%d/%Y")):  # noqa: DTZ007 - shape only
        try:
            parse(value)
        except ValueError:
            continue
        return True
    return False


def _length(arguments: str) -> Constraint:
    least, _, most = arguments.partition(",")
    low, high = int(least), int(most or least)
    return lambda value: low <= len(value) <= high


def _range(arguments: str) -> Constraint:
    least, _, most = arguments.partition(",")
    low, high = int(least), int(most)
    return lambda value: _whole(value, _LONG_MAX) and low <= int(value) <= high


def _minimum(arguments: str) -> Constraint:
    low = int(arguments)
    return lambda value: _whole(value, _LONG_MAX) and int(value) >= low


def _maximum(arguments: str) -> Constraint:
    high = int(arguments)
    return lambda value: _whole(value, _LONG_MAX) and int(value) <= high


def _minimum_length(arguments: str) -> Constraint:
    low = int(arguments)
    return lambda value: len(value) >= low


def _maximum_length(arguments: str) -> Constraint:
    high = int(arguments)
    return lambda value: len(value) <= high


def _pattern(arguments: str) -> Constraint:
    # In a template braces are doubled, and the search is not anchored and ignores case.
    pattern = re.compile(arguments.replace("{{", "{").replace("}}", "}"), re.IGNORECASE)
    return lambda value: pattern.search(value) is not None


_PLAIN: dict[str, Constraint] = {
    "alpha": lambda value: bool(re.fullmatch(r"[a-zA-Z]*", value)),
    "bool": lambda value: value.casefold() in ("true", "false"),
    "datetime": _is_datetime,
    "decimal": _is_decimal,
    "double": _is_number,
    "float": _is_number,
    "guid": _is_guid,
    "int": lambda value: _whole(value, _INT_MAX),
    "long": lambda value: _whole(value, _LONG_MAX),
    "required": lambda value: value != "",
}

_WITH_ARGUMENTS: dict[str, Callable[[str], Constraint]] = {
    "length": _length,
    "max": _maximum,
    "maxlength": _maximum_length,
    "min": _minimum,
    "minlength": _minimum_length,
    "range": _range,
    "regex": _pattern,
}
