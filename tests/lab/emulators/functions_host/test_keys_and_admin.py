"""Who may call what, and the host's own addresses."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.emulators.functions_host.errors import StartError
from lab.emulators.functions_host.keys import load_keys
from tests.lab.emulators.functions_host.conftest import Running, Start

JSON = {"Content-Type": "application/json"}
KEYS = {
    "master": "the-master",
    "default": "the-default",
    "partner": "another-host-key",
    "functions": {"Guarded": {"mine": "guarded-only"}, "any_method": {"default": "any-only"}},
}


@pytest.fixture(scope="module")
def guarded(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    keys = tmp_path_factory.mktemp("keys") / "keys.json"
    keys.write_text(json.dumps(KEYS))
    with start(keys=keys, data=keys.parent / "data") as running:
        yield running


@pytest.mark.parametrize(
    ("key", "guarded_status", "admin_status", "host_status"),
    [
        ("the-master", 200, 200, 200),
        ("the-default", 200, 401, 403),
        ("another-host-key", 200, 401, 403),
        ("guarded-only", 200, 401, 401),
        ("any-only", 401, 401, 401),
        ("the-maste", 401, 401, 401),
        ("", 401, 401, 401),
        (None, 401, 401, 401),
    ],
)
def test_keys_open_what_they_are_for(
    guarded: Running, key: str | None, guarded_status: int, admin_status: int, host_status: int
) -> None:
    headers = {} if key is None else {"x-functions-key": key}
    query = "" if key is None else f"?code={key}"
    assert guarded.call("GET", "/api/guarded", headers=headers).status == guarded_status
    assert guarded.call("GET", f"/api/guarded{query}").status == guarded_status
    assert guarded.call("GET", "/api/boss", headers=headers).status == admin_status
    assert guarded.call("GET", f"/api/boss{query}").status == admin_status
    assert guarded.call("GET", "/admin/functions", headers=headers).status == host_status
    assert guarded.call("GET", "/admin/host/status", headers=headers).status == host_status


def test_an_empty_key_header_beats_the_query(guarded: Running) -> None:
    assert guarded.call("GET", "/api/guarded?code=the-master", headers={"x-functions-key": ""}).status == 401


def test_a_key_that_is_no_ascii_opens_nothing(guarded: Running) -> None:
    key = "caf\u00e9".encode().decode("latin-1")  # its UTF-8 bytes, as http.client sends them
    assert guarded.call("GET", "/api/guarded", headers={"x-functions-key": key}).status == 401


def test_the_status_is_told_to_the_master_key(guarded: Running) -> None:
    answer = guarded.call("GET", "/admin/host/status", headers={"x-functions-key": "the-master"})
    assert json.loads(answer.body)["state"] == "Running"


def test_the_webhooks_of_extensions_want_a_key(guarded: Running) -> None:
    assert guarded.call("POST", "/runtime/webhooks/x").status == 401


def test_the_functions_are_listed_with_their_bindings(guarded: Running) -> None:
    answer = guarded.call("GET", "/admin/functions", headers={"x-functions-key": "the-master"})
    functions = {each["name"]: each for each in json.loads(answer.body)}
    assert functions["guarded"]["invoke_url_template"] == f"{guarded.host.url}/api/guarded"
    assert {each["type"] for each in functions["work"]["config"]["bindings"]} == {"queueTrigger", "queue"}


def test_a_timer_is_fired_by_hand(guarded: Running) -> None:
    answer = guarded.call("POST", "/admin/functions/YEARLY", b"{}", {"x-functions-key": "the-master", **JSON})
    assert (answer.status, answer.body) == (202, b"")
    assert guarded.wait_for("yearly", 1)[0]["past_due"] is False


def test_a_queue_function_is_fired_by_hand_without_its_queue(guarded: Running) -> None:
    guarded.host.fire("work", "by hand")
    note = guarded.work_on("by hand")[0]
    assert (note["id"], note["dequeue_count"]) == (None, None)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/admin/functions/yearly", b"[1]", 400),
        ("/admin/functions/yearly", b"{", 400),
        ("/admin/functions/yearly", b"", 400),
        ("/admin/functions/yearly", b'{"input": {"not": "text"}}', 400),
        ("/admin/functions/guarded", b"{}", 400),
        ("/admin/functions/nobody", b"{}", 404),
        ("/admin/nothing", b"", 404),
    ],
)
def test_a_wrong_call_of_the_host_says_so(guarded: Running, path: str, body: bytes, status: int) -> None:
    assert guarded.call("POST", path, body, {"x-functions-key": "the-master", **JSON}).status == status
    assert guarded.call("POST", path, body, {"x-functions-key": "the-default", **JSON}).status == 403


@pytest.mark.parametrize("content_type", [None, "text/plain"])
def test_firing_by_hand_wants_a_json_content_type(guarded: Running, content_type: str | None) -> None:
    headers = {"x-functions-key": "the-master", **({"Content-Type": content_type} if content_type else {})}
    assert guarded.call("POST", "/admin/functions/yearly", b"{}", headers).status == 415


def test_missing_keys_are_made_once_and_kept_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "keys.json"
    made = load_keys(path)
    assert made == load_keys(path)
    assert made.master != made.host_keys["default"]
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "not valid JSON"),
        ("[]", "JSON object"),
        ('{"default": "x"}', 'no "master" key'),
        ('{"master": ""}', "key master"),
        ('{"master": "x", "default": 5}', "key default"),
        ('{"master": "x", "functions": {"f": {"k": ""}}}', "key k (of f)"),
        ('{"master": "x", "functions": {"f": "k"}}', "object of keys"),
    ],
)
def test_unusable_keys_are_refused(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(StartError, match=fault.replace("(", r"\(").replace(")", r"\)")):
        load_keys(path)
