"""From what an operator wrote to a document that a reader can trust, or to the path of every fault."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from shared.errors import Fault, InvalidInputError
from shared.reasons import Reason
from shared.settings.base import NAME_PATTERN, SettingsDocument
from shared.settings.bounded_yaml import RefusedYamlError, load_all
from shared.strict_json import parse_json

D = TypeVar("D", bound=SettingsDocument)


@dataclass(frozen=True)
class ReceivedDocument:
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
        Reason.DOCUMENT_INVALID,
        f"The document {what} has faults: {listed}.",
        remedy="Fix each fault listed.",
        faults=faults,
    )


def parse_yaml(text: str, where: str = "") -> Iterator[ReceivedDocument]:
    """The documents of a YAML text: each a mapping with `kind`, `name` and `document`.

    Raises InvalidInputError when the text is not YAML, or an entry has another shape.
    """
    try:
        entries = load_all(text)
    except RefusedYamlError as error:
        raise document_invalid(where or "text", [Fault("", str(error))]) from error
    for index, entry in enumerate(entries):
        yield parse_entry(entry, f"{where or 'document'} {index + 1}")


def parse_entry(entry: Any, where: str) -> ReceivedDocument:
    """One `{kind, name, document}`; raises InvalidInputError for any other shape."""
    if not isinstance(entry, dict) or set(entry) != {"kind", "name", "document"}:
        raise document_invalid(where, [Fault("", "must have exactly the fields kind, name and document")])
    if not isinstance(entry["kind"], str) or not isinstance(entry["name"], str):
        raise document_invalid(where, [Fault("kind, name", "must be text: put it in quotes")])
    return ReceivedDocument(entry["kind"], entry["name"], entry["document"], where)


def write_yaml(entries: list[dict[str, Any]]) -> str:
    """The same YAML that `parse_yaml` reads."""
    return yaml.safe_dump_all(entries, allow_unicode=True, sort_keys=False, explicit_start=True)


def parse_set(body: bytes, content_type: str) -> list[ReceivedDocument]:
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
    return [parse_entry(entry, f"document {index + 1}") for index, entry in enumerate(entries)]
