"""Attacks of whoever holds the credential of a vault's webhook, or has a clock that is wrong."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from lab.attack.attack import Attack, Outcome
from lab.attack.target import Target
from lab.emulators.event_grid import make_event
from lab.following import follow_changes
from lab.story import VAULT

_YEAR_2100 = datetime(2100, 1, 1, tzinfo=UTC)
_FORGED_LINE = "FORGED-LOG-LINE"


def _tickets_of(target: Target, name: str, kind: str = "expiry") -> int:
    follow_changes(target.desk.connection_string)
    page = json.loads(target.as_administrator("GET", "/api/v1/tickets?limit=200").text)
    return sum(name in str(ticket) and ticket["kind"] == kind for ticket in page["items"])


def event_of_a_strange_vault(target: Target) -> Outcome:
    event = make_event("SecretExpired", vault="vault-of-a-stranger", name="strange-object")
    answer = target.with_webhook_credential(event)
    tickets = _tickets_of(target, "strange-object")
    return Outcome(tickets == 0, f"{answer}, {tickets} tickets")


def event_from_the_future(target: Target) -> Outcome:
    name = "silenced-by-the-future"
    now = datetime.now(UTC)
    future = make_event(
        "SecretNewVersionCreated",
        vault=VAULT,
        name=name,
        occurred_at=_YEAR_2100,
        expires_at=_YEAR_2100 + timedelta(days=365),
    )
    answer = target.with_webhook_credential(future)
    due = make_event("SecretNearExpiry", vault=VAULT, name=name, occurred_at=now, expires_at=now + timedelta(days=20))
    target.with_webhook_credential(due)
    tickets = _tickets_of(target, name)
    return Outcome(tickets > 0, f"{answer}, {tickets} ticket of the real expiry")


def line_in_the_log(target: Target) -> Outcome:
    name = f"x\n{_FORGED_LINE}\r\n{_FORGED_LINE}\u2028{_FORGED_LINE}"
    answers = [
        target.with_webhook_credential(make_event("SecretExpired", vault=vault, name=name)) for vault in (VAULT, name)
    ]
    answers.append(target.as_stranger("GET", f"/api/v1/settings/sites/x%0d%0a{_FORGED_LINE}"))
    answers.append(target.as_administrator("GET", f"/api/v1/settings/sites/x%0d%0a{_FORGED_LINE}"))
    answers.append(
        target.as_stranger("POST", "/api/events/key-vault", b"[]", {"aeg-subscription-name": f"x\t{_FORGED_LINE}"})
    )
    held = {answer.status for answer in answers} <= {200, 400, 401, 404}
    forged = [line for line in target.log_lines() if line.startswith(_FORGED_LINE)]
    return Outcome(held and not forged, f"{', '.join(dict.fromkeys(map(str, answers)))}; {len(forged)} forged lines")


def too_large_a_delivery(target: Target) -> Outcome:
    event = make_event("SecretExpired", vault=VAULT, name="x" * 2_000_000)
    answer = target.with_webhook_credential(event)
    return Outcome(answer.status == 413, str(answer))


ATTACKS: Sequence[Attack] = (
    Attack("event of a strange vault", "Key Vault webhook", event_of_a_strange_vault),
    Attack("event from the year 2100", "Key Vault webhook", event_from_the_future),
    Attack("line breaks for the log", "webhook, API", line_in_the_log),
    Attack("delivery of 2 MB", "Key Vault webhook", too_large_a_delivery),
)
