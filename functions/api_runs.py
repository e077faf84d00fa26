"""Runs over HTTP: start and test imports, follow runs, read errors and plans."""

from dataclasses import asdict
from typing import Any

import azure.functions as func

from functions.http_answers import answer, caller, json_body, problems
from functions.import_schedules import send
from functions.queue_messages import QueueMessages
from shared import bootstrap
from shared.errors import Fault, InvalidInputError
from shared.reasons import Reason
from shared.storage.names import IMPORT_PARTS_QUEUE

runs_api = func.Blueprint()

_PAGE = 50
_LARGEST_PAGE = 500


@runs_api.route("aws-tenants/{name}/imports", methods=["POST"])
@runs_api.queue_output("messages", queue_name=IMPORT_PARTS_QUEUE, connection="AzureWebJobsStorage")
@problems
def start_ec2_import(req: func.HttpRequest, messages: QueueMessages) -> func.HttpResponse:
    """Start an import of a tenant: `preview`, `as_scheduled`, `apply` a preview, or `confirm` what a brake withheld."""
    return start_import("ec2", req, messages)


@runs_api.route("aws-tenants/{name}/check", methods=["POST"])
@problems
def check_aws_tenant(req: func.HttpRequest) -> func.HttpResponse:
    """Test configuration: who reads each account and region, what is missing, and what mends it."""
    from shared.assets.checking import check_tenant
    from shared.settings.documents.aws_tenants import AwsTenantDocument

    stored = bootstrap.settings().get(AwsTenantDocument, req.route_params["name"], fresh=True)
    findings = list(check_tenant(stored.document, bootstrap.ec2()))
    return answer(
        200, {"ok": all(finding.ok for finding in findings), "items": [asdict(finding) for finding in findings]}
    )


@runs_api.route("imports", methods=["GET"])
@problems
def list_imports(req: func.HttpRequest) -> func.HttpResponse:
    """Every document that is imported by schedule: its last success, and a warning when that is too old."""
    del req
    items = [asdict(freshness) for freshness in bootstrap.run_keeper().freshness()]
    return answer(200, {"items": items, "next": None})


@runs_api.route("runs", methods=["GET"])
@problems
def list_runs(req: func.HttpRequest) -> func.HttpResponse:
    """Runs, newest first; `kind` and `name` narrow."""
    items, following = bootstrap.run_reports().page(
        req.params.get("kind", ""), req.params.get("name", ""), page_size(req), req.params.get("after")
    )
    return answer(200, {"items": items, "next": following})


@runs_api.route("runs/{id}", methods=["GET"])
@problems
def show_run(req: func.HttpRequest) -> func.HttpResponse:
    """One run with its parts."""
    return answer(200, bootstrap.run_reports().run(req.route_params["id"]))


@runs_api.route("runs/{id}/errors", methods=["GET"])
@problems
def list_run_errors(req: func.HttpRequest) -> func.HttpResponse:
    """What failed in a run: parts, and records row by row."""
    items, following = bootstrap.run_reports().errors(req.route_params["id"], req.params.get("after"))
    return answer(200, {"items": items, "next": following})


@runs_api.route("runs/{id}/plan", methods=["GET"])
@problems
def list_run_plan(req: func.HttpRequest) -> func.HttpResponse:
    """The plan of a preview; `action` (several with commas) and `part` narrow."""
    from shared.imports.model import Action

    actions = [action for action in req.params.get("action", "").split(",") if action]
    unknown = [action for action in actions if action not in set(Action)]
    if unknown:
        known = ", ".join(Action)
        raise InvalidInputError(
            Reason.PARAMETER_INVALID,
            f"There is no action {', '.join(unknown)}; there are {known}.",
            faults=[Fault("action", f"must be of {known}")],
        )
    items, following = bootstrap.run_reports().plan(
        req.route_params["id"], actions, req.params.get("part", ""), req.params.get("after")
    )
    return answer(200, {"items": items, "next": following})


def start_import(kind: str, req: func.HttpRequest, messages: QueueMessages) -> func.HttpResponse:
    """Start a run of the document that the address names, as the body asks: of any source."""
    from shared.imports.model import Trigger

    body = json_body(req) if req.get_body() else {}
    asked = _read_start(body)
    started = bootstrap.imports().start(
        kind,
        req.route_params["name"],
        trigger=Trigger.SCHEDULED if asked["as_scheduled"] else Trigger.MANUAL,
        by=caller(req),
        preview=asked["preview"],
        apply=asked["apply"],
        confirm=asked["confirm"],
    )
    send(messages, started.messages)
    run = bootstrap.run_reports().run(started.run.id)
    return answer(202, run, headers={"Location": f"/api/runs/{started.run.id}"})


def page_size(req: func.HttpRequest) -> int:
    """`limit`, from 1 to 500."""
    text = req.params.get("limit", str(_PAGE))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _LARGEST_PAGE:
        raise InvalidInputError(Reason.PARAMETER_INVALID, f"limit must be a whole number from 1 to {_LARGEST_PAGE}.")
    return int(text)


def _read_start(body: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {"preview": False, "as_scheduled": False, "apply": "", "confirm": ""}
    faults: list[Fault] = []
    if not isinstance(body, dict):
        body, faults = {}, [Fault("", "must be a JSON object")]
    for name, value in body.items():
        if name not in asked:
            faults.append(Fault(str(name), "there is no such field"))
        elif type(value) is not type(asked[name]):
            faults.append(Fault(name, f"must be {'true or false' if isinstance(asked[name], bool) else 'a text'}"))
        else:
            asked[name] = value
    if asked["as_scheduled"] and not asked["preview"]:
        faults.append(Fault("as_scheduled", "is for a preview: imports that are started by hand deactivate nothing"))
    if faults:
        listed = "; ".join(f"{fault.path}: {fault.message}" for fault in faults)
        raise InvalidInputError(Reason.BODY_NOT_READABLE, f"The body has faults: {listed}.", faults=faults)
    return asked
