"""DescribeInstances' answers, unpacked and read piece by piece. Of each instance only the members that mappings need.

botocore makes objects of every member; this takes a seventh of its time, and a page's tree is never whole in memory.
The values are those that botocore gives, and botocore reads all other answers.
"""

import base64
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from botocore.model import ListShape, Shape, StructureShape
from botocore.parsers import EC2QueryParser, ResponseParserError, ResponseParserFactory
from botocore.utils import parse_timestamp

from shared.assets.aws.readable_xml import UNREADABLE, readable
from shared.assets.documents.aws_tenants import AwsTenantDocument
from shared.assets.mapping import FAULT
from shared.imports.documents import RAW
from shared.rules.expressions import names_in

_OPERATION = "DescribeInstances"
# Small enough that a piece's elements are gone before the collector looks at them: four times it takes 40 % longer.
_PIECE = 16 * 1024
# A page of 1,000 instances has some 10 MB, and 30 MB when each has all the tags that it may have.
LARGEST_PAGE = 64 * 1024 * 1024
# Whatever is no page: an error, a role's keys, the regions.
LARGEST_SMALL_ANSWER = 1024 * 1024
# Signs that begin an element, end one or give it an attribute: each is short to send, and takes some 100 bytes.
# A page of 1,000 instances has some 600,000.
_MOST_MARKS = 2_000_000
# Needed whatever is mapped: states, tags by name, and where an instance is.
_ALWAYS = frozenset({"State", "Tags", "Placement"})
_NOT_PLAIN = frozenset({"structure", "list", "map"})
# How EC2 writes times. botocore's own reading of them takes longer than all else of an instance.
_UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z", re.ASCII)

Read = Callable[[Element], Any]


def members_of(document: AwsTenantDocument, instance: StructureShape) -> frozenset[str]:
    """The members of an instance that the tenant's document reads: all plain values, and the structures it names."""
    expressions = [mapping.source for mapping in document.field_mappings if mapping.source is not None]
    fields = {criterion.field for rule in document.asset_type.rules for criterion in rule.criteria}
    fields |= {criterion.field for rule in document.site_rules for criterion in rule.criteria}
    fields.add(document.asset_type.field or "")
    expressions += [field.removeprefix(RAW) for field in fields if field.startswith(RAW)]
    named: set[str] = set()
    for expression in expressions:
        names = names_in(expression, literal_under="tags")
        if names is None:
            return frozenset(instance.members)
        named |= names
    return frozenset(
        name for name, shape in instance.members.items() if name in named or name in _ALWAYS or _is_plain(shape)
    )


def ask_for_gzip(client: Any) -> None:
    """Have the client's DescribeInstances ask for a compressed answer: a page of 10 MB travels as half of one."""

    def add_header(request: Any, **_: Any) -> None:
        # After the signature: what a proxy makes of this header must not break it.
        request.headers["Accept-Encoding"] = "gzip"

    client.meta.events.register(f"before-send.ec2.{_OPERATION}", add_header)


class EC2ParserFactory(ResponseParserFactory):
    """botocore's parsers, with `EC2Parser` for EC2. `members` are those of an instance that are read."""

    def __init__(self, members: frozenset[str]) -> None:
        super().__init__()
        self._ec2 = EC2Parser(members)

    def create_parser(self, protocol_name: str) -> Any:
        return self._ec2 if protocol_name == "ec2" else super().create_parser(protocol_name)


