"""From what an operator wrote to a document that a reader can trust, or to the path of every fault."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from shared.errors import Fault, InvalidInputError
from shared.reasons import Reason
from shared.settings.base import NAME_PATTERN, SettingsDocument
from shared.settings.stored import document_as_json

D = TypeVar("D", bound=SettingsDocument)


@dataclass(frozen=True)
class ReceivedDocument:
    """One document as written: its kind and name, and its content, not yet checked. `where` says it to a person."""

    kind: str
    name: str
    content: Any
    where: str = ""


# What pydantic says, in an operator's words, by the type of the fault; `{…}` is of its context.
_SENTENCES = {
    "extra_forbidden": "there is no such field",
    "missing": "is missing",
    "string_type": "must be a text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "enum": "must be one of {expected}",
    "literal_error": "must be one of {expected}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "union_tag_invalid": "must have as {discriminator} one of {expected_tags}",
    "union_tag_not_found": "must have the field {discriminator}",
    "invalid_key": "must be a text: put it in quotes",
    "int_parsing_size": "must be a whole number of at most 64 bits",
    "string_unicode": "holds an unpaired surrogate (invalid Unicode)",
    "timezone_aware": "must be a time with its zone, such as 2026-05-01T00:00:00Z",
    **dict.fromkeys(
        ("datetime_type", "datetime_parsing", "datetime_from_date_parsing", "datetime_object_invalid"),
        "must be a time with its zone, such as 2026-05-01T00:00:00Z",
    ),
}


# Of a field that may be of several forms, pydantic puts the form into the path.
_FORM = re.compile(r"(literal|list|tuple|function-[a-z]+)\[.*\]", re.DOTALL)


def faults_of(error: ValidationError) -> list[Fault]:
    """Pydantic's faults with paths as operators read them; no value is repeated."""
    told: dict[str, dict[str, None]] = {}
    literals: set[str] = set()
    for fault in error.errors(include_url=False, include_input=False):
        forms = [isinstance(part, str) and _FORM.fullmatch(part) is not None for part in fault["loc"]]
        path = ".".join(str(part) for part, is_form in zip(fault["loc"], forms, strict=True) if not is_form)
        told.setdefault(path, {})[_sentence(fault["type"], fault["msg"], fault.get("ctx", {}))] = None
        if any(forms) and fault["type"] == "literal_error":
            literals.add(path)
    # What has faults within was meant to be of the other form.
    meant = {path for path in literals if any(other.startswith(f"{path}.") for other in told)}
    return [Fault(path, ", or ".join(sentences)) for path, sentences in told.items() if path not in meant]


def _sentence(kind: str, message: str, context: dict[str, Any]) -> str:
    if kind == "string_too_short" and context.get("min_length") == 1:
        return "must not be empty"
    sentence = _SENTENCES.get(kind)
    return message.removeprefix("Value error, ") if sentence is None else sentence.format_map(context)


def parse_document(cls: type[D], name: str, content: Any) -> D:
    """The checked document; raises InvalidInputError with every fault."""
    faults: list[Fault] = []
    if not NAME_PATTERN.fullmatch(name):
        faults.append(Fault("name", "must be 1 to 63 lower-case letters, digits and dashes, with no dash at its ends"))
    document: D | None = None
    try:
        # What the parts of the document count together, such as the size of its patterns.
        document = cls.model_validate(content, context={})
    except ValidationError as error:
        faults.extend(faults_of(error))
    except RecursionError:
        faults.append(Fault("", "nests too deeply"))
    if document is not None:
        faults.extend(document.check_name(name))
    if faults or document is None:
        raise document_invalid(f"{cls.kind}/{name}", faults)
    return document


def check_document(cls: type[D], name: str, content: Any) -> D:
    """The document that may be stored: `parse_document`, and what a reader will find is this document again.

    Raises InvalidInputError with every fault. What could be written and not be read would stop whatever needs it.
    """
    document = parse_document(cls, name, content)
    try:
        stored = json.loads(json.dumps(document_as_json(document), allow_nan=False))
        if cls.model_validate(stored, context={}) == document:
            return document
        faults = [Fault("", "would not be read back as it is written")]
    except ValidationError as error:
        faults = [Fault(one.path, f"would not be read back: {one.message}") for one in faults_of(error)]
    except (ValueError, RecursionError):
        faults = [Fault("", "cannot be written as JSON")]
    raise document_invalid(f"{cls.kind}/{name}", faults)


def document_invalid(what: str, faults: list[Fault]) -> InvalidInputError:
    """The refusal of a document: one sentence with every fault in it, and the faults apart."""
    return _invalid(Reason.DOCUMENT_INVALID, f"The document {what}", faults)


def body_invalid(faults: Sequence[Fault]) -> InvalidInputError:
    """The refusal of a body that is no settings document."""
    return _invalid(Reason.BODY_INVALID, "The body", faults)


def _invalid(reason: Reason, what: str, faults: Sequence[Fault]) -> InvalidInputError:
    listed = "; ".join(f"{fault.path}: {fault.message}" if fault.path else fault.message for fault in faults)
    return InvalidInputError(
        reason, f"{what} has faults: {listed}.", remedy="Fix each fault listed.", faults=tuple(faults)
    )


def parse_yaml(text: str, where: str = "") -> Iterator[ReceivedDocument]:
    """The documents of a YAML text: each a mapping with `kind`, `name` and `document`.

    Raises InvalidInputError when the text is not YAML, or an entry has another shape.
    """
    # Here: most requests and all deliveries read no YAML.
    from shared.settings.bounded_yaml import RefusedYamlError, load_all

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
    import yaml

    return yaml.safe_dump_all(entries, allow_unicode=True, sort_keys=False, explicit_start=True)


def parse_yaml_set(body: bytes) -> list[ReceivedDocument]:
    """The documents of a body in YAML; raises InvalidInputError."""
    try:
        return list(parse_yaml(body.decode("utf-8"), "document"))
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            Reason.BODY_NOT_READABLE, "The body is not text in UTF-8.", remedy="Save it as UTF-8."
        ) from error
