"""HTTP functions are served as the real host serves them, whichever worker runs them."""

import concurrent.futures
import contextlib
import gzip
import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.emulators.functions_host.conftest import Running, Start


def echoed(running: Running, path: str, body: bytes = b"", **headers: str) -> Any:
    answer = running.call("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    assert answer.status == 200
    return json.loads(answer.body)


@contextlib.contextmanager
def raw_connection(running: Running) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", running.host.port, timeout=60)
    try:
        yield connection
    finally:
        connection.close()


def test_a_function_gets_the_request_as_it_was_sent(running: Running) -> None:
    path = "/api/echo/7/a%20b/%C3%A4?x=1&y=%26"
    seen = echoed(running, path, b"\x00\xff raw", X_Lab="yes", X_MS_CLIENT_PRINCIPAL="abc")
    assert seen["method"] == "POST"
    assert seen["url"] == running.host.url + path
    assert seen["route"] == {"id": "7", "rest": "a b/ä"}
    assert seen["params"] == {"x": "1", "y": "&"}
    assert bytes.fromhex(seen["body"]) == b"\x00\xff raw"
    assert seen["headers"]["x-lab"] == "yes"
    assert seen["headers"]["x-ms-client-principal"] == "abc"


def test_repeated_values_are_joined_and_empty_ones_dropped(running: Running) -> None:
    assert echoed(running, "/api/echo/7?x=1&x=2&empty=")["params"] == {"x": "1,2"}


@pytest.mark.parametrize(
    ("sent", "rest"),
    [
        ("a%2Fb/c", "a%2Fb/c"),
        ("..%2fhost.json", "..%2fhost.json"),
        ("..%5Cx", "..\\x"),
        ("%FF/%C3%A4", "%FF/ä"),
        ("a/./b", "a/b"),
        ("a/x/../b", "a/b"),
        ("x/%2e%2E/a", "a"),
    ],
)
def test_a_path_is_normalized_and_decoded_but_for_slashes_and_what_is_no_utf8(
    running: Running, sent: str, rest: str
) -> None:
    assert echoed(running, f"/api/echo/7/{sent}")["route"]["rest"] == rest


def test_dots_are_resolved_before_a_route_is_looked_for(running: Running) -> None:
    assert running.call("GET", "/api/echo/../items/./special").body == b"special"
    assert running.call("GET", "/api/x/%2e%2e/items/special").body == b"special"


def test_names_of_parameters_are_merged_whatever_their_case(running: Running) -> None:
    assert echoed(running, "/api/echo/7?x=1&X=2&y=3")["params"] == {"x": "1,2", "y": "3"}


def test_a_body_in_chunks_does_not_reach_the_function(running: Running) -> None:
    with raw_connection(running) as connection:
        connection.request("POST", "/api/echo/7", iter([b"some", b"thing"]), {"X-Lab": "yes"}, encode_chunked=True)
        seen = json.loads(connection.getresponse().read())
        assert seen["body"] == ""
        assert seen["headers"]["transfer-encoding"] == "chunked"
        assert "content-length" not in seen["headers"]
        # The connection goes on: the chunks were read.
        connection.request("GET", "/api/any")
        assert connection.getresponse().read() == b"GET"


def test_a_method_in_lower_case_is_accepted(running: Running) -> None:
    assert running.call("get", "/api/items/special").body == b"special"


def test_empty_headers_are_passed_on_and_cookie_lines_joined_by_a_comma(running: Running) -> None:
    with raw_connection(running) as connection:
        connection.putrequest("POST", "/api/echo/7")
        for name, value in (("X-Empty", ""), ("Cookie", "a=1"), ("Cookie", "b=2"), ("Content-Length", "0")):
            connection.putheader(name, value)
        connection.endheaders()
        headers = json.loads(connection.getresponse().read())["headers"]
    assert (headers["x-empty"], headers["cookie"]) == ("", "a=1,b=2")


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/api/any?" + "x" * 8_100, {}, 200),
        ("/api/any?" + "x" * 8_200, {}, 414),
        ("/api/any?" + "x" * 80_000, {}, 414),
        ("/api/any", {f"X-{number}": "x" for number in range(97)}, 200),
        ("/api/any", {f"X-{number}": "x" for number in range(99)}, 431),
        ("/api/any", {"X-Long": "x" * 32_000}, 200),
        ("/api/any", {"X-Long": "x" * 33_000}, 431),
        ("/api/any", {"X-Latin": "caf\u00e9"}, 400),
        ("/api//any", {}, 404),
        ("//api/any", {}, 404),
    ],
)
def test_what_is_too_large_or_no_text_is_refused(
    running: Running, path: str, headers: dict[str, str], status: int
) -> None:
    answer = running.call("GET", path, headers=headers)
    assert answer.status == status
    assert status == 200 or answer.body == b""


def test_a_response_header_that_is_no_ascii_is_a_500(running: Running) -> None:
    assert running.call("GET", "/api/answer?header=plain").header("X-Answer") == "plain"
    assert running.call("GET", "/api/answer?header=%C3%A4").status == 500


def test_a_status_that_is_none_is_passed_through(running: Running) -> None:
    assert running.call("GET", "/api/answer?status=799").status == 799


def test_a_thousand_requests_wait_side_by_side(running: Running) -> None:
    assert running.call("GET", "/api/threads").body == b"1000"


