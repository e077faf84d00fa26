"""The webhook's door: who may deliver, which handshakes are answered, and which status tells Event Grid what."""

import base64
import json
import logging

import pytest

from lab.emulators.event_grid.events import make_event
from lab.emulators.event_grid.headers import MessageKind, notification_headers, system_headers
from lab.emulators.event_grid.subscription import EventSubscription
from shared.access.basic_auth import check_basic, parse_basic_header
from shared.errors import MisconfiguredError, TryLaterError
from shared.reasons import Reason
from shared.vaults.model import UserPassword
from tests.fakes.tables import MemoryTables, WatchedTables
from tests.tickets.desk import AUTHORIZATION, PAYLOADS, Desk, Passwords, configuration, pair, resource_id

VALIDATION = (PAYLOADS / "subscription_validation.json").read_bytes()
CODE = "512D38B6-0000-4000-8000-FA4E00C0DE00"
BOTH = {"credentials": {"current": {"credential": "new"}, "previous": {"credential": "old"}}}


def test_the_guides_own_example_is_accepted() -> None:  # KV-12
    assert pair("username", "password") == AUTHORIZATION
    assert Desk().post("[]").status == 200


@pytest.mark.parametrize(
    "header",
    [
        "",
        pair("Username", "password"),
        pair("username", "Password"),
        pair("username", "password "),
        pair("username", ""),
        pair("", ""),
        "Basic",
        "Basic !!!",
        "Basic dXNlcm5hbWU6cGFzc3dvcmQ",
        "Bearer dXNlcm5hbWU6cGFzc3dvcmQ=",
        "Basic dXNlcm5hbWU6cGFzc3dvcmQ= ,Basic x",
        "dXNlcm5hbWU6cGFzc3dvcmQ=",
        "Basic päss",
    ],
)
def test_every_other_credential_is_refused_and_case_matters(header: str) -> None:  # KV-04, KV-05, KV-13, KV-14
    desk = Desk()
    answer = desk.post_file("secret_near_expiry.json", authorization=header)
    assert answer.status == 401
    assert answer.body is not None
    assert answer.body["reason"] == "credential_refused"
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert desk.tickets() == []


def test_the_header_may_be_spelled_as_http_allows() -> None:  # KV-11
    desk = Desk()
    headers = {"AUTHORIZATION": "bAsIc  " + AUTHORIZATION.removeprefix("Basic "), "AEG-Event-Type": "notification"}
    assert desk.receive("post", headers, b"[]").status == 200


def test_a_password_beyond_ascii_and_with_colons_is_compared_as_bytes() -> None:
    desk = Desk(passwords=Passwords(webhook=("grüße", "a:b:ü😀")))
    assert desk.post("[]", authorization=pair("grüße", "a:b:ü😀")).status == 200
    latin = "Basic " + base64.b64encode("grüße:a:b:ü".encode("latin-1")).decode()
    assert desk.post("[]", authorization=latin).status == 401


def test_the_current_and_the_previous_pair_are_both_accepted() -> None:
    desk = Desk(configured=configuration(**BOTH), passwords=Passwords(new=("u", "two"), old=("u", "one")))
    assert desk.post("[]", authorization=pair("u", "one")).status == 200
    assert desk.post("[]", authorization=pair("u", "two")).status == 200
    assert desk.post("[]", authorization=pair("u", "three")).status == 401


def test_all_pairs_are_always_evaluated() -> None:
    read: list[str] = []

    class Reader:
        def read_pair(self, reference: str, user: str) -> UserPassword:
            assert user == "the document"
            read.append(reference)
            return UserPassword("u", reference)

        def invalidate(self, reference: str) -> None:
            raise AssertionError(reference)

    check_basic(b"u:first", ["first", "second"], Reader(), "the document")
    assert read == ["first", "second"]


def test_nothing_configured_means_nothing_accepted() -> None:
    desk = Desk()
    desk.configured = None
    assert desk.post("[]").status == 401
    assert desk.post(VALIDATION, aeg_event_type="SubscriptionValidation").status == 401
    assert desk.options(WebHook_Request_Origin="eventgrid.azure.net").status == 401


@pytest.mark.parametrize(
    "error",
    [
        TryLaterError(Reason.VAULT_UNREACHABLE, "The vault does not answer."),
        MisconfiguredError(Reason.VAULT_PERMISSION_MISSING, "Not allowed.", remedy="Give the role."),
    ],
)
def test_a_password_that_cannot_be_loaded_is_503_and_never_401(error: TryLaterError | MisconfiguredError) -> None:
    desk = Desk(passwords=Passwords(webhook=error))
    answer = desk.post_file("secret_near_expiry.json")
    assert answer.status == 503
    assert answer.body is not None
    assert answer.body["reason"] == "webhook_password_unreadable"
    assert "Retry-After" in answer.headers


