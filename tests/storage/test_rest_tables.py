"""The table client against the SDK's own way: the same requests on the wire; the same rows, ETags and errors."""

import json
import re
import string
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.transport import RequestsTransport
from azure.data.tables import TableServiceClient, _deserialize
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import AlreadyExistsError, ChangedMeanwhileError, DeskbridgeError, MisconfiguredError, TryLaterError
from shared.storage import continuation
from shared.storage.rest_tables import RestTables, to_filter, to_row
from shared.storage.rows import (
    EARLIEST,
    Create,
    Delete,
    Merge,
    Operation,
    Replace,
    Row,
    Save,
    Value,
    size_in_transaction,
)
from shared.storage.tables import AnyOf, Condition, Table
from tests.scripted_service import Answer, Service, scripted_service
from tests.storage import sdk_tables
from tests.storage.sdk_tables import SdkTables
from tests.storage_emulator import Storage

_names = st.text(string.ascii_letters + "_", min_size=1, max_size=8).filter(
    lambda name: name not in {"Timestamp", "PartitionKey", "RowKey"}
)
_texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.builds(lambda character, count: character * count, st.sampled_from('aü東😀"\n'), st.integers(0, 2_000)),
)
_keys = st.one_of(
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\#?%"), min_size=1, max_size=12),
    # As ours are.
    st.from_regex(r"[A-Za-z0-9_.~:-]{1,30}", fullmatch=True),
)
_moments = st.datetimes(EARLIEST.replace(tzinfo=None), timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7))]))
_values: st.SearchStrategy[Value] = st.one_of(
    _texts,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([2**31, -(2**31), 2**31 - 1, -(2**31) - 1]),
    st.floats(),
    st.binary(max_size=20),
    _moments,
)
_rows = st.builds(Row, st.just("p"), _keys, st.dictionaries(_names, _values, max_size=8), st.just('W/"1"'))
_operations: st.SearchStrategy[Operation] = st.one_of(
    st.builds(Create, _rows),
    st.builds(Replace, _rows),
    st.builds(Merge, _rows),
    st.builds(Save, _rows),
    st.builds(Delete, _keys, st.sampled_from(["", 'W/"2"'])),
)


def _row_key(operation: Operation) -> str:
    return operation.row_key if isinstance(operation, Delete) else operation.row.row_key


_NOT_THERE = Answer(404, b"{}", {"x-ms-error-code": "ResourceNotFound", "Content-Type": "application/json"})


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with scripted_service() as service:
        yield service


def _connection_string(service: Service) -> str:
    return f"AccountName=acorn;AccountKey=a2V5;TableEndpoint={service.url}/acorn;"


def _both(service: Service) -> list[Table]:
    """The table `things` through the SDK and through the product's client, without waiting between tries."""
    return [
        kind.from_connection_string(
            _connection_string(service), retry_total=1, retry_backoff_factor=0, read_timeout=5
        ).table("things")
        for kind in (SdkTables, RestTables)
    ]


# What is sent


def _sent_operations(body: bytes) -> list[tuple[str, str | None, dict[str, Any] | None]]:
    """Each operation of a transaction as the service understands it."""
    [changeset] = set(re.findall(rb"boundary=(changeset_[\w-]+)", body))
    found = []
    for part in body.split(b"--" + changeset)[1:-1]:
        _, head, content = part.split(b"\r\n\r\n", 2)
        line, *headers = head.decode().split("\r\n")
        named = dict(header.lower().split(": ", 1) for header in headers if header)
        match = re.search(r"^if-match: (.*)$", head.decode(), re.IGNORECASE | re.MULTILINE)
        content = content.removesuffix(b"\r\n")
        entity = None
        if content:
            assert int(named["content-length"]) == len(content)
            entity = json.loads(content)
            # A text is a text whether it says so or not.
            entity = {n: v for n, v in entity.items() if not (n.endswith("@odata.type") and v == "Edm.String")}
        assert named["dataserviceversion"] == "3.0"
        found.append((line, match[1].strip() if match else None, entity))
    return found


