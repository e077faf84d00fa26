"""DescribeInstances' answers read leanly: the same botocore client asks, signs, pages and retries; the parser differs.

botocore makes Python objects of every member of every instance. Here the answer is unpacked and read piece by piece,
and only the members that a tenant's document needs become objects, each with the value that botocore would give it.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from botocore.model import Shape, StructureShape
from botocore.parsers import EC2QueryParser, ResponseParserError, ResponseParserFactory

from shared.assets.aws.parser_pieces import inflated, pieces_of, tags_to_cut, without
from shared.assets.aws.parser_values import Read, is_plain, reservation_reader
from shared.assets.aws.prefetch import Turn
from shared.assets.documents.aws_tenants import AwsTenantDocument
from shared.imports.documents import RAW
from shared.rules.expressions import names_in

_OPERATION = "DescribeInstances"
# What is larger is not held unpacked while it waits to be read.
_LARGEST_HELD = 32 * 1024 * 1024
# Of a page before or behind its instances, where little stands.
_LARGEST_EDGE = 256 * 1024
_UNREAD = "Unread"
# All of a page that comes after its instances: nothing but short texts, each as it will be read, of which the token is
# one.
_END = re.compile(
    rb"(?:</reservationSet>|<reservationSet/>)((?:\s*<(\w+)>[^<&\r\x80-\xff]*</\2>)*)\s*</\w+>\s*", re.ASCII
)
_TOKEN = re.compile(rb"<nextToken>([^<&]*)</nextToken>")
# Needed whatever is mapped: states, tags by name, and where an instance is.
_ALWAYS = frozenset({"State", "Tags", "Placement"})


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
        name for name, shape in instance.members.items() if name in named or name in _ALWAYS or is_plain(shape)
    )


class EC2Parsers(ResponseParserFactory):
    """botocore's parsers, with the lean one for EC2. `members` are those of an instance that are read.

    With a `turn`, pages come unread, and `reservations_of` reads them.
    """

    def __init__(self, members: frozenset[str], turn: Turn | None = None) -> None:
        super().__init__()
        self._members = members
        self._turn = turn

    def create_parser(self, protocol_name: str) -> Any:
        if protocol_name == "ec2":
            return EC2Parser(self._members, self._turn)
        return super().create_parser(protocol_name)


def reservations_of(page: Any) -> list[Any]:
    """The reservations of a page, taken out of it. Raises ResponseParserError."""
    unread: Callable[[], list[Any]] | None = page.pop(_UNREAD, None)
    found: list[Any] = page.pop("Reservations", [])
    return found if unread is None else unread()


def ask_for_gzip(client: Any) -> None:
    """Have the client's DescribeInstances ask for a compressed answer, which only the lean parser unpacks."""

    def add_header(request: Any, **_: Any) -> None:
        # After the signature: what a proxy makes of this header must not break it.
        request.headers["Accept-Encoding"] = "gzip"

    client.meta.events.register(f"before-send.ec2.{_OPERATION}", add_header)


class EC2Parser(EC2QueryParser):
    """Reads DescribeInstances' answers in pieces; all others, refusals too, as botocore does. Safe under threads."""

    def __init__(self, members: frozenset[str], turn: Turn | None = None) -> None:
        super().__init__()
        self._members = members
        self._turn = turn
        self._compiled: dict[str, Read] = {}
        self._cut: tuple[bytes, ...] | None = None

    def parse(self, response: Any, shape: Any) -> Any:
        if response["headers"].get("content-encoding") == "gzip" and (
            response["status_code"] >= 301 or not _is_listing(shape)
        ):
            response = {**response, "body": b"".join(inflated(response["body"]))}
        return super().parse(response, shape)

    def _do_parse(self, response: Any, shape: Any) -> Any:
        if not _is_listing(shape):
            return super()._do_parse(response, shape)  # type: ignore[misc] # the stubs leave it out
        body = response["body"]
        unpack = inflated if response["headers"].get("content-encoding") == "gzip" else pieces_of
        reservation = shape.members["Reservations"].member
        if self._cut is None:
            self._cut = tags_to_cut(reservation.members["Instances"].member, self._members)
        pieces = without(unpack(body), self._cut)

        def read(pieces: Iterator[bytes]) -> dict[str, Any]:
            try:
                return self._read(pieces, reservation)
            except ParseError:
                # What is no XML without the parts that were cut out may be XML with them.
                pass
            try:
                return self._read(unpack(body), reservation)
            except ParseError as error:
                raise ResponseParserError(f"EC2's answer is no XML that can be read: {error}.") from error

        if self._turn is None:
            return read(pieces)
        self._turn.wait()
        return _unread(pieces, read)

    def _read(self, pieces: Iterator[bytes], shape: Any) -> dict[str, Any]:
        builder = TreeBuilder()
        # As botocore does it; a document type, which could define entities, is refused below.
        parser = XMLParser(target=builder, encoding=self.DEFAULT_ENCODING)  # noqa: S314
        reservations: list[Any] = []
        root: Element | None = None
        for piece in pieces:
            parser.feed(piece)
            if root is None:
                root = _root(builder, piece)
            self._take(root, shape, reservations, all_but=1)
        parser.close()
        if root is None:
            raise ResponseParserError("EC2's answer is empty.")
        self._take(root, shape, reservations, all_but=0)
        parsed: dict[str, Any] = {"Reservations": reservations}
        for child in root:
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
        if namespace not in self._compiled:
            self._compiled[namespace] = reservation_reader(shape, namespace, self._members)
        read = self._compiled[namespace]
        complete = present[: len(present) - all_but]
        reservations += [read(element) for element in complete]
        del present[: len(complete)]


def _unread(pieces: Iterator[bytes], read: Callable[[Iterator[bytes]], dict[str, Any]]) -> dict[str, Any]:
    """A page of which only the token is known yet; one that is not as pages are is read at once."""
    held: deque[bytes] = deque()
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size > _LARGEST_HELD:
            return read(chain(_emptied(held), pieces))
    start, end = b"", b""
    for piece in held:
        start += piece
        if b"reservationSet" in start or len(start) > _LARGEST_EDGE:
            break
    for piece in reversed(held):
        end = piece + end
        if b"reservationSet" in end or len(end) > _LARGEST_EDGE:
            break
    match = _END.fullmatch(end, end.rfind(b"<", 0, end.rfind(b"reservationSet")))
    if match is None or b"nextToken" in start[: start.find(b"reservationSet")]:
        return read(_emptied(held))
    token = _TOKEN.search(match.group(1))
    told = {} if token is None else {"NextToken": token.group(1).decode()}

    def read_held() -> list[Any]:
        parsed = read(_emptied(held))
        if parsed.get("NextToken") != told.get("NextToken"):
            raise ResponseParserError("EC2's answer has another token than its end says.")
        found: list[Any] = parsed["Reservations"]
        return found

    return {"Reservations": [], _UNREAD: read_held, **told}


def _emptied(held: deque[bytes]) -> Iterator[bytes]:
    while held:
        yield held.popleft()


def _is_listing(shape: Shape | None) -> bool:
    return isinstance(shape, StructureShape) and shape.name == f"{_OPERATION}Result"


def _root(builder: TreeBuilder, first_piece: bytes) -> Element:
    # The tree as far as it is built: what the builder gives at its end it gives at any time.
    root: object = builder.close()
    if not isinstance(root, Element) or b"<!DOCTYPE" in first_piece:
        raise ResponseParserError("EC2's answer does not begin as one does.")
    return root
