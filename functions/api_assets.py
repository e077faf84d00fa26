"""Assets over HTTP: list, show, add by hand, edit, release, history, explain."""

from typing import Any

import azure.functions as func

from functions.api_runs import page_size
from functions.http_answers import answer, caller, json_body, problems
from shared import bootstrap
from shared.errors import Fault, InvalidInputError
from shared.reasons import Reason

assets_api = func.Blueprint()

_FILTERS = ("account", "region", "type", "site", "active", "field", "value")
_WORDS: dict[type[Any], str] = {str: "text", dict: "object", list: "list"}


@assets_api.route("assets", methods=["GET"])
@problems
def list_assets(req: func.HttpRequest) -> func.HttpResponse:
    """Assets; `account`, `region`, `type`, `site`, `active`, or `field` with `value` narrow. A page may be short."""
    filters = {name: req.params[name] for name in _FILTERS if req.params.get(name)}
    items, following = bootstrap.asset_desk().page(filters, size=page_size(req), after=req.params.get("after"))
    return answer(200, {"items": items, "next": following})


@assets_api.route("assets", methods=["POST"])
@problems
def add_asset(req: func.HttpRequest) -> func.HttpResponse:
    """An asset made by hand: `id`, and `fields`. An import may find it by the matching field."""
    body = read_body(json_body(req), {"id": "", "fields": {}})
    shown, etag = bootstrap.asset_desk().add(body["id"], body["fields"], by=caller(req))
    return answer(201, shown, etag=etag, headers={"Location": f"/api/assets/{shown['id']}"})


@assets_api.route("assets/{id}", methods=["GET"])
@problems
def show_asset(req: func.HttpRequest) -> func.HttpResponse:
    shown, etag = bootstrap.asset_desk().get(req.route_params["id"])
    return answer(200, shown, etag=etag)


@assets_api.route("assets/{id}", methods=["PATCH"])
@problems
def edit_asset(req: func.HttpRequest) -> func.HttpResponse:
    """Set `fields`, which then stay as they are set; `release` gives fields back to the import."""
    body = read_body(json_body(req), {"fields": {}, "release": []})
    shown, etag = bootstrap.asset_desk().edit(
        req.route_params["id"],
        body["fields"],
        body["release"],
        by=caller(req),
        if_match=req.headers.get("If-Match"),
    )
    return answer(200, shown, etag=etag)


@assets_api.route("assets/{id}/history", methods=["GET"])
@problems
def list_asset_history(req: func.HttpRequest) -> func.HttpResponse:
    """What changed, from, to, when, by which run or person; newest first."""
    return answer(200, {"items": bootstrap.asset_desk().history(req.route_params["id"]), "next": None})


@assets_api.route("assets/{id}/explain", methods=["GET"])
@problems
def explain_asset(req: func.HttpRequest) -> func.HttpResponse:
    """Why the asset is as it is."""
    return answer(200, bootstrap.asset_desk().explain(req.route_params["id"]))


def read_body(body: Any, defaults: dict[str, Any]) -> dict[str, Any]:
    """The members of a JSON object, each of its default's type; raises InvalidInputError with every fault."""
    faults: list[Fault] = []
    if not isinstance(body, dict):
        body, faults = {}, [Fault("", "must be a JSON object")]
    read = dict(defaults)
    for name, value in body.items():
        if name not in defaults:
            faults.append(Fault(str(name), "there is no such field"))
        elif not isinstance(value, type(defaults[name])):
            faults.append(Fault(name, f"must be a {_WORDS[type(defaults[name])]}"))
        elif isinstance(value, list) and not all(isinstance(member, str) for member in value):
            faults.append(Fault(name, "must be a list of texts"))
        else:
            read[name] = value
    if faults:
        listed = "; ".join(f"{fault.path}: {fault.message}" for fault in faults)
        raise InvalidInputError(Reason.BODY_NOT_READABLE, f"The body has faults: {listed}.", faults=faults)
    return read
