"""Access tokens over HTTP: make, list, show and revoke them; and who calls."""

from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import azure.functions as func

from functions.http.access import Door, caller, principal
from functions.http.answers import answer
from functions.http.bodies import read_body
from functions.http.customers import sites_asked
from functions.http.endpoints import BODY, PAGED, STORED, UNKNOWN, Content, Refusals, endpoint
from functions.http.query import PAGE, page_asked, text
from shared import bootstrap
from shared.access.principals import PrincipalKind
from shared.access.roles import Role
from shared.errors import ConflictError, Fault
from shared.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shared.access.tokens import Token

tokens_api = func.Blueprint()

_MADE = {201: Content("access:TokenMade", headers={"Location": "The token's address."})}
_TAKEN: Refusals = {409: (Reason.ALREADY_EXISTS,)}
_CUSTOMER = text("customer", "Only those that are limited to this customer or to a site of it.", example="acorn")
_OVERTAKEN: Refusals = {412: (Reason.CHANGED_MEANWHILE,)}
_NAME = {"name": ("The token's name.", "nightly-report")}


@endpoint(
    tokens_api,
    "GET",
    "v1/me",
    tag="access",
    access=Role.READER,
    by_customer=True,
    summary="Show who calls",
    answers={200: "access:Me"},
)
def show_me(req: func.HttpRequest) -> func.HttpResponse:
    """By which name the histories know the caller, with its role and customers."""
    del req
    who = principal()
    return answer(
        200,
        {
            "name": who.shown,
            "kind": str(who.kind),
            "role": str(who.role),
            "customers": who.customers,
            "expires_at": who.expires_at,
        },
    )


@endpoint(
    tokens_api,
    "POST",
    "v1/tokens/administrator",
    tag="access",
    access=Door.HOST_KEY,
    summary="Make an administrator's token",
    body=Content("access:NewAdministratorToken", example={"name": "first-administrator"}),
    answers=_MADE,
    refusals=[BODY, _TAKEN],
)
def make_administrator_token(req: func.HttpRequest) -> func.HttpResponse:
    """The first token, and the way back in. It is the one endpoint that a key of the Functions host opens: as the
    header `x-functions-key`."""
    from functions.schemas.access import NewAdministratorToken

    body = read_body(req, NewAdministratorToken)
    expires_at = _checked_expiry(body.expires_at)
    made = bootstrap.access_tokens().make(body.name, by=caller(), role=Role.ADMINISTRATOR, expires_at=expires_at)
    return _made(*made)


@endpoint(
    tokens_api,
    "POST",
    "v1/tokens",
    tag="access",
    access=Role.ADMINISTRATOR,
    summary="Make a token",
    body=Content("access:NewToken", example={"name": "nightly-report", "role": "reader"}),
    answers=_MADE,
    refusals=[BODY, STORED, _OVERTAKEN, {409: (Reason.ALREADY_EXISTS, Reason.ACCESS_TOKENS_OFF)}],
)
def make_token(req: func.HttpRequest) -> func.HttpResponse:
    """For a person or a program. Its value is in this answer and never again."""
    from functions.schemas.access import NewToken

    body = read_body(req, NewToken)
    if bootstrap.callers_are_signed_in():
        raise ConflictError(
            Reason.ACCESS_TOKENS_OFF,
            "Callers sign in with Entra here, and such a token would open nothing.",
            remedy="Assign app roles in the enterprise application. Calendars still have tokens.",
        )
    expires_at = _checked_expiry(body.expires_at)
    with _naming(body.name, customers=body.customers or ()):
        made = bootstrap.access_tokens().make(
            body.name, by=caller(), role=body.role, customers=body.customers, expires_at=expires_at
        )
    return _made(*made)


@endpoint(
    tokens_api,
    "POST",
    "v1/tokens/calendar",
    tag="access",
    access=Role.ADMINISTRATOR,
    summary="Make a calendar's token",
    body=Content("access:NewCalendarToken", example={"name": "calendar-of-acorn", "customer": "acorn"}),
    answers=_MADE,
    refusals=[BODY, STORED, _OVERTAKEN, _TAKEN],
)
def make_calendar_token(req: func.HttpRequest) -> func.HttpResponse:
    """It opens one address, `/api/calendar/expiries.ics?token=…`, and shows what it names: a site, a customer, a
    team."""
    from functions.schemas.access import NewCalendarToken
    from shared.access.principals import View

    body = read_body(req, NewCalendarToken)
    expires_at = _checked_expiry(body.expires_at)
    with _naming(body.name, customers=[body.customer] if body.customer else (), site=body.site):
        made = bootstrap.access_tokens().make(
            body.name,
            by=caller(),
            kind=PrincipalKind.CALENDAR,
            view=View(body.site, body.customer, body.team),
            expires_at=expires_at,
        )
    return _made(*made)


