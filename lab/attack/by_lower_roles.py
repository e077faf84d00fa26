"""Attacks of whoever has a token, for more than their role allows; and of tokens at doors that are not theirs."""

import json
import re
from collections.abc import Iterator, Sequence

from lab.attack.attack import Attack, Outcome
from lab.attack.target import Answer, Target

_ADMINISTRATORS_KINDS = ("credential-stores", "credentials", "key-vault-events", "aws-tenants", "authrocket-realms")
_JSON = {"Content-Type": "application/json", "If-Match": "*"}
_ROLES = ("reader", "operator", "administrator")


def _endpoints(target: Target) -> Iterator[tuple[str, str, str]]:
    """Method, path and what opens it, of each endpoint, as the desk describes itself."""
    described = json.loads(target.as_administrator("GET", "/api/v1/openapi.json").text)
    for path, methods in described["paths"].items():
        filled = re.sub(r"\{[^}]*\}", "default", path)
        for method, operation in methods.items():
            if isinstance(operation, dict) and "x-deskbridge-access" in operation:
                address = filled if filled.startswith("/api") else f"/api{filled}"
                yield method.upper(), address, operation["x-deskbridge-access"]


def _outcome(answers: Sequence[Answer], statuses: frozenset[int]) -> Outcome:
    said = ", ".join(dict.fromkeys(map(str, answers)))
    held = len(answers) > 3 and all(answer.status in statuses for answer in answers)
    return Outcome(held, f"{said} ({len(answers)} tries)")


def _above(target: Target, role: str) -> list[Answer]:
    token = {"X-Api-Key": target.desk.tokens[role]}
    above = _ROLES[_ROLES.index(role) + 1 :]
    return [
        target.as_stranger(method, path, b"{}", {**_JSON, **token})
        for method, path, access in _endpoints(target)
        if access in above
    ]


def reader_who_writes(target: Target) -> Outcome:
    return _outcome(_above(target, "reader"), frozenset({403}))


def operator_who_administers(target: Target) -> Outcome:
    token = {"X-Api-Key": target.desk.tokens["operator"]}
    answers = _above(target, "operator")
    for kind in _ADMINISTRATORS_KINDS:
        answers.append(target.as_stranger("PUT", f"/api/v1/settings/{kind}/attack", b"{}", {**_JSON, **token}))
        answers.append(target.as_stranger("DELETE", f"/api/v1/settings/{kind}/default", None, {**_JSON, **token}))
        item = {"kind": kind, "name": "attack", "document": {}}
        # Behind one that is an operator's: the whole set is refused.
        body = json.dumps({"documents": [{"kind": "sites", "name": "attack", "document": {"title": "x"}}, item]})
        for query in ("", "?dry_run=true"):
            path = f"/api/v1/settings{query}"
            answers.append(target.as_stranger("POST", path, body.encode(), {**_JSON, **token}))
    return _outcome(answers, frozenset({403}))


def token_of_the_calendar(target: Target) -> Outcome:
    token = target.desk.tokens["calendar"]
    doors = ("/api/v1/tickets", "/api/v1/me", "/api/v1/settings", "/api/v1/exports/users")
    answers = [target.as_stranger("GET", door, None, {"X-Api-Key": token}) for door in doors]
    answers += [target.as_stranger("GET", f"{door}?token={token}") for door in doors]
    administrator = target.desk.tokens["administrator"]
    answers.append(target.as_stranger("GET", f"/api/calendar/expiries.ics?token={administrator}"))
    answers.append(target.as_stranger("GET", "/api/calendar/expiries.ics", None, {"X-Api-Key": administrator}))
    return _outcome(answers, frozenset({401, 403}))


def key_of_the_host(target: Target) -> Outcome:
    key = {"x-functions-key": str(target.desk.host.keys["master"])}
    doors = ("/api/v1/tickets", "/api/v1/me", "/api/v1/settings", "/api/v1/tokens", "/api/v1/audit")
    return _outcome([target.as_stranger("GET", door, None, key) for door in doors], frozenset({401}))


def revoked_token(target: Target) -> Outcome:
    made = target.as_administrator("POST", "/api/v1/tokens", {"name": "attack-revoked", "role": "administrator"})
    token = {"X-Api-Key": json.loads(made.text)["token"]}
    before = target.as_stranger("GET", "/api/v1/me", None, token)
    target.as_administrator("DELETE", "/api/v1/tokens/attack-revoked")
    after = [target.as_stranger("GET", f"/api/v1/{what}", None, token) for what in ("me", "tokens", "audit", "tickets")]
    outcome = _outcome(after, frozenset({401}))
    return Outcome(outcome.held and before.status == 200, outcome.answer)


ATTACKS: Sequence[Attack] = (
    Attack("a reader who writes", "every endpoint above", reader_who_writes),
    Attack("an operator who administers", "settings, tokens", operator_who_administers),
    Attack("a calendar's token elsewhere", "API, calendar", token_of_the_calendar),
    Attack("the host's key for daily work", "API", key_of_the_host),
    Attack("a revoked token", "API", revoked_token),
)
