"""Tickets over HTTP: list, show, change, note."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import azure.functions as func

from functions.http.access import caller
from functions.http.answers import answer
from functions.http.bodies import read_body
from functions.http.customers import (
    check_site,
    find_seen,
    next_shown,
    page_seen,
    sites_asked,
    sites_seen,
    version_asked,
)
from functions.http.endpoints import BODY, MOVED, PAGED, UNKNOWN, Content, Refusals, endpoint
from functions.http.if_match import if_match_of
from functions.http.query import CUSTOMER, PAGE, SEARCH, UPDATED_AFTER, Query, moment, one_of, some_of, text
from shared import bootstrap
from shared.access.roles import Role
from shared.reasons import Reason

if TYPE_CHECKING:
    from shared.tickets.desk.editor import StoredTicket

tickets_api = func.Blueprint()

STORED: Refusals = {503: (Reason.DOCUMENT_INVALID, Reason.CONTENDED)}
_ID = {"id": ("The ticket's id.", "KV-7F3K9-Q2MXB")}
_VERSION = {"ETag": "The ticket's version in quotes, for `If-Match`."}

_STATE = one_of("state", "Open ones, finished ones (resolved, closed), or all.", ("open", "finished", "all"))
_ORDER = one_of("order", "Newest first, or by expiry, soonest first (open ones only).", ("newest", "expiry"))
_SNOOZED = one_of("snoozed", "Whether tickets that are snoozed at present are shown.", ("hide", "show", "only"))
_EXPIRES_BEFORE = moment("expires_before", "Whose object expires before; then by expiry, unless `order` says else.")
_SCOPE = text("scope", "Of this vault, or of this realm.", longest=200, example="acorn-vault")
_FILTERS: tuple[Query[Any], ...] = (
    some_of("status", "Of these statuses.", ("open", "in_progress", "on_hold", "resolved", "closed")),
    some_of("priority", "Of these priorities.", ("low", "medium", "high", "critical")),
    some_of("object_type", "About these.", ("secret", "key", "certificate", "vault", "user", "desk")),
    some_of(
        "kind",
        "Of these kinds.",
        (
            *("new_version", "expiry", "access_policy", "no_expiry_date", "admin_grant"),
            *("import_withheld", "import_failing", "sweep_failing", "quarantine", "dead_letters", "poison_messages"),
            *("queue_stuck", "settings_unreadable", "secret_expiring", "token_expiring", "outbox_failing"),
        ),
    ),
    text("source", "Of this source: `Deskbridge` are the conditions of the desk itself.", example="Deskbridge"),
    text("ticket_type", "Of this type.", example="Expiry"),
    text("object_name", "About the object of this name.", example="mail-password"),
    text("team", "Of this team.", example="Platform"),
    text("assignee", "Of this person.", example="kim"),
    text("site", "Of this site.", example="london-hq"),
)


@endpoint(
    tickets_api,
    "GET",
    "v1/tickets",
    tag="tickets",
    access=Role.READER,
    by_customer=True,
    summary="List tickets",
    query=(SEARCH, _STATE, _ORDER, _SNOOZED, _SCOPE, CUSTOMER, _EXPIRES_BEFORE, UPDATED_AFTER, *_FILTERS, *PAGE),
    answers={200: "tickets:TicketPage"},
    refusals=[PAGED],
)
def list_tickets(req: func.HttpRequest) -> func.HttpResponse:
    """Open tickets of all sources, without reading any that is closed; with `q` finished and snoozed ones too. Texts
    are compared without case. What changed after `as_of` may be missing; what is shown is as it is now."""
    from shared.tickets.desk import lists

    limit, after = page_seen(req)
    query = lists.query_of(
        state=_STATE.read(req),
        order=_ORDER.read(req),
        snoozed=_SNOOZED.read(req),
        scope=_SCOPE.read(req),
        filters={one.name: one.read(req) for one in _FILTERS},
        size=limit,
        after=after,
        q=SEARCH.read(req),
        expires_before=_EXPIRES_BEFORE.read(req),
        updated_after=UPDATED_AFTER.read(req),
    )
    page = bootstrap.ticket_lists().page(lists.of_sites(query, sites_asked(CUSTOMER.read(req))))
    items = [_shown(ticket) for ticket in page.items]
    return answer(200, {"items": items, "next": next_shown(page.next), "as_of": page.as_of})


@endpoint(
    tickets_api,
    "GET",
    "v1/tickets/{id}",
    tag="tickets",
    access=Role.READER,
    by_customer=True,
    path=_ID,
    summary="Show a ticket",
    answers={200: Content("tickets:TicketDetailAnswer", headers=_VERSION)},
    refusals=[UNKNOWN],
)
def show_ticket(req: func.HttpRequest) -> func.HttpResponse:
    """With its timeline: who or what did each thing."""
    return _detail(_seen(req.route_params["id"]))


@endpoint(
    tickets_api,
    "PATCH",
    "v1/tickets/{id}",
    tag="tickets",
    access=Role.OPERATOR,
    by_customer=True,
    path=_ID,
    summary="Change a ticket",
    body=Content("tickets:TicketChange", example={"status": "in_progress", "assignee": "kim"}),
    answers={200: Content("tickets:TicketDetailAnswer", headers=_VERSION)},
    refusals=[BODY, UNKNOWN, MOVED, STORED, {409: (Reason.VERSION_NEEDED, Reason.TICKET_FINISHED)}],
    if_match="The ETag of the version that was read, quoted or bare, or `*` for any version. It is needed.",
)
def change_ticket(req: func.HttpRequest) -> func.HttpResponse:
    """What a person decides stands until an event brings something new: then a finished ticket opens again, a snoozed
    one wakes, and the priority can only rise."""
    from functions.schemas.tickets import TicketChange

    body = read_body(req, TicketChange)
    seen = _seen(req.route_params["id"])
    if body.site is not None:
        check_site(body.site)
    changes = {name: getattr(body, name) for name in sorted(body.model_fields_set) if name != "note"}
    changed = bootstrap.ticket_editor().change(
        req.route_params["id"],
        changes,
        by=caller(),
        if_match=version_asked(if_match_of(req), seen.etag),
        note=body.note,
    )
    return _detail(changed)


@endpoint(
    tickets_api,
    "POST",
    "v1/tickets/{id}/notes",
    tag="tickets",
    access=Role.OPERATOR,
    by_customer=True,
    path=_ID,
    summary="Write a note",
    body=Content("tickets:NewNote", example={"text": "The supplier sends the new certificate on Monday."}),
    answers={201: "tickets:NoteAnswer"},
    refusals=[BODY, UNKNOWN, {503: (Reason.CONTENDED,)}],
)
def add_ticket_note(req: func.HttpRequest) -> func.HttpResponse:
    """It changes nothing else, and needs no version."""
    from functions.schemas.tickets import NewNote

    body = read_body(req, NewNote)
    _seen(req.route_params["id"])
    note = bootstrap.ticket_editor().add_note(req.route_params["id"], body.text, by=caller(), sites=sites_seen())
    return answer(201, asdict(note))


def _seen(ticket_id: str) -> "StoredTicket":
    """Raises NotFoundError for a ticket that the caller does not see."""
    return find_seen(lambda: bootstrap.ticket_editor().get(ticket_id), lambda found: found.ticket.site, "ticket")


def _detail(stored: Any) -> func.HttpResponse:
    notes = [asdict(note) for note in stored.notes]
    shown = {**_shown(stored.ticket), "details": stored.ticket.details, "notes": notes, "etag": stored.etag}
    return answer(200, shown, etag=stored.etag)


def _shown(ticket: Any) -> dict[str, Any]:
    shown = {name: value for name, value in asdict(ticket).items() if name not in {"ticket_id", "details"}}
    return {"id": ticket.ticket_id, **shown}
