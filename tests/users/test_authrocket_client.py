"""Reading a realm from the stand-in over TLS: pages, keys, refusals, faults at any page, users changing meanwhile."""

import itertools
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import responses

from lab.emulators.authrocket import ACORN_ONLY_KEY, LAPSED_KEY, READ_KEY, ST_JOHNS_REALM, WRITE_ONLY_KEY, AuthRocketLab
from lab.emulators.key_vault.authority import CertificateAuthority
from shared.errors import MisconfiguredError, TryLaterError
from shared.reasons import Reason
from shared.users.authrocket.client import AuthRocket, in_order, moment
from shared.users.authrocket.http import (
    AuthRocketCalls,
    Deadline,
    EndpointAccess,
    SecretProvider,
    _number,
    _whole_number,
)
from shared.users.model import Membership
from tests.users.conftest import Connect, Time, Vault
from tests.users.desk import ON_LOOPBACK


def ids(api: AuthRocket) -> list[str]:
    return [user.id for page in api.users() for user in page]


@pytest.mark.parametrize("page_size", [100, 1000])
def test_five_thousand_users_are_read_once_each_over_pages(
    new_lab: Callable[..., AuthRocketLab], connect: Connect, page_size: int
) -> None:
    lab = new_lab(5_000)
    found = ids(connect(on=lab, page_size=page_size))
    assert len(found) == len(set(found)) == 5_000
    assert set(found) == set(lab.realm().users)
    assert len(lab.journal) == 5_000 // page_size
    assert {line.query["expand"] for line in lab.journal} == {"custom"}


def test_jim_shorts_comes_with_names_and_address(connect: Connect) -> None:  # AR-12
    users = {user.fields.get("email"): user for page in connect().users() for user in page}
    jim = users["jim.shorts@acorn.example"]
    assert jim.active
    assert (jim.fields["first_name"], jim.fields["last_name"], jim.fields["name"]) == ("Jim", "Shorts", "Jim Shorts")
    assert jim.fields["email_domain"] == "acorn.example"
    assert jim.fields["custom"] == {"department": "Site Operations", "cost_centre": "0042"}
    # Times are numbers with decimals.
    assert jim.fields["created_at"] == "2024-06-13T09:20:00Z"
    assert jim.fields["last_login_at"] == "2025-10-09T08:53:20.125Z"


def test_addresses_with_capitals_are_read_in_lower_case(lab: AuthRocketLab, connect: Connect) -> None:
    lab.add_user(email="Old.Address@Acorn.Example", first_name="Old")
    addresses = [user.fields.get("email") for page in connect().users() for user in page]
    assert "old.address@acorn.example" in addresses
    assert not [address for address in addresses if address and address != address.lower()]


def test_users_without_names_or_address_have_what_there_is(lab: AuthRocketLab, connect: Connect) -> None:
    agent = lab.add_user(username="agent-7", name="")
    bare = lab.add_user(name=None)
    users = {user.id: user for page in connect().users() for user in page}
    assert users[agent["id"]].fields["name"] == "agent-7"
    assert users[bare["id"]].fields["name"] == bare["id"]
    assert "email" not in users[agent["id"]].fields
    assert "email_domain" not in users[agent["id"]].fields


@pytest.mark.parametrize(("bearer", "header"), [(False, "Authrocket-Api-Key"), (True, "Authorization")])
def test_the_key_travels_in_either_header(lab: AuthRocketLab, connect: Connect, bearer: bool, header: str) -> None:
    assert len(ids(connect(bearer=bearer))) == 250
    assert {(line.key_header, line.realm_id) for line in lab.journal} == {(header, lab.realm_id)}


