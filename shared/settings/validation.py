"""From what an operator wrote to a document that a reader can trust, or to the path of every fault."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from shared.errors import Fault, InvalidInputError
from shared.reasons import Reason
from shared.settings.documents.base import NAME_PATTERN, SettingsDocument
from shared.strict_json import parse_json

D = TypeVar("D", bound=SettingsDocument)

# What PyYAML lets through of a scalar that its own constructors cannot read (`2024-13-45`, `!!int x`), and of nesting.
_UNREADABLE = (yaml.YAMLError, ValueError, KeyError, AttributeError, OverflowError, RecursionError)
# A few lines of aliases can stand for billions of values, and checking a document looks at each.
_FREE_OF_ALIASES = 50_000


@dataclass(frozen=True)
class Written:
    """One document as written: its kind and name, and its content, not yet checked. `where` says it to a person."""

    kind: str
    name: str
    content: Any
    where: str = ""


def faults_of(error: ValidationError) -> list[Fault]:
    """Pydantic's faults with paths as operators read them; no value is repeated."""
    return [
        Fault(".".join(str(part) for part in fault["loc"]), _sentence(fault["type"], fault["msg"]))
        for fault in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def _sentence(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "there is no such field"
    if kind == "missing":
        return "is missing"
    return message.removeprefix("Value error, ")


def parse_document(cls: type[D], name: str, content: Any) -> D:
    """The checked document; raises InvalidInputError with every fault."""
    faults: list[Fault] = []
    if not NAME_PATTERN.match(name):
        faults.append(Fault("name", "must be 1 to 63 lower-case letters, digits and dashes, with no dash at its ends"))
    document: D | None = None
    try:
        document = cls.model_validate(content)
    except ValidationError as error:
        faults.extend(faults_of(error))
    if document is not None:
        faults.extend(document.check_name(name))
    if faults or document is None:
        raise document_invalid(f"{cls.kind}/{name}", faults)
    return document


def document_invalid(what: str, faults: list[Fault]) -> InvalidInputError:
    """The refusal of a document: one sentence with every fault in it, and the faults apart."""
    listed = "; ".join(f"{fault.path}: {fault.message}" if fault.path else fault.message for fault in faults)
    return InvalidInputError(
        Reason.DOCUMENT_INVALID, f"The document {what} has faults: {listed}.", mend="Mend each of them.", faults=faults
    )


def parse_yaml(text: str, where: str = "") -> Iterator[Written]:
    """The documents of a YAML text: each a mapping with `kind`, `name` and `document`.

    Raises InvalidInputError when the text is not YAML, or an entry has another shape.
    """
    try:
        entries = [entry for entry in _load_all(text) if entry is not None]
    except _TwiceError as error:
        raise document_invalid(where or "text", [Fault("", str(error))]) from error
    except _UNREADABLE as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}" if mark is not None else "somewhere"
        raise document_invalid(where or "text", [Fault("", f"is not YAML ({place})")]) from error
    if _expanded_size(entries, {}) > len(text) + _FREE_OF_ALIASES:
        raise document_invalid(where or "text", [Fault("", "its aliases stand for too much: write it out")])
    for index, entry in enumerate(entries):
        yield read_entry(entry, f"{where or 'document'} {index + 1}")


class _TwiceError(Exception):
    """A key stands twice in one mapping: all but its last value would be lost."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which refuses keys that stand twice (YAML 1.2, 3.2.1.1)."""

    # Where nodes are made: later, a merge (`<<`) has put the keys of another mapping beside a mapping's own.
    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise _TwiceError(f"{key.value[:100]!r} stands twice (line {key.start_mark.line + 1})")
                seen.add((key.tag, key.value))
        return node


def _load_all(text: str) -> Iterator[Any]:
    loader: Any = _Loader(text)
    try:
        while loader.check_data():
            yield loader.get_data()
    finally:
        loader.dispose()


def _expanded_size(value: Any, known: dict[int, float]) -> float:
    """How many values it has with every alias written out; infinite for one that holds itself."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        known[id(value)] = math.inf
        members = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_expanded_size(member, known) for member in members)
    return known[id(value)]


def read_entry(entry: Any, where: str) -> Written:
    """One `{kind, name, document}`; raises InvalidInputError for any other shape."""
    if not isinstance(entry, dict) or set(entry) != {"kind", "name", "document"}:
        raise document_invalid(where, [Fault("", "must have exactly the fields kind, name and document")])
    if not isinstance(entry["kind"], str) or not isinstance(entry["name"], str):
        raise document_invalid(where, [Fault("kind, name", "must be text: put it in quotes")])
    return Written(entry["kind"], entry["name"], entry["document"], where)


def write_yaml(entries: list[dict[str, Any]]) -> str:
    """The same YAML that `parse_yaml` reads."""
    return yaml.safe_dump_all(entries, allow_unicode=True, sort_keys=False, explicit_start=True)


def read_set(body: bytes, content_type: str) -> list[Written]:
    """The documents of an HTTP body: JSON `{"documents": [{kind, name, document}, …]}` or a list, else YAML.

    Raises InvalidInputError.
    """
    is_json = "json" in content_type.casefold()
    try:
        text = body.decode("utf-8")
        content = parse_json(text) if is_json else None
    except UnicodeDecodeError as error:
        raise InvalidInputError(Reason.BODY_NOT_READABLE, "The body is not text in UTF-8.") from error
    except ValueError as error:
        raise InvalidInputError(Reason.BODY_NOT_READABLE, f"The body cannot be taken: {error}.") from error
    if not is_json:
        return list(parse_yaml(text, "document"))
    entries = content.get("documents") if isinstance(content, dict) else content
    others = set(content) - {"documents"} if isinstance(content, dict) else set()
    faults = [Fault(name, "there is no such field") for name in sorted(others)]
    if not isinstance(entries, list):
        faults.append(Fault("documents", "must be a list"))
    if faults or not isinstance(entries, list):
        raise document_invalid("set", faults)
    return [read_entry(entry, f"document {index + 1}") for index, entry in enumerate(entries)]