def test_one_readable_pair_is_enough_when_it_fits_and_503_when_it_does_not() -> None:
    gone = MisconfiguredError(Reason.SECRET_NOT_FOUND, "There is no such secret.")
    desk = Desk(configured=configuration(**BOTH), passwords=Passwords(new=("u", "two"), old=gone))
    assert desk.post("[]", authorization=pair("u", "two")).status == 200
    assert desk.post("[]", authorization=pair("u", "one")).status == 503


def test_a_password_that_was_changed_a_moment_ago_is_read_anew_before_anyone_is_refused() -> None:
    passwords = Passwords(webhook=("u", "one"))
    desk = Desk(passwords=passwords)
    assert desk.post("[]", authorization=pair("u", "one")).status == 200
    passwords.pairs["webhook"] = ("u", "two")
    assert desk.post("[]", authorization=pair("u", "two")).status == 200


def test_no_password_shows_in_any_log_or_answer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    desk = Desk(passwords=Passwords(webhook=("the-user", "the-secret-password")))
    given = pair("the-user", "a-wrong-password")
    answers = [
        desk.post_file("batch_with_one_bad_event.json", authorization=pair("the-user", "the-secret-password")),
        desk.post("[]", authorization=given),
        desk.post("{", authorization=pair("the-user", "the-secret-password")),
    ]
    said = caplog.text + repr(answers) + repr(desk.tables.contents() if isinstance(desk.tables, MemoryTables) else "")
    for secret in ("the-secret-password", "a-wrong-password", given.removeprefix("Basic ")):
        assert secret not in said


def test_no_header_gives_no_credential() -> None:
    assert parse_basic_header(None) is None
    assert parse_basic_header("  ") is None


# Handshakes


def test_the_handshake_returns_the_code_with_a_credential() -> None:  # KV-15
    answer = Desk().post(VALIDATION, aeg_event_type="SubscriptionValidation")
    assert (answer.status, answer.body) == (200, {"validationResponse": CODE})


@pytest.mark.parametrize(("name", "status"), [("DESKBRIDGE-KV", 200), ("deskbridge-kv", 200), ("other", 401)])
def test_without_a_credential_the_subscription_must_be_on_the_list(name: str, status: int) -> None:
    answer = Desk().post(
        VALIDATION, aeg_event_type="SubscriptionValidation", aeg_subscription_name=name, authorization=""
    )
    assert answer.status == status


def test_a_wrong_credential_is_refused_even_when_the_subscription_is_on_the_list() -> None:
    headers = {"aeg_event_type": "SubscriptionValidation", "aeg_subscription_name": "deskbridge-kv"}
    assert Desk().post(VALIDATION, authorization=pair("u", "wrong"), **headers).status == 401


def test_the_strict_mode_demands_the_credential_always() -> None:
    desk = Desk(configured=configuration(strict_handshake=True))
    headers = {"aeg_event_type": "SubscriptionValidation", "aeg_subscription_name": "deskbridge-kv"}
    assert desk.post(VALIDATION, authorization="", **headers).status == 401
    assert desk.post(VALIDATION, **headers).status == 200
    origin = {"WebHook_Request_Origin": "eventgrid.azure.net"}
    assert desk.options(**origin).status == 401
    assert desk.options(**origin, authorization=AUTHORIZATION).status == 200


def test_a_notification_never_passes_as_a_handshake() -> None:
    desk = Desk()
    body = (PAYLOADS / "secret_near_expiry.json").read_bytes()
    headers = {"aeg_event_type": "SubscriptionValidation", "aeg_subscription_name": "deskbridge-kv"}
    assert desk.post(body, authorization="", **headers).status == 400
    assert desk.tickets() == []
    assert desk.post(body, authorization="", aeg_subscription_name="deskbridge-kv").status == 401


@pytest.mark.parametrize(
    "name", ["subscription_validation_two_events.json", "subscription_validation_without_code.json"]
)
def test_a_handshake_is_exactly_one_event_with_a_code(name: str) -> None:
    assert Desk().post_file(name, aeg_event_type="SubscriptionValidation").status == 400


