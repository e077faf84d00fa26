"""Values out of EC2's XML, each as botocore's own parser gives it: readers made once of the service's shapes."""

import base64
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from xml.etree.ElementTree import Element

from botocore.model import ListShape, Shape, StructureShape
from botocore.utils import parse_timestamp

Read = Callable[[Element], Any]

_UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z", re.ASCII)
_NOT_PLAIN = frozenset({"structure", "list", "map"})


def is_plain(shape: Shape) -> bool:
    """Whether a value of the shape is one value, and not made of others."""
    return shape.type_name not in _NOT_PLAIN


def reservation_reader(shape: StructureShape, namespace: str, members: frozenset[str]) -> Read:
    plain = {name for name, member in shape.members.items() if is_plain(member)}
    instance = _structure(shape.members["Instances"].member, namespace, members)  # type: ignore[attr-defined] # the stubs leave it out
    return _structure(shape, namespace, frozenset(plain | {"Instances"}), {"Instances": _list_of(instance)})


def _structure(
    shape: StructureShape, namespace: str, members: frozenset[str], made: Mapping[str, Read] | None = None
) -> Read:
    texts: dict[str, str] = {}
    readers: dict[str, tuple[str, Read]] = {}
    for name, member in shape.members.items():
        if name not in members:
            continue
        tag = namespace + member.serialization.get("name", name)
        read_member = made[name] if made and name in made else _reader(member, namespace)
        if read_member is None:
            texts[tag] = name
        else:
            readers[tag] = (name, read_member)
    find_text, find_reader = texts.get, readers.get

    def read(element: Element) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for child in element:
            tag = child.tag
            text_name = find_text(tag)
            if text_name is not None:
                found[text_name] = child.text or ""
            elif (known := find_reader(tag)) is not None:
                found[known[0]] = known[1](child)
        return found

    return read


def _reader(shape: Shape, namespace: str) -> Read | None:
    """How a value is read; None for a text."""
    if isinstance(shape, StructureShape):
        return _structure(shape, namespace, frozenset(shape.members))
    if isinstance(shape, ListShape):
        member = _reader(shape.member, namespace)
        return _list_of(member or _text)
    return _SCALARS[shape.type_name]


def _list_of(read: Read) -> Read:
    return lambda element: [read(child) for child in element]


def _text(element: Element) -> str:
    return element.text or ""


def _moment(element: Element) -> datetime:
    text = element.text or ""
    if _UTC_TIME.fullmatch(text):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            # botocore says what is wrong with it.
            return parse_timestamp(text)
    return parse_timestamp(text)


_SCALARS: Mapping[str, Read | None] = {
    "string": None,
    "character": None,
    "boolean": lambda element: element.text == "true",
    "integer": lambda element: int(element.text or ""),
    "long": lambda element: int(element.text or ""),
    "float": lambda element: float(element.text or ""),
    "double": lambda element: float(element.text or ""),
    "timestamp": _moment,
    "blob": lambda element: base64.b64decode(element.text or ""),
}
