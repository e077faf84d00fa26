"""Runs over HTTP: start and test imports, follow runs, read errors and plans."""

from dataclasses import asdict
from typing import Any, cast

import azure.functions as func

from functions.http.access import caller
from functions.http.answers import answer
from functions.http.bodies import read_body
from functions.http.customers import documents_asked
from functions.http.endpoints import BODY, PAGED, STORED, UNKNOWN, Content, Refusals, endpoint, named
from functions.http.query import PAGE, page_asked, some_of, text
from functions.import_schedules import send
from functions.queue_messages import QueueMessages
from shared import bootstrap
from shared.access.roles import Role
from shared.bootstrap.sources import SOURCES
from shared.imports.registration import RegisteredSource
from shared.reasons import Reason
from shared.storage.names import IMPORT_PARTS_QUEUE

runs_api = func.Blueprint()

_STARTING = Content("runs:StartImport", example={"mode": "preview"})
_STARTED = {
    202: Content(
        "runs:RunWithParts", about="The run has begun.", headers={"Location": "The run's address, to follow it."}
    )
}
_STARTING_REFUSED: Refusals = {
    400: (Reason.PREVIEW_UNUSABLE,),
    409: (Reason.IMPORT_RUNNING, Reason.PREVIEW_UNUSABLE),
}
_ACTIONS = ("create", "update", "unchanged", "skip", "deactivate", "held_back", "changed_since_preview", "error")
_STATUSES = ("running", "succeeded", "withheld", "partly_failed", "failed")
_KIND = text("kind", "Only runs of this source.", example="aws-tenants")
_NAME = text("name", "Only runs of this document.", example="acorn")
_CUSTOMER = text("customer", "Only runs of documents that name a site of this customer.", example="acorn")
_STATUS = some_of("status", "Only runs of these statuses, several with commas.", _STATUSES)
_ACTION = some_of("action", "Only entries of these actions, several with commas.", _ACTIONS)
_PART = text("part", "Only entries of this part.", example="111122223333:eu-west-2")
_ID = {"id": ("The run's id.", "998204690743439166-aws-tenants-93e54c")}


def declare_start(blueprint: func.Blueprint, source: RegisteredSource) -> Any:
    """Make the function `start_<name>_import` of the blueprint."""

    @blueprint.queue_output("messages", queue_name=IMPORT_PARTS_QUEUE, connection="AzureWebJobsStorage")
    @endpoint(
        blueprint,
        "POST",
        f"v1/{source.kind}/{{name}}/imports",
        tag="runs",
        access=Role.OPERATOR,
        summary=f"Start an import of {source.document}",
        body=_STARTING,
        answers=_STARTED,
        refusals=[BODY, UNKNOWN, STORED, _STARTING_REFUSED],
    )
    @named(
        f"start_{source.name}_import",
        "`mode` says what: a `preview`, an `import`, to `apply` a preview, or to `confirm` what was withheld. "
        "Follow it by its run.",
    )
    def start(req: func.HttpRequest, messages: QueueMessages) -> func.HttpResponse:
        return _start_import(source.kind, req, messages)

    return start


STARTS = {source.kind: declare_start(runs_api, source) for source in SOURCES}


@endpoint(
    runs_api,
    "POST",
    "v1/aws-tenants/{name}/check",
    tag="runs",
    access=Role.OPERATOR,
    summary="Try the configuration of an AWS tenant",
    answers={200: "runs:TenantCheck"},
    refusals=[UNKNOWN, STORED],
)
def check_aws_tenant(req: func.HttpRequest) -> func.HttpResponse:
    """Who reads each account and region, what is missing, and what to do."""
    from shared.assets.checks import check_tenant
    from shared.assets.documents.aws_tenants import AwsTenantDocument
    from shared.assets.source import KIND, TenantSource

    stored = bootstrap.settings().get(AwsTenantDocument, req.route_params["name"], fresh=True)

    def open_source() -> TenantSource:
        return cast("TenantSource", bootstrap.imports().source_type(KIND).source(stored.name))

    findings = list(check_tenant(open_source, bootstrap.ec2(), bootstrap.asset_rows().any_active))
    return answer(
        200, {"ok": all(finding.ok for finding in findings), "items": [asdict(finding) for finding in findings]}
    )


@endpoint(
    runs_api,
    "GET",
    "v1/imports",
    tag="runs",
    access=Role.READER,
    summary="List the documents that are imported by schedule",
    query=PAGE,
    answers={200: "runs:ImportPage"},
    refusals=[PAGED, STORED],
)
def list_imports(req: func.HttpRequest) -> func.HttpResponse:
    """By kind and name: how the last import ended, the last success, and when the next one starts. `withheld` is what
    a guard holds back. `reason` and `warning` say why somebody has to look. Readiness and summary say the same.
    `unread` has the first ten parts in which nobody reads all any more. A document that is gone stands here too, while
    it has left active records."""
    items, following = bootstrap.import_statuses().page(*page_asked(req))
    return answer(200, {"items": [asdict(status) for status in items], "next": following})