@pytest.mark.parametrize(
    "code", ["<script>alert(1)</script>", "a\r\nX-Injected: 1", "code\n", "", "x" * 65, 7, None, ["a"]]
)
@pytest.mark.parametrize("authorization", [AUTHORIZATION, ""])
def test_what_is_no_code_is_not_said_back(code: object, authorization: str) -> None:
    [event] = json.loads(VALIDATION)
    body = [{**event, "data": {"validationCode": code}}]
    headers = {"aeg_event_type": "SubscriptionValidation", "aeg_subscription_name": "deskbridge-kv"}
    answer = Desk().post(body, authorization=authorization, **headers)
    assert answer.status == 400
    assert answer.body is not None
    assert answer.body["reason"] == "body_not_readable"
    assert "validationResponse" not in answer.body


def test_a_validation_event_without_a_credential_needs_the_subscriptions_name() -> None:
    """Only OPTIONS may come without a name: its answer names an origin that is allowed anyway."""
    desk = Desk()
    assert desk.post(VALIDATION, aeg_event_type="SubscriptionValidation", authorization="").status == 401
    assert desk.options(WebHook_Request_Origin="eventgrid.azure.net").status == 200


@pytest.mark.parametrize(
    ("topic", "status"),
    [
        (resource_id("acorn-vault"), 200),
        (resource_id("acorn-vault").upper(), 200),
        (resource_id("acorn-vault").split("/resourceGroups")[0], 200),
        (resource_id("oak-vault"), 401),
        ("/subscriptions/00000000-1111-4222-8333-0000000bad00", 401),
        (resource_id("acorn-vault").replace("c0de", "bad0"), 401),
        (resource_id("acorn-vault") + "\n", 200),
        (resource_id("acorn-vault") + "/x", 401),
        ("acorn-vault", 401),
        ("", 401),
        (None, 401),
    ],
)
def test_the_topic_of_a_validation_must_be_of_an_allowed_vault(topic: str | None, status: int) -> None:
    [event] = json.loads(VALIDATION)
    for authorization in (AUTHORIZATION, ""):
        headers = {"aeg_event_type": "SubscriptionValidation", "aeg_subscription_name": "deskbridge-kv"}
        answer = Desk().post([{**event, "topic": topic}], authorization=authorization, **headers)
        assert answer.status == status
        assert answer.body is not None
        if status == 401:
            # Who brings no credential is not told which vaults are allowed.
            assert answer.body["reason"] == ("vault_not_allowed" if authorization else "credential_refused")


def test_a_validation_url_is_never_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: object) -> None:
        raise AssertionError("the webhook called somebody")

    monkeypatch.setattr("socket.socket.connect", connect)
    assert Desk().post(VALIDATION, aeg_event_type="SubscriptionValidation").body == {"validationResponse": CODE}


def test_a_delivery_has_as_many_events_as_event_grid_puts_into_one() -> None:
    answer = Desk().post(b"[" + b",".join([b"0"] * 5_001) + b"]")
    assert answer.status == 413
    assert answer.body is not None
    assert answer.body["reason"] == "body_too_large"


def test_the_handshake_of_cloud_events_is_answered_with_the_headers_of_consent() -> None:
    answer = Desk().options(WebHook_Request_Origin="EventGrid.Azure.net", WebHook_Request_Rate="120")
    assert answer.status == 200
    assert answer.headers["WebHook-Allowed-Origin"] == "eventgrid.azure.net"
    assert answer.headers["WebHook-Allowed-Rate"] == "*"
    assert answer.headers["Allow"] == "POST, OPTIONS"


def test_another_origin_gets_no_consent_and_other_clouds_can_be_allowed() -> None:
    answer = Desk().options(WebHook_Request_Origin="evil.example")
    assert (answer.status, "WebHook-Allowed-Origin" in answer.headers) == (401, False)
    china = Desk(configured=configuration(allowed_origins=["eventgrid.azure.cn"]))
    assert china.options(WebHook_Request_Origin="eventgrid.azure.cn").status == 200
    assert china.options(WebHook_Request_Origin="eventgrid.azure.net").status == 401


def test_options_without_an_origin_says_only_what_is_allowed() -> None:
    answer = Desk().options()
    assert (answer.status, answer.headers["Allow"], answer.body) == (200, "POST, OPTIONS", None)
    assert "WebHook-Allowed-Origin" not in answer.headers


def test_an_options_without_a_credential_needs_a_list_of_subscriptions() -> None:
    assert (
        Desk(configured=configuration(subscriptions=[])).options(WebHook_Request_Origin="eventgrid.azure.net").status
        == 401
    )
    refused = Desk().options(WebHook_Request_Origin="eventgrid.azure.net", aeg_subscription_name="other")
    assert refused.status == 401


