"""Attacks of whoever knows the desk's address and nothing else."""

import json
import re
from collections.abc import Sequence

from lab.attack.attack import Attack, Outcome, refused
from lab.attack.target import Answer, Target
from lab.emulators.event_grid import Schema, basic_authorization, make_event
from lab.story import VAULT

# What no stranger may read anywhere: names of the lab's vaults, secrets, documents and realms.
_NAMES = re.compile(
    r"deskbridge-vault|key-vault-webhook|authrocket-customers|aws-acorn|rl_0v|localhost|Traceback", re.IGNORECASE
)
_OPEN = {"/health", "/health/ready", "/events/key-vault", "/events/authrocket/{realm}"}
_WRONG = basic_authorization("event-grid", "not the password")
_JSON = {"Content-Type": "application/json"}


def _tells_nothing(*answers: Answer) -> Outcome:
    outcome = refused(*answers)
    told = [answer for answer in answers if _NAMES.search(answer.text)]
    return Outcome(outcome.held and not told, f"{outcome.answer}{', and names something' if told else ''}")


def _each_endpoint(target: Target, headers: dict[str, str]) -> Outcome:
    described = json.loads(target.as_administrator("GET", "/api/v1/openapi.json").text)
    answers: list[Answer] = []
    for path, methods in described["paths"].items():
        door = path.removeprefix("/api")
        if door in _OPEN or door.startswith("/calendar"):
            continue
        for method in methods:
            if method in {"get", "post", "put", "patch", "delete"}:
                filled = re.sub(r"\{[^}]*\}", "default", path)
                filled = filled if filled.startswith("/api") else f"/api{filled}"
                answers.append(target.as_stranger(method.upper(), filled, b"{}", {**_JSON, **headers}))
    outcome = _tells_nothing(*answers)
    held = outcome.held and {answer.status for answer in answers} <= {401, 403}
    return Outcome(held, f"{outcome.answer} ({len(answers)} endpoints)")


def without_a_token(target: Target) -> Outcome:
    return _each_endpoint(target, {})


def forged_principal(target: Target) -> Outcome:
    headers = {
        "X-MS-CLIENT-PRINCIPAL-NAME": "ann@acorn.example",
        "X-MS-CLIENT-PRINCIPAL-ID": "11111111-2222-3333-4444-555555555555",
        "X-MS-CLIENT-PRINCIPAL-IDP": "aad",
        "X-MS-CLIENT-PRINCIPAL": "eyJyb2xlcyI6WyJEZXNrYnJpZGdlLkFkbWluaXN0cmF0b3IiXX0=",
        "X-MS-TOKEN-AAD-ACCESS-TOKEN": "x",
    }
    return _each_endpoint(target, headers)


def made_up_tokens(target: Target) -> Outcome:
    tokens = ("desk_", "desk_" + "A" * 49, "' or 1=1", "a" * 4000, "null")
    answers = [target.as_stranger("GET", "/api/v1/tickets", None, {"X-Api-Key": token}) for token in tokens]
    answers += [target.as_stranger("GET", f"/api/v1/tickets?code={token[:40].replace(' ', '+')}") for token in tokens]
    return _tells_nothing(*answers)


def forged_event(target: Target) -> Outcome:
    event = make_event("SecretExpired", vault=VAULT, name="forged-by-a-stranger")
    body = json.dumps([event.to_json(Schema.EVENT_GRID)]).encode()
    headers = {**_JSON, "aeg-event-type": "Notification"}
    answers = [
        target.as_stranger("POST", "/api/events/key-vault", body, {**headers, **more})
        for more in ({}, {"Authorization": _WRONG}, {"Authorization": "Bearer e30.e30."}, {"Authorization": "Basic !"})
    ]
    return _tells_nothing(*answers)


def handshake_for_a_stranger(target: Target) -> Outcome:
    echo = "0123456789-echo-me"
    question = [
        {
            "id": "1",
            "topic": "/subscriptions/x/resourceGroups/x/providers/Microsoft.KeyVault/vaults/evil",
            "subject": "",
            "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
            "eventTime": "2026-11-29T00:00:00Z",
            "dataVersion": "2",
            "data": {"validationCode": echo, "validationUrl": "https://evil.example/"},
        }
    ]
    headers = {**_JSON, "aeg-event-type": "SubscriptionValidation"}
    body = json.dumps(question).encode()
    answers = [
        target.as_stranger("POST", "/api/events/key-vault", body, {**headers, **more})
        for more in ({}, {"aeg-subscription-name": "EVIL"}, {"Authorization": _WRONG})
    ]
    answers.append(
        target.as_stranger("OPTIONS", "/api/events/key-vault", None, {"WebHook-Request-Origin": "evil.example"})
    )
    outcome = _tells_nothing(*answers)
    echoed = any(echo in answer.text or "evil" in str(answer.headers) for answer in answers)
    return Outcome(outcome.held and not echoed, f"{outcome.answer}{', and echoes' if echoed else ''}")


def realms_told_apart(target: Target) -> Outcome:
    body = b'{"id": "ev_1", "event_type": "user.updated"}'
    realms = (target.desk.addresses["AuthRocket realm"], "customers", "rl_unknown")
    answers = [
        target.as_stranger("POST", f"/api/events/authrocket/{realm}", body, {**_JSON, "Authorization": _WRONG})
        for realm in realms
    ]
    outcome = _tells_nothing(*answers)
    same = len({(answer.status, answer.text) for answer in answers}) == 1
    return Outcome(outcome.held and same, f"{outcome.answer}{'' if same else ', and tells realms apart'}")


def body_that_does_not_arrive(target: Target) -> Outcome:
    doors = ("/api/events/key-vault", "/api/events/authrocket/customers")
    return _tells_nothing(*(target.as_stranger("POST", door, b"[]", _JSON, chunked=True) for door in doors))


def calendar_with_made_up_tokens(target: Target) -> Outcome:
    tokens = ("x", "a" * 40, "..%2f..%2fapi", "%00")
    answers = [target.as_stranger("GET", f"/api/calendar/{token}/expiries.ics") for token in tokens]
    answers += [target.as_stranger("GET", f"/api/calendar/expiries.ics?token={token}") for token in tokens]
    return _tells_nothing(*answers)


def health_for_a_stranger(target: Target) -> Outcome:
    answers = [target.as_stranger("GET", path) for path in ("/api/health", "/admin/host/status", "/admin/functions")]
    short = len(answers[0].text) < 200 and not any(_NAMES.search(answer.text) for answer in answers)
    held = short and [answer.status for answer in answers[1:]] == [401, 401]
    return Outcome(held, ", ".join(map(str, answers)))


ATTACKS: Sequence[Attack] = (
    Attack("no token", "every endpoint", without_a_token),
    Attack("forged principal headers", "every endpoint", forged_principal),
    Attack("made-up tokens", "GET tickets", made_up_tokens),
    Attack("forged event", "Key Vault webhook", forged_event),
    Attack("handshake for a stranger", "Key Vault webhook", handshake_for_a_stranger),
    Attack("realms told apart", "AuthRocket webhook", realms_told_apart),
    Attack("a body sent in chunks", "both webhooks", body_that_does_not_arrive),
    Attack("calendar with made-up tokens", "calendar", calendar_with_made_up_tokens),
    Attack("what health tells", "health, host", health_for_a_stranger),
)