@endpoint(
    runs_api,
    "GET",
    "v1/runs",
    tag="runs",
    access=Role.READER,
    summary="List runs",
    query=(*PAGE, _KIND, _NAME, _STATUS, _CUSTOMER),
    answers={200: "runs:RunPage"},
    refusals=[PAGED],
)
def list_runs(req: func.HttpRequest) -> func.HttpResponse:
    """Newest first; open ones with their progress. Runs are kept for a set time. A
    page of a customer's may be short, even empty, while `next` says that there is more."""
    limit, after = page_asked(req)
    asked = _KIND.read(req) or "", _NAME.read(req) or "", limit, after
    documents, states = documents_asked(_CUSTOMER.read(req)), _STATUS.read(req) or ()
    items, following = bootstrap.run_reports().page(*asked, documents, states)
    return answer(200, {"items": items, "next": following})


@endpoint(
    runs_api,
    "GET",
    "v1/runs/{id}",
    tag="runs",
    access=Role.READER,
    summary="Show a run with its parts",
    path=_ID,
    answers={200: "runs:RunWithParts"},
    refusals=[UNKNOWN],
)
def show_run(req: func.HttpRequest) -> func.HttpResponse:
    """With the first 200 parts by name, which of most runs are all; `parts_next` says where the list of parts goes
    on. While it is open, `counts` are its progress: `parts` and `parts_open`. What its parts did to records stands
    beside them up to 1,000 parts, and else when it has ended. `counts_at_least` says that there may be more: parts
    are still being created, or over 10,000 are open."""
    return answer(200, bootstrap.run_reports().run(req.route_params["id"]))


@endpoint(
    runs_api,
    "GET",
    "v1/runs/{id}/parts",
    tag="runs",
    access=Role.READER,
    summary="List the parts of a run",
    path=_ID,
    query=PAGE,
    answers={200: "runs:RunPartPage"},
    refusals=[PAGED, UNKNOWN],
)
def list_run_parts(req: func.HttpRequest) -> func.HttpResponse:
    """By name: each account and region, or the realm, with its state, counts and what went wrong."""
    items, following = bootstrap.run_reports().parts(req.route_params["id"], *page_asked(req))
    return answer(200, {"items": items, "next": following})


@endpoint(
    runs_api,
    "GET",
    "v1/runs/{id}/errors",
    tag="runs",
    access=Role.READER,
    summary="List what failed in a run",
    path=_ID,
    query=PAGE,
    answers={200: "runs:RunErrorPage"},
    refusals=[PAGED, UNKNOWN],
)
def list_run_errors(req: func.HttpRequest) -> func.HttpResponse:
    """Failed parts first, then records that could not be imported, were withheld, or changed since the preview.
    A page may be short, even empty, while `next` says that there is more."""
    items, following = bootstrap.run_reports().errors(req.route_params["id"], *page_asked(req))
    return answer(200, {"items": items, "next": following})


@endpoint(
    runs_api,
    "GET",
    "v1/runs/{id}/plan",
    tag="runs",
    access=Role.READER,
    summary="List the plan of a preview",
    path=_ID,
    query=(*PAGE, _ACTION, _PART),
    answers={200: "runs:PlanPage"},
    refusals=[PAGED, UNKNOWN],
)
def list_run_plan(req: func.HttpRequest) -> func.HttpResponse:
    """Every entry with its reasons, by action and part; of an import, what went wrong. A page may be short, even
    empty, while `next` says that there is more."""
    actions, part = _ACTION.read(req) or (), _PART.read(req) or ""
    items, following = bootstrap.run_reports().plan(req.route_params["id"], actions, part, *page_asked(req))
    return answer(200, {"items": items, "next": following})


def _start_import(kind: str, req: func.HttpRequest, messages: QueueMessages) -> func.HttpResponse:
    """Start a run of the document that the address names, as the body asks: of any source."""
    from functions.schemas.runs import StartImport
    from shared.imports.plan.model import Trigger

    asked = read_body(req, StartImport)
    started = bootstrap.run_starter().start(
        kind,
        req.route_params["name"],
        trigger=Trigger.SCHEDULED if asked.as_scheduled else Trigger.MANUAL,
        by=caller(),
        preview=asked.mode == "preview",
        apply=asked.run_id if asked.mode == "apply" else "",
        confirm=asked.run_id if asked.mode == "confirm" else "",
    )
    send(messages, started.messages)
    run = bootstrap.run_reports().run(started.run.id)
    return answer(202, run, headers={"Location": f"/api/v1/runs/{started.run.id}"})