def test_a_netrc_of_the_host_does_not_replace_the_key(
    connect: Connect, tmp_path: "pytest.TempPathFactory", monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = str(tmp_path) + "/netrc"
    with open(netrc, "w", encoding="utf-8") as file:  # noqa: PTH123 - a plain file of the host
        file.write("machine localhost login stranger password strange\n")
    monkeypatch.setenv("NETRC", netrc)
    assert len(ids(connect(bearer=True))) == 250


REFUSALS = [
    (402, Reason.AUTHROCKET_SUBSCRIPTION_INACTIVE, "subscription is not active"),
    (403, Reason.AUTHROCKET_KEY_REFUSED, "lacks the read permission"),
    (404, Reason.AUTHROCKET_NOT_FOUND, "realm is perhaps another one"),
    (422, Reason.AUTHROCKET_REQUEST_REFUSED, "After is not there; Realm is frozen"),
    (400, Reason.AUTHROCKET_REQUEST_REFUSED, "answered 400"),
]


@pytest.mark.parametrize("page", [1, 2, 3])
@pytest.mark.parametrize(("status", "reason", "words"), REFUSALS)
def test_each_refusal_is_told_apart_at_any_page(
    lab: AuthRocketLab, connect: Connect, status: int, reason: Reason, words: str, page: int
) -> None:
    errors = ("After is not there", "Realm is frozen") if status == 422 else ("no",)
    lab.script("status", status=status, page=page, errors=errors, times=None)
    pages = connect().users()
    got = list(itertools.islice(pages, page - 1))
    assert [len(one) for one in got] == [100] * (page - 1)
    with pytest.raises(MisconfiguredError) as caught:
        next(pages)
    assert caught.value.reason is reason
    assert words in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("key", "realm", "reason"),
    [
        (LAPSED_KEY, None, Reason.AUTHROCKET_SUBSCRIPTION_INACTIVE),
        (WRITE_ONLY_KEY, None, Reason.AUTHROCKET_KEY_REFUSED),
        ("ks_unknown", None, Reason.AUTHROCKET_KEY_REFUSED),
        (READ_KEY, "rl_unknown", Reason.AUTHROCKET_NOT_FOUND),
        (ACORN_ONLY_KEY, ST_JOHNS_REALM, Reason.AUTHROCKET_NOT_FOUND),
    ],
)
def test_a_wrong_or_weak_key_or_realm_is_said(connect: Connect, key: str, realm: str | None, reason: Reason) -> None:
    with pytest.raises(MisconfiguredError) as caught:
        ids(connect(key=key, realm=realm))
    assert caught.value.reason is reason
    assert key not in str(caught.value)


def test_a_key_that_was_replaced_in_the_vault_is_read_again_once(connect: Connect) -> None:
    vault = Vault(["ks_old", READ_KEY])
    assert len(ids(connect(key=vault))) == 250
    assert vault.refusals == 1


def test_a_key_that_is_still_refused_is_not_tried_for_ever(lab: AuthRocketLab, connect: Connect) -> None:
    vault = Vault(["ks_old", "ks_older", READ_KEY])
    with pytest.raises(MisconfiguredError):
        ids(connect(key=vault))
    assert len(lab.journal) == 2


def test_a_secret_that_is_no_key_is_said_without_sending_or_showing_it(lab: AuthRocketLab, connect: Connect) -> None:
    with pytest.raises(MisconfiguredError) as caught:
        ids(connect(key='{"api_key": "ks_1\n"}'))
    assert "ks_1" not in str(caught.value)
    assert lab.journal == []


def test_an_answer_that_repeats_the_key_is_shown_without_it(lab: AuthRocketLab, connect: Connect) -> None:
    lab.script("status", status=422, errors=(f"the key {READ_KEY} is odd",))
    with pytest.raises(MisconfiguredError) as caught:
        ids(connect())
    assert READ_KEY not in str(caught.value)
    assert "are left out" in str(caught.value)


@pytest.mark.parametrize("page", [1, 2, 3])
def test_throttling_is_waited_out_as_long_as_it_asks(
    lab: AuthRocketLab, connect: Connect, clock: Time, page: int
) -> None:
    lab.script("status", status=429, page=page, times=7, retry_after="30")
    assert len(ids(connect())) == 250
    assert clock.waits == [30.0] * 7


