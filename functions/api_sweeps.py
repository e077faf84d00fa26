"""Sweeps over HTTP: start one, follow it; and the vaults that the desk knows."""

from dataclasses import asdict
from typing import Any

import azure.functions as func

from functions.http.access import caller
from functions.http.answers import answer
from functions.http.bodies import read_body
from functions.http.endpoints import BODY, PAGED, UNKNOWN, Content, Refusals, endpoint
from functions.http.query import PAGE, page_asked
from functions.queue_messages import QueueMessages
from shared import bootstrap
from shared.access.roles import Role
from shared.reasons import Reason
from shared.storage.names import SWEEPS_QUEUE

sweeps_api = func.Blueprint()

_REFUSED: Refusals = {503: (Reason.DOCUMENT_INVALID, Reason.CONTENDED), 409: (Reason.VAULT_NOT_SWEPT,)}
_STARTED = {
    202: Content(
        "sweeps:SweepAnswer",
        about="The sweep has begun.",
        headers={"Location": "The sweep's address, to follow it."},
    )
}


@sweeps_api.queue_output("messages", queue_name=SWEEPS_QUEUE, connection="AzureWebJobsStorage")
@endpoint(
    sweeps_api,
    "POST",
    "v1/sweeps",
    tag="tickets",
    access=Role.OPERATOR,
    summary="Sweep the vaults now",
    body=Content("sweeps:SweepRequest", example={"vaults": ["acorn-vault"]}),
    answers=_STARTED,
    refusals=[BODY, _REFUSED],
)
def sweep_vaults_now(req: func.HttpRequest, messages: QueueMessages) -> func.HttpResponse:
    """Reads the properties of all objects of the vaults that are named, or of `all` that have a store; never a value.
    Workers read one vault after the other. Follow it by its address."""
    from functions.schemas.sweeps import SweepRequest
    from shared.access.audit import AuditedChange, AuditedField, AuditKind

    vaults = read_body(req, SweepRequest).vaults
    # The queue carries the sweep out, so that the entry stands before it begins.
    asked = AuditedField("vaults", None, "all" if vaults == "all" else " ".join(vaults))
    bootstrap.audit().note(AuditedChange(AuditKind.SWEEP, "started", "vaults", caller(), (asked,)))
    sweep, first = bootstrap.sweeps().start(None if vaults == "all" else vaults, caller())
    messages.set(first)
    shown = _shown(bootstrap.sweeps().get(sweep.id))
    return answer(202, shown, headers={"Location": f"/api/v1/sweeps/{sweep.id}"})


@endpoint(
    sweeps_api,
    "GET",
    "v1/sweeps",
    tag="tickets",
    access=Role.READER,
    summary="List sweeps",
    query=PAGE,
    answers={200: "sweeps:SweepPage"},
    refusals=[PAGED],
)
def list_sweeps(req: func.HttpRequest) -> func.HttpResponse:
    """Newest first, each with how many vaults it has read so far. Sweeps are kept for 30 days."""
    items, following = bootstrap.sweeps().page(*page_asked(req))
    return answer(200, {"items": [_shown(item) for item in items], "next": following})


@endpoint(
    sweeps_api,
    "GET",
    "v1/sweeps/{id}",
    tag="tickets",
    access=Role.READER,
    path={"id": ("The sweep's id.", "998204690743439166-93e54c")},
    query=PAGE,
    summary="Show a sweep with its report",
    answers={200: "sweeps:SweepWithReport"},
    refusals=[PAGED, UNKNOWN],
)
def show_sweep(req: func.HttpRequest) -> func.HttpResponse:
    """With the vaults that it could not read to the end, a page of them at a time."""
    limit, after = page_asked(req)
    progress = bootstrap.sweeps().get(req.route_params["id"])
    items, following = bootstrap.sweeps().vaults.report(progress.sweep.id, limit, after)
    return answer(200, {**_shown(progress), "items": [asdict(item) for item in items], "next": following})


@endpoint(
    sweeps_api,
    "GET",
    "v1/vaults",
    tag="tickets",
    access=Role.READER,
    summary="List the vaults that are known",
    query=PAGE,
    answers={200: "sweeps:VaultPage"},
    refusals=[PAGED],
)
def list_vaults(req: func.HttpRequest) -> func.HttpResponse:
    """By name: who reads each vault, when it was last swept, and what came of it."""
    from functions.schemas.sweeps import VaultAnswer

    items, following = bootstrap.sweeps().vaults.page(*page_asked(req))
    shown = [
        {name: value for name, value in asdict(vault).items() if name in VaultAnswer.model_fields}
        | {name: getattr(vault, name) or None for name in ("store", "site", "owner", "resource_id", "reason")}
        for vault in items
    ]
    return answer(200, {"items": shown, "next": following})


def _shown(progress: Any) -> dict[str, Any]:
    sweep, count = progress.sweep, progress.count
    return {
        "id": sweep.id,
        "state": progress.state,
        "started_at": sweep.started_at,
        "started_by": sweep.started_by,
        "vaults": list(sweep.vaults) or "all",
        "done": count.done,
        "failed": count.failed,
        "last_at": count.last_at,
    }
