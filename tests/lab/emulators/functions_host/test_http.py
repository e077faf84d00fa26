"""HTTP functions are served as the real host serves them, whichever worker runs them."""

import gzip
import json
from typing import Any

import pytest

from tests.lab.emulators.functions_host.conftest import Running, Start


def echoed(running: Running, path: str, body: bytes = b"", **headers: str) -> Any:
    answer = running.call("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    assert answer.status == 200
    return json.loads(answer.body)


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


def test_an_encoded_slash_stays_in_its_segment(running: Running) -> None:
    assert echoed(running, "/api/echo/7/a%2Fb/c")["route"]["rest"] == "a%2Fb/c"


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


def test_limits_prefix_and_switched_off_functions_are_settings(start_default: Start) -> None:
    settings: dict[str, Any] = {
        "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "1000",
        "AzureFunctionsJobHost__extensions__http__routePrefix": "",
        "AzureWebJobs.item_special.Disabled": "true",
    }
    with start_default(**settings) as running:
        assert running.call("POST", "/echo/1", b"x" * 1000).status == 200
        assert running.call("POST", "/echo/1", b"x" * 1001).status == 413
        assert running.call("GET", "/items/special").body == b"name special"
        assert "Function item_special is disabled." in [line.strip() for line in running.host.lines]