def test_a_failure_that_says_when_to_come_back_is_waited_for_a_few_times(
    lab: AuthRocketLab, connect: Connect, clock: Time
) -> None:
    lab.script("status", status=503, page=2, times=3, retry_after="20")
    assert len(ids(connect())) == 250
    assert clock.waits == [20.0] * 3
    lab.script("status", status=503, times=None, retry_after="20")
    with pytest.raises(TryLaterError):
        ids(connect())


def test_throttling_for_longer_than_a_part_may_be_silent_is_left_to_the_queue(
    lab: AuthRocketLab, connect: Connect, clock: Time
) -> None:
    lab.script("status", status=429, times=None, retry_after="100")
    with pytest.raises(TryLaterError):
        ids(connect())
    assert clock.waits == [100.0] * 4


def test_throttling_beyond_the_deadline_is_left_to_the_queue(lab: AuthRocketLab, connect: Connect, clock: Time) -> None:
    lab.script("status", status=429, retry_after="2000", times=None)
    with pytest.raises(TryLaterError) as caught:
        ids(connect())
    assert (caught.value.reason, caught.value.retry_after) == (Reason.AUTHROCKET_THROTTLED, 2000)
    assert clock.waits == []


@pytest.mark.parametrize("page", [1, 2, 3])
@pytest.mark.parametrize("kind", ["reset", "truncated", "malformed", "500", "503"])
def test_a_passing_fault_at_any_page_passes(lab: AuthRocketLab, connect: Connect, kind: str, page: int) -> None:
    if kind.isdigit():
        lab.script("status", status=int(kind), page=page, times=2)
    else:
        lab.script(kind, page=page, times=2)  # type: ignore[arg-type] # the parameters are kinds
    assert len(ids(connect())) == 250


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("reset", Reason.AUTHROCKET_UNREACHABLE),
        ("truncated", Reason.AUTHROCKET_UNREACHABLE),
        ("malformed", Reason.AUTHROCKET_ANSWER_UNREADABLE),
        ("status", Reason.AUTHROCKET_FAILED),
        ("repeat_page", Reason.AUTHROCKET_PAGING_STUCK),
        ("stuck_page", Reason.AUTHROCKET_PAGING_STUCK),
    ],
)
def test_a_fault_that_stays_ends_the_reading_without_an_end(
    lab: AuthRocketLab, connect: Connect, kind: str, reason: Reason
) -> None:
    lab.script(kind, page=3, times=None)  # type: ignore[arg-type] # the parameters are kinds
    pages = connect().users()
    assert [len(next(pages)), len(next(pages))] == [100, 100]
    with pytest.raises(TryLaterError) as caught:
        next(pages)
    assert caught.value.reason is reason
    assert len(lab.journal) <= 6


@pytest.mark.parametrize("kind", ["repeat_page", "stuck_page"])
def test_a_page_that_once_does_not_lead_on_is_asked_for_again(lab: AuthRocketLab, connect: Connect, kind: str) -> None:
    lab.script(kind, page=2)  # type: ignore[arg-type] # the parameters are kinds
    found = ids(connect())
    assert len(found) == len(set(found)) == 250


def test_a_silence_is_not_waited_for_longer_than_there_is_time(lab: AuthRocketLab) -> None:
    lab.script("hang", seconds=20, times=None)
    import time

    began = time.monotonic()
    calls = AuthRocketCalls(
        EndpointAccess(lab.url, lab.realm_id),
        SecretProvider(lambda: READ_KEY, lambda: None),
        Deadline(0.5, time.monotonic),
        session=ON_LOOPBACK.session(()),
        sleep=time.sleep,
    )
    with pytest.raises(TryLaterError) as caught:
        calls.get("users")
    assert caught.value.reason is Reason.AUTHROCKET_UNREACHABLE
    assert time.monotonic() - began < 5


