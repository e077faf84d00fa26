"""Assets over HTTP: list, show, add by hand, edit, release, history, explain."""

from typing import Any

import azure.functions as func

from functions.endpoints import BODY, MOVED, PAGED, STORABLE, STORED, UNKNOWN, Content, endpoint
from functions.http_answers import answer, caller, json_body
from functions.query import FIELD, PAGE, VALUE, Query, filters_of, one_of, page_asked, text
from shared import bootstrap
from shared.errors import Fault, InvalidInputError
from shared.reasons import Reason

assets_api = func.Blueprint()

_FILTERS: tuple[Query[Any], ...] = (
    text("account", "Only those of this AWS account.", example="111122223333"),
    text("region", "With `account`: only those of this region.", example="eu-west-2"),
    text("type", "Only those of this asset type, by the name of its document.", example="application-server"),
    text("site", "Only those of this site, by the name of its document.", example="london-hq"),
    one_of("active", "Only those that are, or are not, active.", ("true", "false")),
    FIELD,
    VALUE,
)
_WORDS: dict[type[Any], str] = {str: "text", dict: "object", list: "list"}
_ID = {
    "id": (
        "The asset's id: `aws:<account>:<region>:<instance>`, or `manual:<id>`.",
        "aws:111122223333:eu-west-2:i-0123456789abcdef0",
    )
}
_VERSION = {"ETag": "The asset's version, for `If-Match`."}
_NEW = {"id": "SERV-100", "fields": {"name": "Rack 4 switch", "type": "application-server"}}
_EDIT = {"fields": {"name": "Web server 1"}, "release": []}


@endpoint(
    assets_api,
    "GET",
    "assets",
    tag="assets",
    summary="List assets",
    query=(*PAGE, *_FILTERS),
    answers={200: "records:AssetPage"},
    refusals=[PAGED],
)
def list_assets(req: func.HttpRequest) -> func.HttpResponse:
    """By account, region and id. A page may be short, even empty, while `next` says that there is more."""
    limit, after = page_asked(req)
    items, following = bootstrap.asset_desk().page(filters_of(req, _FILTERS), size=limit, after=after)
    return answer(200, {"items": items, "next": following})


@endpoint(
    assets_api,
    "POST",
    "assets",
    tag="assets",
    summary="Add an asset by hand",
    body=Content("records:NewRecord", example=_NEW),
    answers={201: Content("records:AssetAnswer", headers={**_VERSION, "Location": "The asset's address."})},
    refusals=[BODY, STORABLE, STORED, {409: (Reason.ALREADY_EXISTS,)}],
)
def add_asset(req: func.HttpRequest) -> func.HttpResponse:
    """An import may find it by the matching field, and then keeps it."""
    body = read_body(json_body(req), {"id": "", "fields": {}})
    shown, etag = bootstrap.asset_desk().add(body["id"], body["fields"], by=caller(req))
    return answer(201, shown, etag=etag, headers={"Location": f"/api/assets/{shown['id']}"})


@endpoint(
    assets_api,
    "GET",
    "asset-sources",
    tag="assets",
    summary="List what a mapping can take from an instance",
    query=PAGE,
    answers={200: "records:AssetSourcePage"},
    refusals=[PAGED],
)
def list_asset_sources(req: func.HttpRequest) -> func.HttpResponse:
    """The usual expressions over an EC2 instance, each with what it gives. Any other JMESPath expression is fine
    too."""
    from shared.assets.model import STANDARD_SOURCES
    from shared.storage.positions import page_of

    page, following = page_of(STANDARD_SOURCES.items(), lambda entry: entry[0], *page_asked(req))
    return answer(200, {"items": [{"source": source, "about": about} for source, about in page], "next": following})


@endpoint(
    assets_api,
    "GET",
    "assets/{id}",
    tag="assets",
    summary="Show an asset",
    path=_ID,
    answers={200: Content("records:AssetAnswer", headers=_VERSION)},
    refusals=[UNKNOWN],
)
def show_asset(req: func.HttpRequest) -> func.HttpResponse:
    shown, etag = bootstrap.asset_desk().get(req.route_params["id"])
    return answer(200, shown, etag=etag)


@endpoint(
    assets_api,
    "PATCH",
    "assets/{id}",
    tag="assets",
    summary="Edit an asset",
    path=_ID,
    body=Content("records:RecordEdit", example=_EDIT),
    answers={200: Content("records:AssetAnswer", headers=_VERSION)},
    refusals=[BODY, STORABLE, STORED, UNKNOWN, MOVED, {409: (Reason.VERSION_NEEDED,)}],
    if_match="The ETag of the version that was read, or `*` for any version. It is needed.",
)
def edit_asset(req: func.HttpRequest) -> func.HttpResponse:
    """`fields` then stay as they are set, whatever the source says; `release` gives fields back to the import."""
    body = read_body(json_body(req), {"fields": {}, "release": []})
    shown, etag = bootstrap.asset_desk().edit(
        req.route_params["id"],
        body["fields"],
        body["release"],
        by=caller(req),
        if_match=req.headers.get("If-Match"),
    )
    return answer(200, shown, etag=etag)


@endpoint(
    assets_api,
    "GET",
    "assets/{id}/history",
    tag="assets",
    summary="List what changed of an asset",
    path=_ID,
    query=PAGE,
    answers={200: "records:HistoryPage"},
    refusals=[PAGED, UNKNOWN],
)
def list_asset_history(req: func.HttpRequest) -> func.HttpResponse:
    """From, to, when, by which run or person; newest first."""
    items, following = bootstrap.asset_desk().history(req.route_params["id"], *page_asked(req))
    return answer(200, {"items": items, "next": following})


@endpoint(
    assets_api,
    "GET",
    "assets/{id}/explain",
    tag="assets",
    summary="Explain an asset",
    path=_ID,
    answers={200: "records:AssetExplanation"},
    refusals=[UNKNOWN, STORED],
)
def explain_asset(req: func.HttpRequest) -> func.HttpResponse:
    """Why it is as it is: the instance as last read, each value with its expression, what gave type and site, and
    the newest changes."""
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
