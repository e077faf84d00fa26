"""The audit trail, the outbox and the index over HTTP: who changed what, what is still to follow, and what followed."""

from datetime import datetime
from typing import Any

import azure.functions as func

from functions.http.access import caller
from functions.http.answers import answer
from functions.http.endpoints import PAGED, UNKNOWN, Content, endpoint
from functions.http.query import PAGE, moment, one_of, page_asked, text
from functions.queue_messages import QueueMessages
from shared import bootstrap
from shared.access.roles import Role
from shared.storage.names import OUTBOX_QUEUE

audit_api = func.Blueprint()

KINDS = (
    *("settings", "token", "record", "ticket", "import", "confirmation"),
    *("sweep", "replay", "quarantine", "outbox"),
)
_KIND = one_of("kind", "Only changes of this kind.", KINDS)
_BY = text("by", "Only what this person, app or token did.", example="kim@acorn.example")
_THING = text("thing", "Only what was done to this.", longest=300, example="sites/london-hq")
_SINCE = moment("since", "Only from this moment on.")
_UNTIL = moment("until", "Only before this moment.")
_STATE = one_of("state", "Only those that wait, or that failed for good.", ("pending", "failed"))
_ID = {"id": ("The entry's id.", "001795939200000000-93e54c01")}


@endpoint(
    audit_api,
    "GET",
    "v1/audit",
    tag="audit",
    access=Role.ADMINISTRATOR,
    summary="List who changed what",
    query=(*PAGE, _KIND, _BY, _THING, _SINCE, _UNTIL),
    answers={200: "audit:AuditPage"},
    refusals=[PAGED],
)
def list_audit(req: func.HttpRequest) -> func.HttpResponse:
    """Newest first, a minute after the change at the latest. A page may be short, even empty, while `next` says that
    there is more."""
    from shared.access.audit import AuditFilter, AuditKind

    kind = _KIND.read(req)
    wanted = AuditFilter(
        None if kind is None else AuditKind(kind), _BY.read(req), _THING.read(req), _SINCE.read(req), _UNTIL.read(req)
    )
    items, following = bootstrap.audit_entries().page(wanted, *page_asked(req))
    return answer(200, {"items": [_entry(item) for item in items], "next": following})


@endpoint(
    audit_api,
    "GET",
    "v1/outbox",
    tag="audit",
    access=Role.ADMINISTRATOR,
    summary="List what is still to follow from changes",
    query=(*PAGE, _STATE),
    answers={200: "audit:OutboxPage"},
    refusals=[PAGED],
)
def list_outbox(req: func.HttpRequest) -> func.HttpResponse:
    """Oldest first. What failed for good says why; what is young is on its way."""
    from shared.outbox.model import OutboxState

    state = _STATE.read(req)
    items, following = bootstrap.outbox().page(None if state is None else OutboxState(state), *page_asked(req))
    return answer(200, {"items": [_pending(item) for item in items], "next": following})


@endpoint(
    audit_api,
    "GET",
    "v1/index",
    tag="audit",
    access=Role.READER,
    summary="Show how the index was compared",
    answers={200: "audit:IndexAnswer"},
)
def show_index(req: func.HttpRequest) -> func.HttpResponse:
    """Each day the index behind lists, searches and matching is compared with what is stored, and what differs is
    repaired: how far that is, and what it found."""
    del req
    return answer(200, {"items": [_comparison(one) for one in bootstrap.index_housekeeping().passes()]})


@audit_api.queue_output("messages", queue_name=OUTBOX_QUEUE, connection="AzureWebJobsStorage")
@endpoint(
    audit_api,
    "POST",
    "v1/outbox/{id}/retry",
    tag="audit",
    access=Role.ADMINISTRATOR,
    path=_ID,
    summary="Try again what failed",
    answers={202: Content("audit:OutboxRetried", about="It is tried again within a minute.")},
    refusals=[UNKNOWN],
)
def retry_outbox_entry(req: func.HttpRequest, messages: QueueMessages) -> func.HttpResponse:
    """For when the cause is gone. Doing it twice does no harm."""
    from shared.access.audit import AuditedChange, AuditKind

    entry_id = req.route_params["id"]
    message = bootstrap.outbox().retry(entry_id)
    bootstrap.audit().note(AuditedChange(AuditKind.OUTBOX, "retried", f"outbox/{entry_id}", caller()))
    messages.set([message.text])
    return answer(202, {"id": entry_id})


def _entry(entry: Any) -> dict[str, Any]:
    changes = [{"field": one.field, "before": one.before, "after": one.after} for one in entry.changes]
    return {
        "id": entry.id,
        "at": entry.at,
        "by": entry.by,
        "role": entry.role or None,
        "origin": str(entry.origin),
        "kind": str(entry.kind),
        "action": entry.action,
        "thing": entry.thing,
        "changes": changes,
        "more": entry.more,
    }


def _pending(entry: Any) -> dict[str, Any]:
    at: datetime = entry.at
    return {
        "id": entry.message.id,
        "at": at,
        "table": entry.message.table,
        "partition": entry.message.partition,
        "kinds": list(entry.kinds),
        "state": str(entry.state),
        "attempts": entry.attempts,
        "reason": entry.reason or None,
        "explanation": entry.explanation or None,
    }


def _comparison(one: Any) -> dict[str, Any]:
    last = {"finished_at": one.finished_at, "compared": one.last_compared, "repaired": one.last_repaired}
    running = {"began_at": one.began_at, "compared": one.compared, "repaired": one.repaired}
    return {
        "table": one.name,
        "last": None if one.finished_at is None else last,
        "running": running if one.is_open else None,
    }