def test_users_that_change_while_pages_are_read_are_met_at_most_once(lab: AuthRocketLab, connect: Connect) -> None:
    users = sorted(lab.realm().users)

    def upheaval() -> None:
        lab.remove_user(users[99])  # the very user that `after` names
        lab.remove_user(users[240])
        lab.add_user(email="new@acorn.example")
        lab.change_user(users[150], email="changed@acorn.example", state="inactive")

    lab.on_page(2, upheaval)
    found = [user for page in connect().users() for user in page]
    assert len({user.id for user in found}) == len(found)
    assert users[240] not in {user.id for user in found}
    assert next(user for user in found if user.id == users[150]).active is False


def test_users_of_another_realm_do_not_come_in(lab: AuthRocketLab, connect: Connect) -> None:
    stranger = dict(lab.find_user("jim.shorts@acorn.example"), id="usr_stranger", realm_id=ST_JOHNS_REALM)
    lab.realm().users["usr_stranger"] = stranger
    assert "usr_stranger" not in ids(connect())
    assert connect().find_user("usr_stranger") is None


def test_one_user_and_one_event_are_found_or_not(lab: AuthRocketLab, connect: Connect) -> None:
    jim = lab.find_user("jim.shorts@acorn.example")
    event = lab.realms.event(lab.realm_id, "user.updated", user_id=jim["id"])
    api = connect()
    user = api.find_user(jim["id"])
    assert user is not None
    assert user.fields["custom"]["department"] == "Site Operations"
    found = api.find_event(event["id"])
    assert found is not None
    assert (found.type, found.user_id, found.concerns_people) == ("user.updated", jim["id"], True)
    assert api.find_user("usr_none") is None
    assert api.find_event("ev_none") is None


def test_an_id_from_a_stranger_cannot_lead_to_another_address(lab: AuthRocketLab, connect: Connect) -> None:
    assert connect().find_event("../users?x=1#y") is None
    assert not any(line.path == "/v2/users" for line in lab.journal)


def test_memberships_come_by_organisation_and_by_user_alike(lab: AuthRocketLab, connect: Connect) -> None:
    api = connect(page_size=20)
    everybody: dict[str, list[Membership]] = {}
    for page in api.memberships():
        for user_id, membership in page:
            everybody.setdefault(user_id, []).append(membership)
    assert sum(map(len, everybody.values())) == len(lab.realm().memberships)
    for user_id in list(lab.realm().users)[:20]:
        assert api.memberships_of(user_id) == in_order(everybody.get(user_id, []))
    expiring = [one for found in everybody.values() for one in found if one.expires_at]
    assert {str(one.expires_at) for one in expiring} == {"2030-01-01 00:00:00+00:00"}