@settings(max_examples=40)
@given(st.lists(_operations, min_size=1, max_size=5, unique_by=_row_key))
def test_a_transaction_is_to_the_service_what_the_sdk_sends(service: Service, operations: list[Operation]) -> None:
    service.answer = lambda *_: Answer(403)
    sent, body = [], b""
    for table in _both(service):
        service.asked.clear()
        with pytest.raises(MisconfiguredError):
            table.transact("p", operations)
        [(method, path, headers, body)] = service.asked
        assert headers["x-ms-version"] == "2019-02-02"
        assert headers["Authorization"].startswith("SharedKey acorn:")
        sent.append((method, path, _sent_operations(body)))
    plain, rest = sent
    # What the limit of 4 MiB is checked with is never too low.
    assert len(body) <= sum(map(size_in_transaction, operations))
    # Compared as text: NaN is not equal to itself, and 1 would be equal to 1.0 and to true.
    assert repr(_sorted(rest)) == repr(_sorted(plain))


def _sorted(sent: Any) -> Any:
    method, path, operations = sent
    return method, path, [(line, match, sorted((entity or {}).items())) for line, match, entity in operations]


_conditions = st.builds(Condition, _names, st.sampled_from(["eq", "ne", "gt", "ge", "lt", "le"]), _values)


@settings(max_examples=40)
@given(
    st.lists(st.one_of(_conditions, st.builds(AnyOf, st.lists(_conditions, min_size=1, max_size=3))), max_size=3),
    st.one_of(st.none(), st.lists(_names, max_size=3)),
)
def test_a_query_is_to_the_service_what_the_sdk_sends(
    service: Service, where: list[Condition | AnyOf], select: list[str] | None
) -> None:
    service.answer = lambda *_: _NOT_THERE
    asked = []
    after = continuation.encode_keys({"PartitionKey": "a=", "RowKey": "b+c"})
    for table in _both(service):
        service.asked.clear()
        assert table.page(where, select=select, size=7, after=after).rows == ()
        [(method, path, _, _)] = service.asked
        parts = urlsplit(path)
        query = dict(parse_qsl(parts.query))
        if "$filter" in query:
            query["$filter"] = _as_words(query["$filter"])
        asked.append((method, parts.path, query))
    assert asked[0] == asked[1]


def _as_words(text: str) -> str:
    # The SDK wants its brackets apart, and marks 64 bits from the 33rd on, not from where 32 do not hold the number.
    text = re.sub(r"\( | \)", lambda match: match.group().strip(), text)
    return re.sub(r"(?<=[egln][qetm] )(-?\d+)L?", r"\1", text)


def test_numbers_that_32_bits_do_not_hold_are_marked_as_64() -> None:
    def literal(value: Value) -> str:
        return to_filter([Condition("n", "eq", value)]).removeprefix("n eq ")

    numbers = (0, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1)
    assert [literal(number) for number in numbers] == ["0", "2147483647", "2147483648L", "-2147483648", "-2147483649L"]
    assert literal("O'Brien") == "'O''Brien'"


def test_a_row_is_asked_for_as_the_sdk_does(service: Service) -> None:
    service.answer = lambda *_: _NOT_THERE
    asked = []
    for table in _both(service):
        service.asked.clear()
        assert table.find("O'Brien & co", "a+b=ü", ["one", "two"]) is None
        asked.append([(method, unquote(path)) for method, path, _, _ in service.asked])
    assert asked[0] == asked[1] != []


class _Identity:
    """Stands in for a managed identity."""

    def __init__(self) -> None:
        self.scopes: list[str] = []

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.scopes += scopes
        return AccessToken("the-token", 4_000_000_000)


