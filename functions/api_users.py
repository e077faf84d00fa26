"""Desk users over HTTP: list, show, add by hand, edit, release, history, explain; start and test imports of realms."""

from dataclasses import asdict
from typing import Any

import azure.functions as func

from functions.api_assets import read_body
from functions.api_runs import STARTED, STARTING, STARTING_REFUSED, start_import
from functions.endpoints import BODY, MOVED, PAGED, STORABLE, STORED, UNKNOWN, Content, endpoint
from functions.http_answers import answer, caller, json_body
from functions.query import FIELD, PAGE, VALUE, Query, filters_of, one_of, page_asked, text
from functions.queue_messages import QueueMessages
from shared import bootstrap
from shared.reasons import Reason
from shared.storage.names import IMPORT_PARTS_QUEUE

users_api = func.Blueprint()

_FILTERS: tuple[Query[Any], ...] = (
    text("realm", "Only those of this realm, by its id in AuthRocket.", example="rl_0v1zUreYgzlPDH4BMjVpQ4"),
    text("site", "Only those of this site, by the name of its document.", example="london-hq"),
    one_of("active", "Only those that are, or are not, active.", ("true", "false")),
    text("email", "Only those of this e-mail address.", example="jim@acorn.example"),
    FIELD,
    VALUE,
)
_ID = {
    "id": (
        "The user's id: `authrocket:<realm>:<user>`, or `manual:<id>`.",
        "authrocket:rl_0v1zUreYgzlPDH4BMjVpQ4:usr_0v1zUreYgzlPDH4BMjVpQ5",
    )
}
_VERSION = {"ETag": "The user's version, for `If-Match`."}
_NEW = {"id": "reception", "fields": {"name": "Reception desk", "email": "reception@acorn.example"}}
_EDIT = {"fields": {"name": "Jim Shorts"}, "release": []}


@users_api.queue_output("messages", queue_name=IMPORT_PARTS_QUEUE, connection="AzureWebJobsStorage")
@endpoint(
    users_api,
    "POST",
    "authrocket-realms/{name}/imports",
    tag="runs",
    summary="Start an import of an AuthRocket realm",
    body=STARTING,
    body_needed=False,
    answers=STARTED,
    refusals=[BODY, UNKNOWN, STORED, STARTING_REFUSED],
)
def start_authrocket_import(req: func.HttpRequest, messages: QueueMessages) -> func.HttpResponse:
    """An import, or a `preview`; or `apply` a preview, or `confirm` what a brake withheld. Follow it by its run."""
    return start_import("authrocket-realms", req, messages)


@endpoint(
    users_api,
    "POST",
    "authrocket-realms/{name}/check",
    tag="runs",
    summary="Try the configuration of an AuthRocket realm",
    answers={200: "runs:RealmCheckAnswer"},
    refusals=[UNKNOWN, STORED],
)
def check_authrocket_realm(req: func.HttpRequest) -> func.HttpResponse:
    """Endpoint, key, realm and permission, with one page; says in a sentence what is wrong."""
    from shared.users.checking import check_realm

    realms = bootstrap.realms()
    check = check_realm(realms.document(req.route_params["name"], fresh=True), realms)
    return answer(200, asdict(check))


@endpoint(
    users_api,
    "GET",
    "users",
    tag="users",
    summary="List users",
    query=(*PAGE, *_FILTERS),
    answers={200: "records:UserPage"},
    refusals=[PAGED],
)
def list_users(req: func.HttpRequest) -> func.HttpResponse:
    """By realm and id. A page may be short, even empty, while `next` says that there is more."""
    limit, after = page_asked(req)
    items, following = bootstrap.user_desk().page(filters_of(req, _FILTERS), size=limit, after=after)
    return answer(200, {"items": items, "next": following})


@endpoint(
    users_api,
    "POST",
    "users",
    tag="users",
    summary="Add a user by hand",
    body=Content("records:NewRecord", example=_NEW),
    answers={201: Content("records:UserAnswer", headers={**_VERSION, "Location": "The user's address."})},
    refusals=[BODY, STORABLE, STORED, {409: (Reason.ALREADY_EXISTS,)}],
)
def add_user(req: func.HttpRequest) -> func.HttpResponse:
    """An import may find it by e-mail address or reference, and then keeps it."""
    body = read_body(json_body(req), {"id": "", "fields": {}})
    shown, etag = bootstrap.user_desk().add(body["id"], body["fields"], by=caller(req))
    return answer(201, shown, etag=etag, headers={"Location": f"/api/users/{shown['id']}"})


@endpoint(
    users_api,
    "GET",
    "users/{id}",
    tag="users",
    summary="Show a user",
    path=_ID,
    answers={200: Content("records:UserAnswer", headers=_VERSION)},
    refusals=[UNKNOWN],
)
def show_user(req: func.HttpRequest) -> func.HttpResponse:
    shown, etag = bootstrap.user_desk().get(req.route_params["id"])
    return answer(200, shown, etag=etag)


@endpoint(
    users_api,
    "PATCH",
    "users/{id}",
    tag="users",
    summary="Edit a user",
    path=_ID,
    body=Content("records:RecordEdit", example=_EDIT),
    answers={200: Content("records:UserAnswer", headers=_VERSION)},
    refusals=[BODY, STORABLE, STORED, UNKNOWN, MOVED, {409: (Reason.VERSION_NEEDED,)}],
    if_match="The ETag of the version that was read, or `*` for any version. It is needed.",
)
def edit_user(req: func.HttpRequest) -> func.HttpResponse:
    """`fields` then stay as they are set, whatever the source says; `release` gives fields back to the import."""
    body = read_body(json_body(req), {"fields": {}, "release": []})
    shown, etag = bootstrap.user_desk().edit(
        req.route_params["id"],
        body["fields"],
        body["release"],
        by=caller(req),
        if_match=req.headers.get("If-Match"),
    )
    return answer(200, shown, etag=etag)


@endpoint(
    users_api,
    "GET",
    "users/{id}/history",
    tag="users",
    summary="List what changed of a user",
    path=_ID,
    query=PAGE,
    answers={200: "records:HistoryPage"},
    refusals=[PAGED, UNKNOWN],
)
def list_user_history(req: func.HttpRequest) -> func.HttpResponse:
    """From, to, when, by which run, event or person; newest first."""
    items, following = bootstrap.user_desk().history(req.route_params["id"], *page_asked(req))
    return answer(200, {"items": items, "next": following})


@endpoint(
    users_api,
    "GET",
    "users/{id}/explain",
    tag="users",
    summary="Explain a user",
    path=_ID,
    answers={200: "records:UserExplanation"},
    refusals=[UNKNOWN, STORED],
)
def explain_user(req: func.HttpRequest) -> func.HttpResponse:
    """Why it is as it is: the user as last read, each value with its expression, what gave the site, and the newest
    changes."""
    return answer(200, bootstrap.user_desk().explain(req.route_params["id"]))
