"""Settings over HTTP: documents with versions, pages, sets, and refusals that say what to do."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from shared import bootstrap
from tests.api.calling import call
from tests.api.conftest import CREDENTIAL, STORE
from tests.fakes.tables import MemoryTables, WatchedTables
from tests.tokens import begin_anew


@pytest.fixture(autouse=True)
def desk(tables: MemoryTables) -> MemoryTables:
    return tables


def test_a_document_is_made_read_replaced_and_removed() -> None:
    made = call("PUT", "settings/credential-stores/acorn", STORE)
    assert (made.status, made.json["version"], made.json["changed_by"]) == (201, 1, "the-administrator")
    read = call("GET", "settings/credential-stores/acorn")
    assert (read.json["document"], read.etag) == (STORE, made.etag)
    changed = {**STORE, "method": "user_assigned", "client_id": "11111111-2222-4333-8444-555555555555"}
    replaced = call("PUT", "settings/credential-stores/acorn", changed, {"If-Match": read.etag})
    assert (replaced.status, replaced.json["version"]) == (200, 2)
    assert call("DELETE", "settings/credential-stores/acorn", headers={"If-Match": replaced.etag}).status == 204
    assert call("GET", "settings/credential-stores/acorn").json["reason"] == "not_found"
    history = call("GET", "settings/credential-stores/acorn/history").json["items"]
    assert [entry["action"] for entry in history] == ["deleted", "updated", "created"]


def test_a_document_that_is_there_is_not_replaced_without_its_version() -> None:
    made = call("PUT", "settings/credential-stores/acorn", STORE)
    refused = call("PUT", "settings/credential-stores/acorn", STORE)
    assert (refused.status, refused.json["reason"]) == (409, "version_needed")
    assert made.etag in refused.json["remedy"]


def test_a_version_that_moved_is_412_with_the_present_one() -> None:
    first = call("PUT", "settings/credential-stores/acorn", STORE)
    second = call("PUT", "settings/credential-stores/acorn", STORE, {"If-Match": first.etag})
    refused = call("PUT", "settings/credential-stores/acorn", STORE, {"If-Match": first.etag})
    assert (refused.status, refused.json["reason"]) == (412, "changed_meanwhile")
    assert refused.json["present_version"] == refused.etag == second.etag


def test_of_two_writers_with_one_version_one_wins_and_the_other_is_told_the_present_version() -> None:
    etag = call("PUT", "settings/credential-stores/acorn", STORE).etag

    def write(number: int) -> tuple[int, str]:
        document = {**STORE, "cache_seconds": 100 + number}
        answer = call("PUT", "settings/credential-stores/acorn", document, {"If-Match": etag})
        return answer.status, answer.json.get("present_version", "")

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(write, range(8)))
    present = call("GET", "settings/credential-stores/acorn")
    assert sorted(status for status, _ in answers) == [200, *[412] * 7]
    assert {version for status, version in answers if status == 412} == {present.etag}
    assert present.json["version"] == 2


def test_unknown_fields_are_refused_by_name_and_every_fault_has_its_path() -> None:
    refused = call("PUT", "settings/credential-stores/acorn", {**STORE, "vault_urk": "x", "method": "guess"})
    assert (refused.status, refused.json["reason"]) == (400, "document_invalid")
    assert {"path": "vault_urk", "message": "there is no such field"} in refused.json["faults"]
    assert "method" in {fault["path"] for fault in refused.json["faults"]}


@pytest.mark.parametrize(
    ("address", "reason", "path"),
    [
        ("settings/sites?limt=5", "parameter_unknown", "limt"),
        ("settings/sites?limit=0", "parameter_invalid", "limit"),
        ("settings/sites?limit=201", "parameter_invalid", "limit"),
        ("settings/sites?limit=%D9%A3", "parameter_invalid", "limit"),
        ("settings/sites?limit=1_0", "parameter_invalid", "limit"),
        ("settings/sites?limit=5,6", "parameter_invalid", "limit"),
        ("assets?value=t3.micro", "parameter_invalid", "value"),
        ("assets?field=model", "parameter_invalid", "field"),
        ("assets?region=eu-west-2", "parameter_invalid", "region"),
        ("users?value=Jim", "parameter_invalid", "value"),
    ],
)
def test_a_wrong_query_parameter_is_refused_by_name(address: str, reason: str, path: str) -> None:
    refused = call("GET", address)
    assert (refused.status, refused.json["reason"]) == (400, reason)
    assert [fault["path"] for fault in refused.json["faults"]] == [path]


def test_the_key_in_the_address_is_the_hosts_and_no_unknown_parameter() -> None:
    made = call("POST", "tokens/administrator?code=abc&clientId=default", {"name": "first"})
    assert (made.status, made.json["role"]) == (201, "administrator")
    refused = call("GET", "settings/sites?code=abc")
    assert (refused.status, refused.json["reason"]) == (400, "parameter_unknown")


def test_a_token_that_was_not_given_out_is_refused() -> None:
    refused = call("GET", "settings/sites?after=bm9uc2Vuc2U%3D")
    assert (refused.status, refused.json["reason"]) == (400, "continuation_invalid")


def test_a_list_is_read_page_by_page_to_its_end() -> None:
    for number in range(7):
        call("PUT", f"settings/sites/site-{number}", {"title": f"Site {number}", "customer": "acorn"})
    names: list[str] = []
    after = ""
    while True:
        page = call("GET", f"settings/sites?limit=3{after}").json
        assert len(page["items"]) <= 3
        names += [item["name"] for item in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert names == [f"site-{number}" for number in range(7)]


def test_history_has_pages_too() -> None:
    etag = call("PUT", "settings/sites/one", {"title": "0", "customer": "acorn"}).etag
    for number in range(1, 4):
        etag = call("PUT", "settings/sites/one", {"title": str(number), "customer": "acorn"}, {"If-Match": etag}).etag
    first = call("GET", "settings/sites/one/history?limit=3").json
    rest = call("GET", f"settings/sites/one/history?limit=3&after={first['next']}").json
    titles = [entry["document"]["title"] for entry in first["items"] + rest["items"]]
    assert (titles, rest["next"]) == (["3", "2", "1", "0"], None)


def test_applying_an_export_changes_nothing() -> None:
    call("PUT", "settings/credential-stores/acorn", STORE)
    call("PUT", "settings/credentials/acorn-ec2", CREDENTIAL)
    exported = call("GET", "settings").body
    kinds = ["customers", "customers", "credential-stores", "credentials"]
    assert [entry["kind"] for entry in yaml.safe_load_all(exported)] == kinds
    applied = call("POST", "settings", exported, {"Content-Type": "application/yaml"})
    assert [item["action"] for item in applied.json["items"]] == ["unchanged"] * 4


def test_a_dry_run_says_what_would_change_and_writes_nothing(desk: MemoryTables) -> None:
    body = {"documents": [{"kind": "credential-stores", "name": "acorn", "document": STORE}]}
    call("GET", "me")
    before = desk.contents()
    answer = call("POST", "settings?dry_run=true", body)
    assert (answer.json["dry_run"], answer.json["items"][0]["action"]) == (True, "created")
    assert desk.contents() == before
    assert call("POST", "settings?dry_run=perhaps", body).json["reason"] == "parameter_invalid"


def test_unknown_fields_of_a_set_and_of_its_members_are_refused_by_name() -> None:
    refused = call("POST", "settings", {"documents": [], "dryrun": True})
    assert [(refused.status, fault["path"]) for fault in refused.json["faults"]] == [(400, "dryrun")]
    member = {"kind": "sites", "name": "one", "document": {"title": "One", "customer": "acorn"}, "extra": 1}
    refused = call("POST", "settings", {"documents": [member]})
    assert [fault["path"] for fault in refused.json["faults"]] == ["documents.0.extra"]
    assert call("POST", "settings", b" ").json["reason"] == "body_not_readable"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'"\\ud800"', b"NaN", b"[" * 100_000])
def test_a_body_that_is_not_json_is_refused(body: bytes) -> None:
    refused = call("PUT", "settings/credential-stores/acorn", body)
    assert (refused.status, refused.json["reason"]) == (400, "body_not_readable")


def test_a_body_over_the_limit_is_refused_before_it_is_read() -> None:
    for method, address in (("PUT", "settings/sites/one"), ("POST", "settings")):
        refused = call(method, address, b" " * (4 * 1024 * 1024 + 1))
        assert (refused.status, refused.json["reason"]) == (413, "body_too_large")


def test_answers_are_kept_by_nobody() -> None:
    assert call("GET", "settings/sites").headers["Cache-Control"] == "no-store"
    assert call("GET", "settings/sites/unknown").headers["Cache-Control"] == "no-store"


def principal(name: str = "ann@acorn.example", object_id: str = "6f9d") -> dict[str, str]:
    claims = {"claims": [{"typ": "roles", "val": "Deskbridge.Operator"}]}
    return {
        "X-MS-CLIENT-PRINCIPAL": base64.b64encode(json.dumps(claims).encode()).decode(),
        "X-MS-CLIENT-PRINCIPAL-NAME": name,
        "X-MS-CLIENT-PRINCIPAL-ID": object_id,
        "Authorization": "Bearer sent-by-the-caller",
    }


def test_with_the_platforms_sign_in_the_history_names_who_did_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBSITE_AUTH_ENABLED", "True")
    document = {"title": "One", "customer": "acorn"}
    made = call("PUT", "settings/sites/one", document, principal(), role=None)
    assert made.json["changed_by"] == "ann@acorn.example (6f9d)"
    hostile = call("PUT", "settings/sites/two", document, principal("a\r\nb" + "x" * 999, ""), role=None)
    assert hostile.json["changed_by"] == ("ab" + "x" * 999)[:200]


@pytest.mark.parametrize("enabled", [None, "False", "0", "@Microsoft.KeyVault(VaultName=a;SecretName=b)"])
def test_without_the_platforms_sign_in_nobody_can_name_himself(
    monkeypatch: pytest.MonkeyPatch, enabled: str | None
) -> None:
    if enabled is not None:
        monkeypatch.setenv("WEBSITE_AUTH_ENABLED", enabled)
    bootstrap.reset()
    bootstrap.replace("tables", MemoryTables())
    made = call("PUT", "settings/customers/acorn", {"title": "Acorn"}, principal())
    assert made.json["changed_by"] == "the-administrator"


def test_an_answer_is_of_the_version_that_was_written_even_when_somebody_else_wrote_right_after(
    desk: MemoryTables,
) -> None:
    made = call("PUT", "settings/credential-stores/acorn", STORE)
    second: list[str] = []

    def overtaken(table: str, operation: str, moment: str) -> None:
        if table != "outbox" and (operation, moment, second) == ("transact", "after", []):
            second.append("begun")
            replaced = call(
                "PUT", "settings/credential-stores/acorn", {**STORE, "cache_seconds": 200}, {"If-Match": "*"}
            )
            second.append(replaced.etag)

    begin_anew(WatchedTables(desk, overtaken))
    first = call("PUT", "settings/credential-stores/acorn", {**STORE, "cache_seconds": 100}, {"If-Match": made.etag})
    # With the other's ETag, its caller would replace what it never saw.
    assert (first.status, first.json["version"], first.json["document"]["cache_seconds"]) == (200, 2, 100)
    assert first.etag != second[1]
    again = call("PUT", "settings/credential-stores/acorn", STORE, {"If-Match": first.etag})
    assert (again.status, again.json["present_version"]) == (412, second[1])


def test_a_written_document_that_somebody_else_removed_at_once_was_written_all_the_same(desk: MemoryTables) -> None:
    removed: list[int] = []

    def gone(table: str, operation: str, moment: str) -> None:
        if table != "outbox" and (operation, moment, removed) == ("transact", "after", []):
            removed.append(0)
            removed.append(call("DELETE", "settings/credential-stores/acorn", headers={"If-Match": "*"}).status)

    begin_anew(WatchedTables(desk, gone))
    assert call("PUT", "settings/credential-stores/acorn", STORE).status == 201
    assert removed == [0, 204]


def test_applying_beside_other_writers_ends_with_every_document_as_given(desk: MemoryTables) -> None:
    names = [f"site-{number}" for number in range(3)]
    others: list[int] = []

    def interfere(table: str, operation: str, moment: str) -> None:
        # Before each of the first two transactions of the application somebody else writes the same documents.
        is_change = (operation, moment) == ("transact", "before") and table != "outbox"
        if is_change and len(others) < 2 and None not in others:
            others.append(None)  # type: ignore[arg-type] # its own writes are not interfered with
            number = others.index(None)  # type: ignore[arg-type]
            for name in names:
                document = {"title": f"Theirs {number}", "customer": "oak"}
                call("PUT", f"settings/sites/{name}", document, {"If-Match": "*"})
            others[number] = number

    call("PUT", f"settings/sites/{names[0]}", {"title": "Before", "customer": "acorn"})
    begin_anew(WatchedTables(desk, interfere))
    documents = [{"kind": "sites", "name": name, "document": {"title": "Ours", "customer": "acorn"}} for name in names]
    applied = call("POST", "settings", {"documents": documents})
    assert applied.status == 200, applied.body
    assert others == [0, 1]
    for name in names:
        assert call("GET", f"settings/sites/{name}").json["document"]["title"] == "Ours"
        history = call("GET", f"settings/sites/{name}/history").json["items"]
        assert [entry["document"]["title"] for entry in history].count("Ours") == 1
    assert {item["action"] for item in applied.json["items"]} == {"updated"}
    assert {item["after"]["title"] for item in applied.json["items"]} == {"Ours"}


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b'{"documents": [], "documents": []}', "application/json"),
        (b"kind: sites\nname: york\ndocument: {title: York, customer: acorn}\nname: leeds\n", "application/yaml"),
        (b"kind: sites\nname: york\ndocument:\n  title: York\n  customer: Acorn\n  title: Leeds\n", "text/yaml"),
    ],
)
def test_a_set_with_a_member_that_stands_twice_is_refused_as_one_of_them_would_be_lost(
    body: bytes, media_type: str
) -> None:
    refused = call("POST", "settings", body, {"Content-Type": media_type})
    assert refused.status == 400
    assert "stands twice" in refused.json["detail"]
    assert call("GET", "settings/sites").json["items"] == []


def test_yaml_that_merges_another_mapping_may_say_its_own_beside_it() -> None:
    body = b"""
kind: sites
name: york
document: &york
  <<: {title: Never seen, customer: acorn}
  title: York
---
kind: sites
name: leeds
document: {title: Leeds, customer: acorn}
"""
    applied = call("POST", "settings", body, {"Content-Type": "application/yaml"})
    assert applied.status == 200, applied.body
    assert call("GET", "settings/sites/york").json["document"] == {"title": "York", "customer": "acorn"}


@pytest.mark.parametrize("media_type", ["application/json", "APPLICATION/JSON", "Application/Json; charset=utf-8"])
def test_the_media_type_of_a_set_is_read_in_any_case(media_type: str) -> None:
    document = {"kind": "sites", "name": "york", "document": {"title": "York", "customer": "acorn"}}
    applied = call("POST", "settings", {"documents": [document]}, {"Content-Type": media_type})
    assert applied.json["items"][0]["action"] == "created"