class _ToLoopback(RequestsTransport):  # type: ignore[misc] # exported lazily, without its type
    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def send(self, request: Any, **kwargs: Any) -> Any:
        request.url = request.url.replace("https://acorn.table.core.windows.net", self._url)
        return super().send(request, **kwargs)


def test_a_managed_identity_signs_reads_and_transactions(service: Service) -> None:
    service.answer = lambda *_: _NOT_THERE
    service.asked.clear()
    identity = _Identity()
    client = TableServiceClient(
        endpoint="https://acorn.table.core.windows.net", credential=identity, transport=_ToLoopback(service.url)
    )
    table = RestTables(client).table("things")
    assert table.find("p", "r") is None
    with pytest.raises(ChangedMeanwhileError):
        table.transact("p", [Save(Row("p", "r"))])
    assert [headers["Authorization"] for _, _, headers, _ in service.asked] == ["Bearer the-token"] * 2
    assert identity.scopes
    assert set(identity.scopes) == {"https://storage.azure.com/.default"}


# What is read

_convert_to_entity: Any = _deserialize._convert_to_entity


@given(
    st.dictionaries(_names, _values.filter(lambda value: value == value), max_size=8),
    st.sampled_from([None, "W/\"datetime'2026-11-22T00%3A49%3A31.7645897Z'\""]),
    st.sampled_from([None, "2026-11-22T00:49:31.7645897Z"]),
)
def test_an_entity_is_read_as_the_sdk_reads_it(values: dict[str, Value], etag: str | None, at: str | None) -> None:
    answered = {"odata.metadata": "…", **json.loads(Row("p", "r", values).entity), "absent": None}
    answered |= {"odata.etag": etag} if etag else {}
    answered |= {"Timestamp": at} if at else {}
    plain = sdk_tables._to_row(_convert_to_entity(json.loads(json.dumps(answered))))
    rest = to_row(json.loads(json.dumps(answered)))
    assert rest == plain
    assert {column: type(value) for column, value in rest.values.items()} == {
        column: type(value) for column, value in plain.values.items()
    }


@pytest.mark.parametrize(
    "moment",
    ["1601-01-01T00:00:00Z", "2026-11-22T00:49:31.7645897Z", "2026-11-22T00:49:31.5Z", "9999-12-31T23:59:59.9999999Z"],
)
def test_times_of_up_to_seven_digits_are_read_as_the_sdk_reads_them(moment: str) -> None:
    answered = {"PartitionKey": "p", "RowKey": "r", "at": moment, "at@odata.type": "Edm.DateTime"}
    assert to_row(dict(answered)) == sdk_tables._to_row(_convert_to_entity(answered))


@pytest.mark.parametrize("double", [float("nan"), float("inf"), float("-inf"), -0.0, 5.0, 1e300])
def test_every_double_comes_back(double: float) -> None:
    row = to_row(json.loads(Row("p", "r", {"d": double}).entity))
    assert repr(row.values["d"]) == repr(double)


def test_what_one_client_wrote_the_other_reads_the_same(storage: Storage) -> None:
    plain = SdkTables.from_connection_string(storage.connection_string).table("things")
    rest = RestTables.from_connection_string(storage.connection_string).table("things")
    values: dict[str, Value] = {
        "text": "Zürich 東京 😀 'quoted' \"double\" \r\n\t\\",
        "empty": "",
        "small": -(2**31),
        "large": 2**62,
        "whole": 5.0,
        "flag": False,
        "raw": bytes(range(256)),
        "at": datetime(2026, 11, 21, 8, 30, 15, 123456, tzinfo=UTC),
        "date_like": "2026-11-21T08:30:15Z",
    }
    rows = [Row("p'q", f"{number} & ü'", {**values, "n": number}) for number in range(100)]
    etags = rest.transact("p'q", [Create(row) for row in rows[:50]])
    etags = [*etags, *plain.transact("p'q", [Create(row) for row in rows[50:]])]
    assert len(set(etags)) > 1
    written = sorted(zip([row.row_key for row in rows], etags, strict=True))
    for table in (plain, rest):
        page = table.page([Condition("PartitionKey", "eq", "p'q")])
        assert [(row.row_key, row.etag) for row in page.rows] == written
        for row in page.rows:
            assert {**row.values, "n": 0} == {**values, "n": 0}
            assert table.find("p'q", row.row_key) == row
    one, other = plain.page([], size=30), rest.page([], size=30)
    assert (one.rows, one.next) == (other.rows, other.next)
    # A token of one goes on with the other.
    assert plain.page([], after=other.next).rows == rest.page([], after=one.next).rows


