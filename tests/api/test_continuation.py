"""Continuation tokens come back from outside: whatever they hold, they are taken or refused, and never an error."""

import base64
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from azure.storage.blob import ContainerClient

from functions.http.query import AFTER
from shared.errors import InvalidInputError, TryLaterError
from shared.reasons import Reason
from shared.storage.cursors import encode_cursor
from shared.storage.rest_tables import RestTables
from shared.storage.tables import partition
from shared.tickets.inbound.dead_letters import DeadLetters
from tests.scripted_service import Answer, scripted_service
from tests.storage_emulator import Storage


def token(keys: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(keys).encode()).decode()


@pytest.mark.parametrize(
    "after",
    [
        "",
        "~",
        "bm8=",
        token([]),
        token({"PartitionKey": "\ud800", "RowKey": "b"}),
        "W1tb" * 400,
        token({"PartitionKey": "a"}),
        token({"PartitionKey": 5, "RowKey": [1]}),
        token({"PartitionKey": "a", "RowKey": "b", "more": 1}),
    ],
)
def test_a_token_of_another_shape_is_refused(after: str, storage: Storage) -> None:
    table = RestTables.from_connection_string(storage.connection_string).table("sites")
    with pytest.raises(InvalidInputError) as refused:
        table.page([partition("a")], after=after)
    assert refused.value.reason is Reason.CONTINUATION_INVALID


# As Azure answers to a token that it never gave out; Azurite takes any.
_REFUSED = Answer(
    400,
    b'{"odata.error": {"code": "InvalidInput", "message": {"lang": "en-US", "value": "wrong"}}}',
    {"Content-Type": "application/json"},
)


@pytest.fixture
def refusing() -> Iterator[str]:
    with scripted_service() as service:
        service.answer = lambda *_: _REFUSED
        yield f"AccountName=lab0;AccountKey=bGFi;TableEndpoint={service.url}/lab0"


def test_a_marker_of_dead_letters_that_azure_does_not_know_is_refused(refusing: str) -> None:
    address = refusing.rpartition("=")[2]
    with ContainerClient(f"{address}/lab0", "event-grid-dead-letters", retry_total=0) as container:
        unused: Any = None
        with pytest.raises(InvalidInputError) as refused:
            DeadLetters(container, unused, unused, unused).list(50, encode_cursor("made-up"))
        assert refused.value.reason is Reason.CONTINUATION_INVALID
        # Without one it is no fault of the caller.
        with pytest.raises(TryLaterError):
            DeadLetters(container, unused, unused, unused).list(50, None)


_BLOBS = """<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="http://127.0.0.1/lab0"
ContainerName="event-grid-dead-letters"><Blobs><Blob><Name>{name}</Name><Properties>
<Last-Modified>Fri, 01 May 2026 08:00:00 GMT</Last-Modified><Content-Length>5</Content-Length>
<BlobType>BlockBlob</BlobType></Properties></Blob>
</Blobs><NextMarker>{marker}</NextMarker></EnumerationResults>"""


# Azure's markers are of this form; the emulator's are names.
_MARKER = "2!76!MDAwMDIxIWEvYi8yLmpzb24hMDAwMDI4ITk5OTktMTItMzFUMjM6NTk6NTkuOTk5OTk5OVoh--"


def _blobs(_method: str, path: str) -> Answer:
    """Two pages of one blob each."""
    given = parse_qs(urlsplit(path).query).get("marker", [""])[0]
    second = given == _MARKER
    body = _BLOBS.format(name=f"a/b/{2 if second else 1}.json", marker="" if second else _MARKER)
    return Answer(200 if given in {"", _MARKER} else 400, body.encode(), {"Content-Type": "application/xml"})


@pytest.fixture
def blobs() -> Iterator[str]:
    with scripted_service() as service:
        service.answer = _blobs
        yield f"{service.url}/lab0"


def test_the_places_in_dead_letters_are_as_every_lists_places_whatever_azures_markers_hold(blobs: str) -> None:
    unused: Any = None
    with ContainerClient(blobs, "event-grid-dead-letters", retry_total=0) as container:
        letters = DeadLetters(container, unused, unused, unused)
        first, following = letters.list(1, None)
        assert following is not None
        assert AFTER.parse(following) == following
        second, end = letters.list(1, following)
    assert [one.name for one in (*first, *second)] == ["a/b/1.json", "a/b/2.json"]
    assert end is None


def test_a_token_that_azure_does_not_know_is_refused(refusing: str) -> None:
    table = RestTables.from_connection_string(refusing).table("sites")
    with pytest.raises(InvalidInputError) as refused:
        table.page([partition("a")], after=token({"PartitionKey": "1!4!YQ--", "RowKey": "made up"}))
    assert refused.value.reason is Reason.CONTINUATION_INVALID
