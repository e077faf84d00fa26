"""The AuthRocket emulator, read by a plain HTTP client: what its documentation says, and what can go wrong."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme

from lab.emulators.authrocket import (
    ACORN_ONLY_KEY,
    ACORN_REALM,
    ADMIN_KEY,
    LAPSED_KEY,
    READ_KEY,
    ST_JOHNS_REALM,
    WRITE_ONLY_KEY,
    AuthRocketLab,
)


@pytest.fixture(scope="module")
def lab() -> Iterator[AuthRocketLab]:
    with AuthRocketLab() as running:
        yield running


@pytest.fixture(autouse=True)
def quiet(lab: AuthRocketLab) -> Iterator[None]:
    yield
    lab.faults.clear()


def get(
    lab: AuthRocketLab, path: str, key: str = READ_KEY, realm: str | None = ACORN_REALM, **query: Any
) -> requests.Response:
    headers = {"Accept": "application/json", "Authrocket-Api-Key": key}
    if realm:
        headers["Authrocket-Realm"] = realm
    return requests.get(f"{lab.url}/{path}", headers=headers, params=query, timeout=10)


def read_all(lab: AuthRocketLab, page_size: int, realm: str = ACORN_REALM) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        after = {"after": found[-1]["id"]} if found else {}
        body = get(lab, "users", realm=realm, max_results=page_size, **after).json()
        found += body["collection"]
        if not body["more_results"]:
            return found


def test_users_come_in_pages_sorted_by_id_each_once(lab: AuthRocketLab) -> None:
    first = get(lab, "users").json()
    assert (len(first["collection"]), first["more_results"]) == (100, True)
    for page_size in (1_000, 100, 25):
        found = [user["id"] for user in read_all(lab, page_size)]
        assert len(found) == len(set(found)) == 250
        assert found == sorted(found)


def test_jim_shorts_is_among_them_and_custom_comes_when_asked_for(lab: AuthRocketLab) -> None:
    # AR-10
    jim = next(user for user in read_all(lab, 1_000) if user["email"] == "jim.shorts@acorn.example")
    assert (jim["first_name"], jim["last_name"], jim["name"], jim["state"]) == ("Jim", "Shorts", "Jim Shorts", "active")
    assert "custom" not in jim
    expanded = get(lab, f"users/{jim['id']}", expand="custom, memberships").json()
    assert expanded["custom"] == {"department": "Site Operations", "cost_centre": "0042"}
    assert isinstance(expanded["memberships"], list)
    assert get(lab, "users/JIM.SHORTS@acorn.example").json()["id"] == jim["id"]


def test_the_population_has_the_gaps_of_real_ones_and_is_the_same_at_every_start(lab: AuthRocketLab) -> None:
    found = list(AuthRocketLab().realm().users.values())
    assert found == list(AuthRocketLab().realm().users.values())
    assert any(user["email"] is None for user in found)
    assert any(user["first_name"] is None and user["last_name"] is None for user in found)
    assert any(user["last_name"] is None and user["first_name"] for user in found)
    assert any(user["username"] for user in found)
    assert any(user["state"] == "inactive" for user in found)
    assert any((user["email"] or "").lower() != (user["email"] or "") for user in found)
    assert any(user["last_login_at"] is None for user in found)
    assert any(user["created_at"] % 1 for user in found)
    assert all(user["name"] for user in found)
    addresses = [user["email"].lower() for user in found if user["email"]]
    assert len(addresses) == len(set(addresses))
    assert len({ord(letter) // 256 for user in found for letter in user["name"]}) > 8  # scripts


def test_five_thousand_users_begin_with_the_same_two_hundred_and_fifty() -> None:
    with AuthRocketLab(user_count=5_000) as large:
        found = {user["id"] for user in read_all(large, 1_000)}
    assert len(found) == 5_000
    assert found > set(AuthRocketLab().realm().users)


def test_both_header_forms_carry_the_key(lab: AuthRocketLab) -> None:
    headers = {"Accept": "application/json", "Authorization": f"Bearer {READ_KEY}", "Authrocket-Realm": ACORN_REALM}
    assert requests.get(f"{lab.url}/users", headers=headers, timeout=10).status_code == 200
    assert lab.journal[-1].key_header == "Authorization"
    assert READ_KEY not in json.dumps([vars(line) for line in lab.journal], default=str)


@pytest.mark.parametrize(
    ("path", "options", "status", "message"),
    [
        ("users", {"key": "ks_unknown"}, 403, "API authentication failed"),
        ("users", {"key": WRITE_ONLY_KEY}, 403, "API key lacks the read permission"),
        ("users", {"key": LAPSED_KEY}, 402, "AuthRocket subscription is not active"),
        ("users", {"key": ACORN_ONLY_KEY, "realm": ST_JOHNS_REALM}, 404, "Not found"),
        ("users", {"realm": "rl_nowhere"}, 404, "Not found"),
        ("users/usr_nobody", {}, 404, "Not found"),
        ("nonsense", {}, 404, "Not found"),
        ("users", {"realm": None}, 422, "Realm can't be blank"),
        ("users", {"max_results": 0}, 422, "Max results must be between 1 and 1000"),
        ("users", {"max_results": 1001}, 422, "Max results must be between 1 and 1000"),
        ("memberships", {}, 422, "Either org_id or user_id is required"),
    ],
)
def test_refusals_carry_the_documented_status(
    lab: AuthRocketLab, path: str, options: dict[str, Any], status: int, message: str
) -> None:
    response = get(lab, path, **options)
    assert response.status_code == status
    assert response.json() == ({"errors": [message]} if status == 422 else {"error": message})


def test_a_request_that_does_not_ask_for_json_is_refused(lab: AuthRocketLab) -> None:
    headers = {"Authrocket-Api-Key": READ_KEY, "Authrocket-Realm": ACORN_REALM}
    assert requests.get(f"{lab.url}/users", headers=headers, timeout=10).status_code == 406


def test_a_key_locked_to_a_realm_needs_no_realm(lab: AuthRocketLab) -> None:
    assert get(lab, "users", key=ACORN_ONLY_KEY, realm=None).status_code == 200
    assert [one["id"] for one in get(lab, "realms", key=ACORN_ONLY_KEY).json()["collection"]] == [ACORN_REALM]
    assert {one["id"] for one in get(lab, "realms").json()["collection"]} == {ACORN_REALM, ST_JOHNS_REALM}


def test_orgs_and_memberships_are_listed_with_the_other_side(lab: AuthRocketLab) -> None:
    orgs = get(lab, "orgs").json()["collection"]
    of_org = get(lab, "memberships", org_id=orgs[0]["id"], max_results=1_000).json()["collection"]
    assert of_org
    assert all(one["user"]["id"] == one["user_id"] for one in of_org)
    of_user = get(lab, "memberships", user_id=of_org[0]["user_id"]).json()["collection"]
    assert all(one["org"]["id"] == one["org_id"] for one in of_user)


def test_a_fault_strikes_the_page_it_is_meant_for_and_once(lab: AuthRocketLab) -> None:
    lab.script("status", status=429, page=2, retry_after="7")
    first = get(lab, "users").json()["collection"]
    second = get(lab, "users", after=first[-1]["id"])
    assert (second.status_code, second.headers["Retry-After"]) == (429, "7")
    again = get(lab, "users", after=first[-1]["id"])
    assert again.status_code == 200
    assert [line.page for line in lab.journal[-3:]] == [1, 2, 2]
    assert [line.fault for line in lab.journal[-3:]] == [None, "status", None]


def test_validation_errors_come_as_a_list(lab: AuthRocketLab) -> None:
    lab.script("status", status=422, errors=("Email is invalid", "Name is too long"))
    assert get(lab, "users").json() == {"errors": ["Email is invalid", "Name is too long"]}


def test_connections_break_in_every_way(lab: AuthRocketLab) -> None:
    lab.script("reset")
    with pytest.raises(requests.ConnectionError, match="reset"):
        get(lab, "users")
    lab.script("truncated")
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        get(lab, "users")
    lab.script("malformed")
    with pytest.raises(requests.exceptions.JSONDecodeError):
        get(lab, "users").json()
    lab.script("hang", seconds=0.2)
    started = time.monotonic()
    assert get(lab, "users").status_code == 200
    assert time.monotonic() - started >= 0.2


def test_pages_repeat_or_stand_still_when_told(lab: AuthRocketLab) -> None:
    first = get(lab, "users").json()["collection"]
    lab.script("repeat_page")
    assert get(lab, "users", after=first[-1]["id"]).json() == {"collection": first, "more_results": True}
    lab.script("stuck_page", page=2)
    assert get(lab, "users", after=first[-1]["id"]).json() == {"collection": [], "more_results": True}


def test_the_realm_changes_while_its_pages_are_read() -> None:
    with AuthRocketLab() as lab:
        first = get(lab, "users").json()["collection"]

        def change() -> None:
            lab.remove_user(first[-1]["id"])
            lab.add_user(email="new@acorn.example")

        lab.on_page(2, change)
        found = read_all(lab, 100)
        # The user that `after` names is gone by then, and still nobody is skipped.
        everyone = set(lab.realm().users)
        assert len({user["id"] for user in found} - everyone) == 1
        assert len(everyone - {user["id"] for user in found}) <= 1
        changed = lab.change_user(found[0]["id"], state="inactive")
        assert get(lab, f"users/{changed['id']}").json()["state"] == "inactive"
        assert {event["event_type"] for event in get(lab, "events").json()["collection"]} == {
            "user.created",
            "user.deleted",
            "user.updated",
        }


def test_it_speaks_https_with_the_labs_certificate(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    certificate, private_key, bundle = tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "ca.pem"
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    private_key.write_bytes(issued.private_key_pem.bytes())
    bundle.write_bytes(authority.cert_pem.bytes())
    with AuthRocketLab(certificate=certificate, private_key=private_key, user_count=3) as lab:
        assert lab.url.startswith("https://localhost:")
        headers = {"Accept": "application/json", "Authrocket-Api-Key": ADMIN_KEY, "Authrocket-Realm": ACORN_REALM}
        with socket.create_connection(("localhost", lab.port)):  # says nothing, and holds nobody up
            found = requests.get(f"{lab.url}/users", headers=headers, timeout=10, verify=str(bundle))
        assert len(found.json()["collection"]) == 3
        lab.script("reset")
        with pytest.raises(requests.ConnectionError):
            requests.get(f"{lab.url}/users", headers=headers, timeout=10, verify=str(bundle))


def test_it_is_scripted_by_http_too(lab: AuthRocketLab) -> None:
    control = lab.url.removesuffix("/v2") + "/_lab"
    requests.post(
        f"{control}/script", json={"kind": "status", "status": 503, "times": 2}, timeout=10
    ).raise_for_status()
    assert [get(lab, "users").status_code for _ in range(3)] == [503, 503, 200]
    users = f"{control}/realms/{ST_JOHNS_REALM}/users"
    made = requests.post(users, json={"email": "head@stjohns.example"}, timeout=10).json()
    assert requests.patch(f"{users}/{made['id']}", json={"last_name": "Head"}, timeout=10).json()["last_name"] == "Head"
    assert requests.delete(f"{users}/{made['id']}", timeout=10).status_code == 200
    assert requests.get(f"{control}/journal", timeout=10).json()[-1]["path"] == "/v2/users"
