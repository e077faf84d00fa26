"""What keeps events from being lost, over HTTP: the quarantine and dead letters."""

from dataclasses import asdict

import azure.functions as func

from functions.api_tickets import STORED
from functions.http.access import caller
from functions.http.answers import answer
from functions.http.endpoints import PAGED, UNKNOWN, Content, Refusals, endpoint
from functions.http.query import PAGE, page_asked
from shared import bootstrap
from shared.access.roles import Role
from shared.errors import ConflictError, MisconfiguredError
from shared.reasons import Reason

event_recovery_api = func.Blueprint()

_ID = {"id": ("The event's id in the quarantine.", "5f1c0a6be2d94c7f8a3b6d1e")}
_BLOBS: Refusals = {503: (Reason.DEAD_LETTERS_UNAVAILABLE, Reason.DEAD_LETTERS_DENIED)}


@endpoint(
    event_recovery_api,
    "GET",
    "v1/quarantine",
    tag="tickets",
    access=Role.READER,
    summary="List quarantined events",
    query=PAGE,
    answers={200: "tickets:QuarantinePage"},
    refusals=[PAGED],
)
def list_quarantine(req: func.HttpRequest) -> func.HttpResponse:
    """Events that could not become tickets, each with its reason, newest first."""
    limit, after = page_asked(req)
    page = bootstrap.quarantine().page(limit, after)
    items = [
        {
            "id": row.text("item_id"),
            "reason": row.text("reason"),
            "message": row.text("message"),
            "received_at": row.time("received_at"),
        }
        for row in page.rows
    ]
    return answer(200, {"items": items, "next": page.next})


@endpoint(
    event_recovery_api,
    "GET",
    "v1/quarantine/{id}",
    tag="tickets",
    access=Role.READER,
    path=_ID,
    summary="Show a quarantined event",
    answers={200: "tickets:QuarantinedDetailAnswer"},
    refusals=[UNKNOWN],
)
def show_quarantined(req: func.HttpRequest) -> func.HttpResponse:
    """The event as it came."""
    item = asdict(bootstrap.quarantine().get(req.route_params["id"]))
    return answer(200, {"id": item.pop("item_id"), **item})


@endpoint(
    event_recovery_api,
    "POST",
    "v1/quarantine/{id}/replay",
    tag="tickets",
    access=Role.OPERATOR,
    path=_ID,
    summary="Try a quarantined event again",
    answers={200: "tickets:ReplayAnswer"},
    refusals=[UNKNOWN, STORED, {409: (Reason.EVENT_NOT_WHOLE,)}],
)
def replay_quarantined(req: func.HttpRequest) -> func.HttpResponse:
    """For when the settings were changed. It leaves the quarantine when it is recorded, and stays otherwise."""
    item = bootstrap.quarantine().get(req.route_params["id"])
    if item.text:
        raise ConflictError(
            Reason.EVENT_NOT_WHOLE, "The event was too long to be kept whole.", remedy="Publish it anew."
        )
    configuration = bootstrap.ticket_configuration()()
    if configuration is None:
        raise MisconfiguredError(
            Reason.SETTING_MISSING,
            "There is no document key-vault-events/default.",
            remedy="Apply the settings: docs/key-vault.md, Configure.",
        )
    _note("replay", "replayed", f"quarantine/{item.item_id}")
    if bootstrap.event_ingestor().replay(item, configuration):
        return answer(200, {"recorded": True, "reason": None, "message": ""})
    present = bootstrap.quarantine().get(item.item_id)
    return answer(200, {"recorded": False, "reason": present.reason, "message": present.message})


@endpoint(
    event_recovery_api,
    "DELETE",
    "v1/quarantine/{id}",
    tag="tickets",
    access=Role.OPERATOR,
    path=_ID,
    summary="Remove a quarantined event",
    answers={204: Content(media_type="", about="It is gone for good.")},
    refusals=[UNKNOWN],
)
def remove_quarantined(req: func.HttpRequest) -> func.HttpResponse:
    """For what will never become a ticket. Old ones go by themselves."""
    bootstrap.quarantine().discard(bootstrap.quarantine().get(req.route_params["id"]), by=caller())
    return answer(204)


@endpoint(
    event_recovery_api,
    "GET",
    "v1/dead-letters",
    tag="tickets",
    access=Role.READER,
    summary="List dead letters",
    query=PAGE,
    answers={200: "tickets:DeadLetterPage"},
    refusals=[PAGED, _BLOBS],
)
def list_dead_letters(req: func.HttpRequest) -> func.HttpResponse:
    """The blobs of events that Event Grid could not deliver."""
    limit, after = page_asked(req)
    found, following = bootstrap.dead_letters().list(limit, after)
    return answer(200, {"items": [asdict(letter) for letter in found], "next": following})


@endpoint(
    event_recovery_api,
    "POST",
    "v1/dead-letters/replay",
    tag="tickets",
    access=Role.OPERATOR,
    summary="Record the dead letters",
    answers={200: "tickets:DeadLettersReplayed"},
    refusals=[STORED, _BLOBS],
)
def replay_dead_letters(req: func.HttpRequest) -> func.HttpResponse:
    """By the same code as deliveries, at most 100 blobs a call. A blob is removed once all of it is stored or
    quarantined."""
    del req
    _note("replay", "replayed", "dead-letters")
    return answer(200, asdict(bootstrap.dead_letters().replay()))


def _note(kind: str, action: str, thing: str, **asked: str) -> None:
    """Say in the audit trail what is about to be done: it has no transaction of its own."""
    from shared.access.audit import AuditedChange, AuditedField, AuditKind

    fields = tuple(AuditedField(name, None, value) for name, value in asked.items())
    bootstrap.audit().note(AuditedChange(AuditKind(kind), action, thing, caller(), fields))
