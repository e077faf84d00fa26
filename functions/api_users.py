"""Desk users over HTTP: list, show, add by hand, edit, release, history, explain; start and test imports of realms."""

from dataclasses import asdict

import azure.functions as func

from functions.api_assets import read_body
from functions.api_runs import page_size, start_import
from functions.http_answers import answer, caller, json_body, problems
from functions.queue_messages import QueueMessages
from shared import bootstrap
from shared.storage.names import IMPORT_PARTS_QUEUE

users_api = func.Blueprint()

_FILTERS = ("realm", "site", "active", "email", "field", "value")


@users_api.route("authrocket-realms/{name}/imports", methods=["POST"])
@users_api.queue_output("messages", queue_name=IMPORT_PARTS_QUEUE, connection="AzureWebJobsStorage")
@problems
def start_authrocket_import(req: func.HttpRequest, messages: QueueMessages) -> func.HttpResponse:
    """Start an import of a realm: `preview`, `as_scheduled`, `apply` a preview, or `confirm` what a brake withheld."""
    return start_import("authrocket-realms", req, messages)


@users_api.route("authrocket-realms/{name}/check", methods=["POST"])
@problems
def check_authrocket_realm(req: func.HttpRequest) -> func.HttpResponse:
    """Test configuration: endpoint, key, realm and permission, with one page; in a sentence what is wrong."""
    from shared.users.checking import check_realm

    realms = bootstrap.realms()
    check = check_realm(realms.document(req.route_params["name"], fresh=True), realms)
    return answer(200, asdict(check))


@users_api.route("users", methods=["GET"])
@problems
def list_users(req: func.HttpRequest) -> func.HttpResponse:
    """Users; `realm`, `site`, `active`, `email`, or `field` with `value` narrow. A page may be short."""
    filters = {name: req.params[name] for name in _FILTERS if req.params.get(name)}
    items, following = bootstrap.user_desk().page(filters, size=page_size(req), after=req.params.get("after"))
    return answer(200, {"items": items, "next": following})


@users_api.route("users", methods=["POST"])
@problems
def add_user(req: func.HttpRequest) -> func.HttpResponse:
    """A user made by hand: `id`, and `fields`. An import may find it by e-mail address or reference."""
    body = read_body(json_body(req), {"id": "", "fields": {}})
    shown, etag = bootstrap.user_desk().add(body["id"], body["fields"], by=caller(req))
    return answer(201, shown, etag=etag, headers={"Location": f"/api/users/{shown['id']}"})


@users_api.route("users/{id}", methods=["GET"])
@problems
def show_user(req: func.HttpRequest) -> func.HttpResponse:
    shown, etag = bootstrap.user_desk().get(req.route_params["id"])
    return answer(200, shown, etag=etag)


@users_api.route("users/{id}", methods=["PATCH"])
@problems
def edit_user(req: func.HttpRequest) -> func.HttpResponse:
    """Set `fields`, which then stay as they are set; `release` gives fields back to the import."""
    body = read_body(json_body(req), {"fields": {}, "release": []})
    shown, etag = bootstrap.user_desk().edit(
        req.route_params["id"],
        body["fields"],
        body["release"],
        by=caller(req),
        if_match=req.headers.get("If-Match"),
    )
    return answer(200, shown, etag=etag)


@users_api.route("users/{id}/history", methods=["GET"])
@problems
def list_user_history(req: func.HttpRequest) -> func.HttpResponse:
    """What changed, from, to, when, by which run, event or person; newest first."""
    return answer(200, {"items": bootstrap.user_desk().history(req.route_params["id"]), "next": None})


@users_api.route("users/{id}/explain", methods=["GET"])
@problems
def explain_user(req: func.HttpRequest) -> func.HttpResponse:
    """Why the user is as it is."""
    return answer(200, bootstrap.user_desk().explain(req.route_params["id"]))