def test_a_compressed_body_arrives_unchanged(running: Running) -> None:
    packed = gzip.compress(b"hello")
    assert bytes.fromhex(echoed(running, "/api/echo/7", packed, Content_Encoding="gzip")["body"]) == packed


def test_a_catch_all_may_be_empty_and_literals_ignore_case(running: Running) -> None:
    assert echoed(running, "/API/Echo/7/")["route"] == {"id": "7"}


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/api/items/special", b"special"),
        ("/api/items/other", b"name other"),
        ("/api/items/12", b"id 12"),
        ("/api/items", b"id None"),
    ],
)
def test_the_most_specific_route_answers(running: Running, path: str, said: bytes) -> None:
    answer = running.call("GET", path)
    assert (answer.status, answer.body) == (200, said)
    assert answer.header("Content-Type") == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/items/not-alpha-1"),
        ("POST", "/api/items/special"),  # the real host answers 404 and not 405
        ("HEAD", "/api/items/special"),
        ("GET", "/items/special"),
        ("GET", "/api/items/special/more"),
        ("POST", "/api/echo/seven"),
        ("GET", "/api"),
        ("GET", "/apix/any"),
    ],
)
def test_what_no_route_and_method_match_is_not_found(running: Running, method: str, path: str) -> None:
    answer = running.call(method, path)
    assert (answer.status, answer.body) == (404, b"")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_function_without_methods_takes_every_method(running: Running, method: str) -> None:
    assert running.call(method, "/api/any").body == method.encode()


def test_head_has_the_headers_and_no_body(running: Running) -> None:
    answer = running.call("HEAD", "/api/any")
    assert (answer.status, answer.header("Content-Length"), answer.body) == (200, "4", b"")


def test_status_headers_cookies_and_bytes_of_a_response_arrive(running: Running) -> None:
    answer = running.call("GET", "/api/binary")
    assert answer.status == 203
    assert answer.body == bytes(range(256))
    assert answer.header("Content-Type") == "application/x-lab"
    assert answer.header("X-Lab") == "yes"
    cookies = [value for name, value in answer.headers if name.lower() == "set-cookie"]
    first, second = ({part.strip().lower() for part in cookie.split(";")} for cookie in cookies)
    assert first == {"a=1", "path=/", "httponly"}
    assert second == {"b=2", "max-age=60", "samesite=strict", "secure"}


def test_an_unhandled_exception_is_an_empty_500_and_a_traceback_in_the_log(running: Running) -> None:
    answer = running.call("GET", "/api/broken")
    assert (answer.status, answer.body) == (500, b"")
    running.wait_for_line('raise LookupError("this one always fails")')
    running.wait_for_line("Executed 'Functions.broken' (Failed, Id=", "Duration=")


def test_a_function_that_returns_nothing_is_a_500(running: Running) -> None:
    assert running.call("GET", "/api/nothing").status == 500


def test_a_context_names_the_function_and_carries_the_trace(running: Running) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {"x-functions-key": running.host.keys["master"], "traceparent": trace}
    assert running.call("GET", "/api/boss", headers=headers).body == f"for_admins 36 {trace}".encode()


def test_an_async_function_and_log_records_are_named_in_the_log(running: Running) -> None:
    assert running.call("GET", "/api/slow?seconds=0").body == b"slept"
    running.wait_for_line("INFO slow(", "whole.app: slow begins")
    assert running.call("GET", "/api/items/5").body == b"id 5"
    running.wait_for_line("INFO item_by_id(", "whole.app: item 5")


def test_functions_are_listed_at_the_start(running: Running) -> None:
    said = [line.strip() for line in running.host.lines]
    assert f"echo: [POST,PUT] {running.host.url}/api/echo/{{id:int}}/{{*rest}}" in said
    assert f"any_method: {running.host.url}/api/any" in said
    assert "work: queueTrigger (work)" in said
    assert "yearly: timerTrigger (0 0 3 1 1 *)" in said
    assert "Host started" in said


def test_more_requests_at_once_than_host_json_allows_are_429(start_default: Start) -> None:
    setting: dict[str, Any] = {"AzureFunctionsJobHost__extensions__http__maxOutstandingRequests": "1"}
    with start_default(**setting) as running, concurrent.futures.ThreadPoolExecutor() as pool:
        slow = pool.submit(running.call, "GET", "/api/slow?seconds=2")
        running.wait_for("slow", 1)
        answer = running.call("GET", "/api/any")
        assert (answer.status, answer.body, slow.result().status) == (429, b"", 200)


def test_limits_prefix_and_switched_off_functions_are_settings(start_default: Start) -> None:
    settings: dict[str, Any] = {
        "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "1000",
        "AzureFunctionsJobHost__extensions__http__routePrefix": "",
        "AzureFunctionsJobHost__extensions__http__customHeaders__X-Everywhere": "yes",
        "AzureWebJobs.item_special.Disabled": "true",
    }
    with start_default(**settings) as running:
        assert running.call("POST", "/echo/1", b"x" * 1000).status == 200
        assert running.call("POST", "/echo/1", b"x" * 1001).status == 500
        assert running.call("GET", "/items/special").body == b"name special"
        assert running.call("GET", "/nowhere").header("X-Everywhere") == "yes"
        assert "Function item_special is disabled." in [line.strip() for line in running.host.lines]