# What is refused


def _batch_answer(status: str, content: str) -> Answer:
    body = (
        "--batchresponse_1\r\nContent-Type: multipart/mixed; boundary=changesetresponse_1\r\n\r\n"
        "--changesetresponse_1\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        f"HTTP/1.1 {status}\r\nDataServiceVersion: 3.0;\r\nContent-Type: application/json\r\n\r\n{content}\r\n"
        "--changesetresponse_1--\r\n--batchresponse_1--\r\n"
    )
    return Answer(202, body.encode(), {"Content-Type": "multipart/mixed; boundary=batchresponse_1"})


def _odata(code: str, message: str) -> str:
    return json.dumps({"odata.error": {"code": code, "message": {"lang": "en-US", "value": message}}})


_TRANSACTION: Sequence[Operation] = (Save(Row("p", "first")), Save(Row("p", "second")))
_REFUSALS = {
    "exists": (_batch_answer("409 Conflict", _odata("EntityAlreadyExists", "1:It is there.")), AlreadyExistsError),
    "changed": (
        _batch_answer("412 Precondition Failed", _odata("UpdateConditionNotSatisfied", "1:No.")),
        ChangedMeanwhileError,
    ),
    "gone": (_batch_answer("404 Not Found", _odata("ResourceNotFound", "0:No.")), ChangedMeanwhileError),
    "table goes": (
        Answer(409, _odata("TableBeingDeleted", "Later.").encode(), {"Content-Type": "application/json"}),
        TryLaterError,
    ),
    "table goes within": (_batch_answer("409 Conflict", _odata("TableBeingDeleted", "0:Later.")), TryLaterError),
    "busy within": (_batch_answer("503 Busy", _odata("ServerBusy", "0:Later.")), TryLaterError),
    "busy": (Answer(503, _odata("ServerBusy", "Later.").encode(), {"Content-Type": "application/json"}), TryLaterError),
    "timed out": (_batch_answer("500 Oh", _odata("OperationTimedOut", "0:Later.")), TryLaterError),
    "denied": (
        Answer(403, _odata("AuthorizationFailure", "No.").encode(), {"Content-Type": "application/json"}),
        MisconfiguredError,
    ),
    "unsigned": (Answer(401, b"<html>Sign in</html>", {"Content-Type": "text/html"}), MisconfiguredError),
}


_XML = {"Content-Type": "application/xml"}


@pytest.mark.parametrize(
    ("made", "outcome"),
    [
        (Answer(503, b"<error><code>ServerBusy</code></error>", _XML), TryLaterError),
        (Answer(503, b"<html>The server is busy.</html>", {"Content-Type": "text/html"}), TryLaterError),
        (Answer(403, b"<error><code>AuthorizationFailure</code></error>", _XML), MisconfiguredError),
        (Answer(409, _odata("TableBeingDeleted", "It goes.").encode(), {}), TryLaterError),
        (Answer(409, _odata("TableAlreadyExists", "It is there.").encode(), {}), None),
        (Answer(204), None),
    ],
)
def test_a_table_that_cannot_be_made_is_told_as_every_refusal(
    service: Service, made: Answer, outcome: type[DeskbridgeError] | None
) -> None:
    service.asked.clear()
    absent = _batch_answer("404 Not Found", _odata("TableNotFound", "0:The table is not there."))
    service.answer = lambda _, path: made if path.endswith("/Tables") else absent
    things = _both(service)[1]
    # Once it is made, or another has made it, the transaction is sent again: to a table that is still not there.
    with pytest.raises(outcome or ChangedMeanwhileError):
        things.transact("p", _TRANSACTION)
    [body, *_] = [json.loads(body) for _, path, _, body in service.asked if path.endswith("/Tables")]
    assert body == {"TableName": "things"}
    assert sum(path.endswith("/$batch") for _, path, _, _ in service.asked) == (2 if outcome is None else 1)


