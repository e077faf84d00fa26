"""Attacks on a realm's API key: sent to a host of the attacker's, or handed back by one and kept in a row."""

import base64
import json
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.emulators.authrocket import READ_KEY, AuthRocketLab
from shared import bootstrap
from shared.bootstrap.kinds import KINDS
from shared.errors import InvalidInputError, MisconfiguredError
from shared.hosts import AllowedHosts
from shared.reasons import Reason
from shared.settings.store import SettingsStore
from shared.storage.tables import scan
from shared.users.authrocket.client import AuthRocket
from shared.users.checks import check_realm
from shared.users.source import Clock, Realms
from shared.users.webhook import AuthRocketWebhook
from shared.vaults.echo import SecretEcho
from shared.vaults.model import UserPassword
from tests.users.conftest import Connect
from tests.users.desk import ON_LOOPBACK, WEBHOOK, Desk

KEY = "ks_4vZkCEQqCnSGwJOXwMdtIk0aB3"
ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "upper case": str.upper,
    "reversed": lambda text: text[::-1],
    "hexadecimal": lambda text: text.encode().hex(),
    "Base64": lambda text: base64.b64encode(text.encode()).decode(),
    "Base64 of more": lambda text: base64.b64encode(f"x:{text}:y".encode()).decode(),
    "Base64 for addresses": lambda text: base64.urlsafe_b64encode(f"??{text}".encode()).decode(),
    "Base32": lambda text: base64.b32encode(text.encode()).decode(),
    "URL-encoded": lambda text: quote(text, safe=""),
    "URL-encoded throughout": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "its first half": lambda text: text[: len(text) // 2],
    "its second half": lambda text: text[len(text) // 2 :],
    "reversed Base64": lambda text: base64.b64encode(text[::-1].encode()).decode(),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_repeated_key_is_found_however_it_is_written(encoding: str) -> None:
    assert SecretEcho(KEY).is_in(f"before {ENCODINGS[encoding](KEY)} after")


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=300))
def test_nothing_else_is_taken_for_the_key(text: str) -> None:
    assert SecretEcho(KEY).is_in(text) == any(part in text.casefold() for part in _folded_parts())


def _folded_parts() -> list[str]:
    return [form.casefold() for form in SecretEcho(KEY)._forms]


@pytest.mark.parametrize("escaped", [False, True])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_endpoint_that_hands_the_key_back_gives_no_row_and_no_word(
    encoding: str, escaped: bool, lab: AuthRocketLab, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="shared")
    desk = Desk(lab)
    desk.set_up()
    jim = lab.find_user("jim.shorts@acorn.example")["id"]
    text = ENCODINGS[encoding](READ_KEY)
    lab.change_user(jim, last_name=text, reference=text)
    summary = desk.run()
    stored = json.dumps([row.values for row in scan(desk.tables.table("users"), [])], default=str)
    told = stored + repr(summary) + json.dumps(desk.entries(summary), default=str) + caplog.text
    runs = json.dumps([row.values for row in scan(desk.tables.table("runs"), [])], default=str)
    assert text not in told + runs
    assert "authrocket_key_echoed" in runs
    assert desk.users() == {}


def test_words_of_a_refusal_are_looked_through_before_they_are_cut(lab: AuthRocketLab, connect: Connect) -> None:
    api: AuthRocket = connect()
    lab.script("status", status=422, errors=("x" * 290 + READ_KEY,))
    with pytest.raises(MisconfiguredError) as caught:
        list(api.users())
    assert READ_KEY[:8] not in str(caught.value)


def unlisted(lab: AuthRocketLab) -> Desk:
    """A desk whose deployer allows no other hosts than AuthRocket's, with a realm at the attacker's server in its
    table."""
    desk = Desk(lab)
    desk.set_up(webhook=WEBHOOK)
    desk.realms = Realms(desk.settings, desk.secrets, ON_LOOPBACK, Clock(sleep=desk.waits.append), AllowedHosts())
    desk.source._realms = desk.realms
    return desk


def test_the_key_goes_to_no_other_host_at_any_door(lab: AuthRocketLab) -> None:
    """The import, the check and the webhook: nothing reaches the server, and the key is not even read."""
    desk = unlisted(lab)
    desk.secrets.pairs["webhook"] = UserPassword("authrocket", "right")
    found = check_realm("customers", desk.realms)
    assert (found.ok, found.reason) == (False, "host_not_allowed")
    desk.run()
    runs = json.dumps([row.values for row in scan(desk.tables.table("runs"), [])], default=str)
    assert "host_not_allowed" in runs
    users = desk.tables.table("users")
    webhook = AuthRocketWebhook(desk.settings, desk.secrets, desk.realms, desk.source, users, desk.runs, desk.now)
    header = "Basic " + base64.b64encode(b"authrocket:right").decode()
    with pytest.raises(MisconfiguredError) as caught:
        webhook.receive("customers", header, b'{"id": "ev_1", "event_type": "user.updated"}')
    assert caught.value.reason is Reason.HOST_NOT_ALLOWED
    assert lab.journal == []


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/v2",
        "https://api-e2.authrocket.com.evil.example/v2",
        "https://evilauthrocket.com/v2",
        "https://authrocket.com/v2",
        "https://a.b.authrocket.com/v2",
        "https://ａpi.authrocket.com/v2",
        "https://localhost/v2",
        "https://127.0.0.1:8443/v2",
        "https://[::1]/v2",
        "https://169.254.169.254/v2",
    ],
)
def test_a_realm_with_a_strange_host_is_refused_when_written(url: str, lab: AuthRocketLab) -> None:
    desk = Desk(lab)
    desk.set_up()
    checks = bootstrap.settings_checks(AllowedHosts())
    guarded = SettingsStore(desk.tables.table("settings"), KINDS, desk.now, checks=checks)
    document: dict[str, Any] = {
        "title": "Evil",
        "endpoint_url": url,
        "api_key": {"in_place": {"store": "vault", "secret": "authrocket"}},
        "realm": "rl_evil",
        "default_site": "leeds",
    }
    with pytest.raises(InvalidInputError) as caught:
        guarded.put("authrocket-realms", "evil", document, by="attacker", if_match="*")
    assert "endpoint_url" in [fault.path for fault in caught.value.faults]
    document["endpoint_url"] = "https://api-e2.authrocket.com./v2"
    guarded.put("authrocket-realms", "good", document, by="operator", if_match="*")