@endpoint(
    tokens_api,
    "GET",
    "v1/tokens",
    tag="access",
    access=Role.ADMINISTRATOR,
    summary="List tokens",
    query=(*PAGE, _CUSTOMER),
    answers={200: "access:TokenPage"},
    refusals=[PAGED],
)
def list_tokens(req: func.HttpRequest) -> func.HttpResponse:
    """By name, revoked and expired ones too. No value is ever shown."""
    customer = _CUSTOMER.read(req)
    sites = sites_asked(customer) or ()
    items, following = bootstrap.access_tokens().page(*page_asked(req), customer=customer, sites=sites)
    return answer(200, {"items": [_shown(token) for token in items], "next": following})


@endpoint(
    tokens_api,
    "GET",
    "v1/tokens/{name}",
    tag="access",
    access=Role.ADMINISTRATOR,
    summary="Show a token",
    path=_NAME,
    answers={200: "access:TokenAnswer"},
    refusals=[UNKNOWN],
)
def show_token(req: func.HttpRequest) -> func.HttpResponse:
    """Without its value."""
    return answer(200, _shown(bootstrap.access_tokens().get(req.route_params["name"])))


@endpoint(
    tokens_api,
    "DELETE",
    "v1/tokens/{name}",
    tag="access",
    access=Role.ADMINISTRATOR,
    summary="Revoke a token",
    path=_NAME,
    answers={204: Content(media_type="", about="It opens nothing any more, anywhere within a minute.")},
    refusals=[UNKNOWN, _OVERTAKEN],
)
def revoke_token(req: func.HttpRequest) -> func.HttpResponse:
    """It stays in the list, as histories name it. Revoking it again changes nothing."""
    bootstrap.access_tokens().revoke(req.route_params["name"], by=caller())
    return answer(204)


def _shown(token: "Token") -> dict[str, Any]:
    return {
        "name": token.name,
        "kind": str(token.kind),
        "role": str(token.role),
        "customers": token.customers,
        "view": token.view._asdict(),
        "created_at": token.created_at,
        "created_by": token.created_by,
        "expires_at": token.expires_at,
        "last_used_at": token.last_used_at,
        "revoked_at": token.revoked_at,
        "revoked_by": token.revoked_by,
    }


def _made(token: "Token", value: str) -> func.HttpResponse:
    return answer(201, {**_shown(token), "token": value}, headers={"Location": f"/api/v1/tokens/{token.name}"})


def _checked_expiry(expires_at: datetime | None) -> datetime | None:
    from shared.access.tokens import LONGEST_LIFE
    from shared.settings.validation import body_invalid

    now = bootstrap.now()
    if expires_at is not None and not now < expires_at <= now + LONGEST_LIFE:
        raise body_invalid([Fault("expires_at", "must be after now and within ten years")])
    return expires_at


@contextmanager
def _naming(token: str, *, customers: "Sequence[str]", site: str | None = None) -> "Iterator[None]":
    """Within it, the customers and the site that the token is limited to cannot be removed.

    Raises InvalidInputError for those that are no documents.
    """
    from shared.records.documents.sites import CustomerDocument, SiteDocument
    from shared.settings.base import Reference
    from shared.settings.validation import body_invalid

    settings = bootstrap.settings()
    named: list[tuple[str, type[CustomerDocument | SiteDocument], str]] = [
        ("customers", CustomerDocument, customer) for customer in customers
    ]
    named += [("site", SiteDocument, site)] if site else []
    faults = [
        Fault(path, f"there is no document {cls.kind}/{name}")
        for path, cls, name in named
        if settings.find(cls, name) is None
    ]
    if faults:
        raise body_invalid(faults)
    with settings.guards.naming(f"tokens/{token}", [Reference(path, cls.kind, name) for path, cls, name in named]):
        yield