@pytest.mark.parametrize("case", _REFUSALS)
def test_a_refused_transaction_says_the_same_through_both(service: Service, case: str) -> None:
    answer, expected = _REFUSALS[case]
    service.answer = lambda *_: answer
    said = []
    for table in _both(service):
        with pytest.raises(expected) as caught:
            table.transact("p", _TRANSACTION)
        error = caught.value
        assert isinstance(error, DeskbridgeError)
        said.append((type(error), error.message, getattr(error, "row_key", None)))
    words = [(kind, re.sub(r"TableTransactionError", "HttpResponseError", message), key) for kind, message, key in said]
    assert words[0] == words[1]


@pytest.mark.parametrize("status", [401, 403, 408, 429, 500, 503])
def test_a_refused_read_says_the_same_through_both(service: Service, status: int) -> None:
    service.answer = lambda *_: Answer(status, _odata("Code", "No.").encode(), {"Content-Type": "application/json"})
    reads: list[Callable[[Table], object]] = [lambda table: table.find("p", "r"), lambda table: table.page([])]
    for read in reads:
        said = []
        for table in _both(service):
            with pytest.raises(DeskbridgeError) as caught:
                read(table)
            said.append((type(caught.value), caught.value.message))
        assert said[0] == said[1]


def test_a_404_of_something_in_between_is_not_taken_for_a_row_that_is_not_there(service: Service) -> None:
    service.answer = lambda *_: Answer(404, b"<html>No such site</html>", {"Content-Type": "text/html"})
    for table in _both(service):
        with pytest.raises(HttpResponseError):
            table.find("p", "r")
        with pytest.raises(HttpResponseError):
            table.page([])


_BROKEN = {
    "cut off": Answer(202, b"--batchresponse_1\r\nContent-Type: mul", {"Content-Type": "multipart/mixed"}, cut=True),
    "shortened": Answer(
        202,
        b"--batchresponse_1\r\nContent-Type: multipart/mixed; boundary=change_1\r\n\r\n--change_1",
        {"Content-Type": "multipart/mixed; boundary=batchresponse_1"},
    ),
    "one answer of two": _batch_answer("204 No Content", ""),
    "something else": Answer(202, b"<html>Welcome to the hotel</html>", {"Content-Type": "text/html"}),
}


@pytest.mark.parametrize("case", _BROKEN)
def test_an_answer_to_a_transaction_that_cannot_be_read_is_to_be_tried_again(service: Service, case: str) -> None:
    service.answer = lambda *_: _BROKEN[case]
    with pytest.raises(TryLaterError):
        _both(service)[1].transact("p", _TRANSACTION)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b'{"value":[{"PartitionKey":"p",', {"Content-Type": "application/json"}),
        Answer(200, b'{"value":[{"PartitionKey":"p",', {"Content-Type": "application/json"}, cut=True),
        Answer(200, b"<html>Welcome</html>", {"Content-Type": "text/html"}),
        Answer(200, b'{"hello": "there"}', {"Content-Type": "application/json"}),
    ],
    ids=["shortened", "cut off", "something else", "other JSON"],
)
def test_a_page_that_cannot_be_read_is_to_be_tried_again(service: Service, answer: Answer) -> None:
    service.answer = lambda *_: answer
    table = _both(service)[1]
    with pytest.raises(TryLaterError):
        table.page([])
    with pytest.raises(TryLaterError):
        table.find("p", "r")
