"""A page of EC2's as pieces of bytes: unpacked as it is read, without the parts that nobody asked for."""

import re
import zlib
from collections.abc import Iterator
from typing import Any

from botocore.model import ListShape, StructureShape
from botocore.parsers import ResponseParserError

_PIECE = 64 * 1024
# A page of 1,000 instances has some 10 MB; what is far beyond that is no page but an attack on the memory.
_LARGEST_PAGE = 256 * 1024 * 1024
# Indentation. It is a third of a page, and reading it costs more than finding it. Before an element that ends it stays:
# there it may be somebody's value.
_BLANKS = re.compile(rb">[ \t\r\n]+<(?!/)")
# Of how many kinds of elements a part consists that is worth looking for: the others are parsed sooner than found.
_LONG = 8


def pieces_of(body: bytes) -> Iterator[bytes]:
    return (body[start : start + _PIECE] for start in range(0, len(body), _PIECE))


def inflated(body: bytes) -> Iterator[bytes]:
    """The pieces of a compressed body. Raises ResponseParserError for one that is cut off, broken, or without end."""
    size = 0
    try:
        while body:
            inflate = zlib.decompressobj(wbits=31)
            while not inflate.eof:
                piece = inflate.decompress(body, _PIECE)
                body = inflate.unconsumed_tail
                if not piece and not body and not inflate.eof:
                    raise ResponseParserError("EC2's compressed answer is cut off.")
                size += len(piece)
                if size > _LARGEST_PAGE:
                    raise ResponseParserError(f"EC2's compressed answer has more than {_LARGEST_PAGE} bytes.")
                yield piece
            body = inflate.unused_data
    except zlib.error as error:
        raise ResponseParserError(f"EC2's compressed answer cannot be read: {error}.") from error


def tags_to_cut(instance: StructureShape, members: frozenset[str]) -> tuple[bytes, ...]:
    """The elements of an instance that are cut out unread: long ones, not asked for, and without a namesake that is."""
    needed = {tag for name in members for tag in _tags(instance.members[name])}
    unneeded = (shape for name, shape in instance.members.items() if name not in members)
    long = (shape for shape in unneeded if len(_tags(shape)) >= _LONG)
    return tuple(tag.encode() for tag in (str(shape.serialization.get("name")) for shape in long) if tag not in needed)


def _tags(shape: Any) -> set[str]:
    """The element of a shape and all within."""
    tags = {str(shape.serialization.get("name"))}
    within: list[Any] = [shape.member] if isinstance(shape, ListShape) else []
    if isinstance(shape, StructureShape):
        within = list(shape.members.values())
    return tags.union(*(_tags(each) for each in within))


def without(pieces: Iterator[bytes], tags: tuple[bytes, ...]) -> Iterator[bytes]:
    """The pieces without the elements of these tags, and without the blanks before an element that begins.

    What begins in one piece and ends in a later one is held back.
    """
    held = b""
    is_plain = True
    for piece in pieces:
        text = held + piece
        if b"!" in text and b"<!" in text:
            # In remarks and CDATA a tag may be no tag, and blanks may be a value.
            is_plain = False
        if not is_plain:
            held = b""
            yield text
            continue
        end = text.rfind(b"<")
        text, held = text[:end], text[end:]
        for tag in tags:
            start, close = b"<" + tag + b">", b"</" + tag + b">"
            first, *parts = text.split(start)
            kept = [first]
            for number, part in enumerate(parts):
                _, closed, after = part.partition(close)
                if not closed:
                    # It ends in a later piece.
                    held = start + start.join(parts[number:]) + held
                    break
                kept.append(after)
            text = b"".join(kept)
        if text:
            yield _BLANKS.sub(b"><", text)
    if held:
        yield held