def test_an_untrusted_certificate_is_said_and_nothing_is_sent(
    lab: AuthRocketLab, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(MisconfiguredError) as caught:
        ids(connect())
    assert caught.value.reason is Reason.AUTHROCKET_CERTIFICATE_UNTRUSTED
    assert lab.journal == []


def test_nobody_there_is_said(connect: Connect, clock: Time) -> None:
    with pytest.raises(TryLaterError) as caught:
        ids(connect(url="https://localhost:1/v2"))
    assert caught.value.reason is Reason.AUTHROCKET_UNREACHABLE
    assert len(clock.waits) == 3


class _Elsewhere(BaseHTTPRequestHandler):
    """Redirects to wherever its server says, and remembers what it was sent."""

    def do_GET(self) -> None:
        self.server.seen.append(dict(self.headers))  # type: ignore[attr-defined] # set below
        self.send_response(307)
        self.send_header("Location", self.server.target)  # type: ignore[attr-defined] # set below
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        return


@pytest.fixture
def redirecting(authority: CertificateAuthority, trusted: None) -> "object":
    server = HTTPServer(("127.0.0.1", 0), _Elsewhere)
    server.socket = authority.server_context().wrap_socket(server.socket, server_side=True)
    server.seen = []  # type: ignore[attr-defined] # of this test
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    "target",
    [
        "http://localhost:{port}/v2/users",
        "https://elsewhere.example/v2/users",
        f"https://{READ_KEY.replace('_', '-')}.elsewhere.example/v2",
        "/v2/users",
    ],
)
def test_redirects_never_take_the_key_to_http_or_to_a_stranger(
    redirecting: HTTPServer, connect: Connect, target: str
) -> None:
    port = redirecting.server_address[1]
    redirecting.target = target.format(port=port)  # type: ignore[attr-defined] # read by the handler
    with pytest.raises(MisconfiguredError) as caught:
        ids(connect(url=f"https://localhost:{port}/v2"))
    assert caught.value.reason is Reason.AUTHROCKET_REDIRECTED
    # What another server says is its host may be the key.
    assert "elsewhere" not in str(caught.value)
    # A redirect that stays on the host is followed, a few times.
    assert len(redirecting.seen) == (4 if target.startswith("/") else 1)  # type: ignore[attr-defined] # by the handler


@responses.activate
@pytest.mark.parametrize(
    "body", ["[]", "{}", '{"collection": {}}', '{"collection": [1]}', '{"collection": [{}]}', "null"]
)
def test_an_answer_of_another_form_is_no_page(connect: Connect, body: str) -> None:
    responses.get("https://api.example/v2/users", body=body, content_type="application/json")
    with pytest.raises(MisconfiguredError) as caught:
        ids(connect(url="https://api.example/v2"))
    assert caught.value.reason is Reason.AUTHROCKET_ANSWER_UNREADABLE


@responses.activate
def test_an_odd_user_is_one_user_and_the_others_of_the_page_come_in(connect: Connect) -> None:
    odd: list[Any] = [None, 7, {"name": "nobody"}, {"id": "usr_3", "realm_id": ["x"]}]
    page = [{"id": "usr_1", "state": "active"}, *odd, {"id": "usr_2", "email": {"x": 1}, "custom": 3}, {"id": None}]
    responses.get("https://api.example/v2/users", json={"collection": page, "more_results": True})
    responses.get("https://api.example/v2/users", json={"collection": [{"id": "usr_9"}], "more_results": False})
    found = ids(connect(url="https://api.example/v2"))
    assert [one for one in found if one] == ["usr_1", "usr_2", "usr_9"]
    assert found.count("") == 4


@responses.activate
def test_a_list_that_does_not_say_whether_there_is_more_is_read_to_an_empty_page(connect: Connect) -> None:
    for page in (["usr_1", "usr_2"], ["usr_3"], []):
        body = {"collection": [{"id": one, "state": "active", "name": one} for one in page]}
        responses.get("https://api.example/v2/users", json=body)
    assert ids(connect(url="https://api.example/v2")) == ["usr_1", "usr_2", "usr_3"]


@pytest.mark.parametrize("value", [None, True, "1718270400", float("nan"), float("inf"), 1e30, {}])
def test_what_is_no_time_is_none(value: object) -> None:
    assert moment(value) is None


def test_numbers_that_json_has_not_stay_texts_and_cost_no_other_user(lab: AuthRocketLab, connect: Connect) -> None:
    odd = lab.add_user(email="odd@acorn.example", custom={"cost": float("inf"), "share": float("nan")})
    users = {user.id: user for page in connect().users() for user in page}
    assert len(users) == 251
    assert users[odd["id"]].fields["custom"] == {"cost": "Infinity", "share": "NaN"}
    # Written out, they are no number either, and Python refuses to read very long ones at all.
    assert [_number("1e400"), _whole_number("9" * 5_000)] == ["1e400", "9" * 5_000]
    assert [_number("1.5"), _whole_number("15")] == [1.5, 15]