class EC2Parser(EC2QueryParser):
    """Reads DescribeInstances' answers as they are unpacked. Safe to share between threads."""

    def __init__(self, members: frozenset[str]) -> None:
        super().__init__()
        self._members = members
        self._readers: dict[str, Read] = {}

    def parse(self, response: Any, shape: Any) -> Any:
        if response["status_code"] >= 301 or not _is_listing(shape):
            response = {**response, "body": b"".join(_pieces(response, LARGEST_SMALL_ANSWER))}
        return super().parse(response, shape)

    def _do_parse(self, response: Any, shape: Any) -> Any:
        if not _is_listing(shape):
            return super()._do_parse(response, shape)  # type: ignore[misc] # the stubs leave it out
        reservation = shape.members["Reservations"].member
        try:
            try:
                return self._read(_pieces(response, LARGEST_PAGE), reservation)
            except ParseError:
                # EC2 gives tags as they were set, with characters that XML has not. Those alone are taken out.
                parsed = self._read(readable(_pieces(response, LARGEST_PAGE)), reservation)
                _name_unreadable(parsed)
                return parsed
        except ParseError as error:
            raise ResponseParserError(f"EC2's answer is no XML that can be read: {error}.") from error

    def _read(self, pieces: Iterator[bytes], shape: Any) -> dict[str, Any]:
        builder = TreeBuilder()
        # The answer grows beneath an element of our own, so that it can be read meanwhile.
        answer = builder.start("answer", {})
        # As botocore does it; a document type, which could define entities, is refused below.
        parser = XMLParser(target=builder, encoding=self.DEFAULT_ENCODING)  # noqa: S314
        reservations: list[Any] = []
        is_first = True
        marks = 0
        for piece in pieces:
            marks += piece.count(b"<") + piece.count(b"=")
            if marks > _MOST_MARKS:
                raise ResponseParserError(f"EC2's page has more than {_MOST_MARKS} elements and attributes.")
            parser.feed(piece)
            if is_first and (len(answer) == 0 or b"<!DOCTYPE" in piece):
                raise ResponseParserError("EC2's answer does not begin as one does.")
            is_first = False
            self._take(answer[0], shape, reservations, all_but=1)
        parser.close()
        if is_first:
            raise ResponseParserError("EC2's answer is empty.")
        self._take(answer[0], shape, reservations, all_but=0)
        parsed: dict[str, Any] = {"Reservations": reservations}
        for child in answer[0]:
            tag = child.tag.rpartition("}")[2]
            if tag == "nextToken":
                parsed["NextToken"] = child.text or ""
            elif tag == "requestId":
                parsed["ResponseMetadata"] = {"RequestId": child.text}
        return parsed

    def _take(self, root: Element, shape: Any, reservations: list[Any], *, all_but: int) -> None:
        """Move the reservations that are complete out of the tree: it never grows beyond a piece."""
        namespace = root.tag[: root.tag.find("}") + 1]
        present = root.find(f"{namespace}reservationSet")
        if present is None or len(present) <= all_but:
            return
        if namespace not in self._readers:
            self._readers[namespace] = _reservation_reader(shape, namespace, self._members)
        read = self._readers[namespace]
        complete = present[: len(present) - all_but]
        reservations += [read(element) for element in complete]
        del present[: len(complete)]


def _name_unreadable(parsed: Mapping[str, Any]) -> None:
    for reservation in parsed["Reservations"]:
        for instance in reservation.get("Instances", ()):
            if UNREADABLE in json.dumps(instance, ensure_ascii=False, default=str):
                instance[FAULT] = "EC2 gives a text of it, such as a tag, with a control character. Set that again."


def _is_listing(shape: Shape | None) -> bool:
    return isinstance(shape, StructureShape) and shape.name == f"{_OPERATION}Result"


def _pieces(response: Any, largest: int) -> Iterator[bytes]:
    """The pieces of a body, unpacked. Raises ResponseParserError for one that is cut off, broken, or without end."""
    body: io.BytesIO | gzip.GzipFile = io.BytesIO(response["body"])
    if response["headers"].get("content-encoding") == "gzip":
        body = gzip.GzipFile(fileobj=body)
    size = 0
    try:
        while piece := body.read(_PIECE):
            size += len(piece)
            if size > largest:
                raise ResponseParserError(f"EC2's answer has more than {largest} bytes.")
            yield piece
    except (EOFError, OSError, zlib.error) as error:
        raise ResponseParserError(f"EC2's compressed answer cannot be unpacked: {error}.") from error


# Readers, made once of the service's shapes: each gives of an element what botocore would.


def _reservation_reader(shape: StructureShape, namespace: str, members: frozenset[str]) -> Read:
    plain = {name for name, member in shape.members.items() if _is_plain(member)}
    instance = _structure(shape.members["Instances"].member, namespace, members)  # type: ignore[attr-defined] # the stubs leave it out
    guarded = _list_of(_guarded(instance))
    return _structure(shape, namespace, frozenset(plain | {"Instances"}), {"Instances": guarded})


def _guarded(read: Read) -> Read:
    """The reader of an instance. What cannot be read of it is left out, and named under FAULT."""

    def read_instance(element: Element) -> dict[str, Any]:
        try:
            found: dict[str, Any] = read(element)
        except (ValueError, OverflowError, TypeError):
            unread: list[str] = []
            for child in list(element):
                alone = Element(element.tag)
                alone.append(child)
                try:
                    read(alone)
                except (ValueError, OverflowError, TypeError):
                    element.remove(child)
                    unread.append(child.tag.rpartition("}")[2])
            found = read(element)
            found[FAULT] = f"EC2 gives {' and '.join(unread)} in a form that cannot be read."
        return found

    return read_instance


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


def _is_plain(shape: Shape) -> bool:
    """Whether a value of the shape is one value, and not made of others."""
    return shape.type_name not in _NOT_PLAIN


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