@pytest.mark.parametrize("name", ["subscription_deletion.json", "subscription_deletion_cloud_event.json"])
def test_the_deletion_of_a_subscription_is_noted_and_opens_no_ticket(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk()
    assert desk.post_file(name, aeg_event_type="SubscriptionDeletion").status == 200
    assert "eventSubscriptions/deskbridge-kv" in caplog.text
    assert desk.rows("") == []


def test_the_headers_of_the_lab_are_understood() -> None:
    subscription = EventSubscription(
        "https://desk.example/api/events/key-vault", headers={"Authorization": AUTHORIZATION}
    )
    desk = Desk()
    sent = system_headers(subscription, MessageKind.VALIDATION, event_id="1")
    assert desk.receive("POST", sent, VALIDATION).status == 200
    event = make_event("SecretNearExpiry", vault="acorn-vault", name="mail")
    body = json.dumps([event.to_json(subscription.schema)]).encode()
    notification = notification_headers(subscription, earlier_attempts=0, event_id="1")
    assert desk.receive("POST", notification, body).status == 200
    assert desk.ticket("mail")["status"] == "open"


# Status by meaning


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"null",
        b"1",
        b'"text"',
        b"[" * 100_000,
        b"1" * 5_000,
        b'{"a":' * 50_000,
    ],
)
def test_what_can_never_be_read_is_400(body: bytes) -> None:
    answer = Desk().post(body)
    assert answer.status == 400
    assert answer.body is not None
    assert answer.body["reason"] == "body_not_readable"


def test_a_body_over_the_limit_is_413_and_at_the_limit_it_is_read() -> None:
    desk = Desk(body_limit=100)
    assert desk.post(b"[" + b" " * 98 + b"]").status == 200
    assert desk.post(b"[" + b" " * 99 + b"]").status == 413


def test_storage_that_fails_is_503_and_the_next_delivery_makes_it_good() -> None:
    failing = True

    def fail(_table: str, _verb: str, _when: str) -> None:
        if failing:
            raise TryLaterError(Reason.STORAGE_UNAVAILABLE, "The table does not answer.")

    desk = Desk(WatchedTables(MemoryTables(), fail))
    assert desk.post_file("secret_near_expiry.json").status == 503
    assert desk.post_file("bad_event_without_id.json").status == 503
    failing = False
    assert desk.post_file("secret_near_expiry.json").status == 200
    assert desk.ticket("mail-password")["status"] == "open"


def test_a_bug_is_503_with_its_traceback_in_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    def stumble(_table: str, _verb: str, _when: str) -> None:
        raise RuntimeError("a secret detail")

    answer = Desk(WatchedTables(MemoryTables(), stumble)).post_file("secret_near_expiry.json")
    assert answer.status == 503
    assert "a secret detail" not in repr(answer)
    assert "a secret detail" in caplog.text


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD", "TRACE", ""])
def test_every_other_method_is_405(method: str) -> None:
    answer = Desk().receive(method, {"authorization": AUTHORIZATION}, b"")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST, OPTIONS")


def test_a_new_version_of_a_secret_is_told_to_the_cache_of_credentials() -> None:
    desk = Desk()
    desk.post_file("secret_new_version_created.json")
    desk.post_file("key_new_version_created.json")
    assert desk.changed_secrets == [("acorn-vault", "mail-password")]


def test_the_same_event_id_with_another_content_is_decided_too() -> None:
    desk = Desk()
    event = json.loads((PAYLOADS / "secret_near_expiry.json").read_bytes())[0]
    desk.post([event])
    other = {**event, "eventType": "Microsoft.KeyVault.SecretExpired"}
    assert desk.post([other]).body == {"recorded": 1, "quarantined": 0}
    assert desk.ticket("mail-password")["priority"] == "high"
    assert len(desk.rows("event:")) == 2


def test_an_event_that_no_row_can_hold_is_quarantined_and_its_neighbours_are_stored() -> None:
    desk = Desk()
    good = make_event("SecretNearExpiry", vault="acorn-vault", name="good").to_json(
        EventSubscription("https://x.example").schema
    )
    huge = {**good, "id": "huge", "padding": "x" * 300_000, "topic": "nowhere"}
    assert desk.post([huge, good]).body == {"recorded": 1, "quarantined": 1}
    kept = desk.quarantine.get(str(desk.rows("at:")[0]["item_id"]))
    assert kept.event is None
    assert len(kept.text) == 200_000
