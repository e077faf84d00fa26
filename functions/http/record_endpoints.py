"""The endpoints that every kind of record has: list, add by hand, show, edit, history, explain. Declared once."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import azure.functions as func

from functions.http.answers import answer, caller
from functions.http.bodies import read_body
from functions.http.endpoints import BODY, MOVED, PAGED, STORABLE, STORED, UNKNOWN, Content, endpoint, named
from functions.http.if_match import if_match_of
from functions.http.query import PAGE, Query, filters_of, page_asked
from shared.reasons import Reason

if TYPE_CHECKING:
    from shared.assets.desk import AssetDesk
    from shared.users.desk import UserDesk


class Records(NamedTuple):
    """What is different between the kinds. `one` is the singular of `many`, which is the first part of the addresses.

    The models of the answers are named after `model`, as in `AssetPage`. `about_…` are the endpoints' descriptions.
    """

    one: str
    many: str
    article: str
    model: str
    desk: "Callable[[], AssetDesk | UserDesk]"
    filters: Sequence[Query[Any]]
    id: tuple[str, str]
    new: Mapping[str, Any]
    edit: Mapping[str, Any]
    about_list: str
    about_add: str
    about_history: str
    about_explain: str


def declare_records(blueprint: func.Blueprint, records: Records) -> tuple[Any, Any, Any, Any, Any, Any]:
    """Make the functions `list_<many>`, `add_<one>`, `show_<one>`, `edit_<one>`, `list_<one>_history` and
    `explain_<one>` of the blueprint; in this order."""
    one, many, desk = records.one, records.many, records.desk
    thing = f"{records.article} {one}"
    path = {"id": records.id}
    version = {"ETag": f"The {one}'s version in quotes, for `If-Match`."}
    shown = f"records:{records.model}Answer"

    @endpoint(
        blueprint,
        "GET",
        f"v1/{many}",
        tag=many,
        summary=f"List {many}",
        query=(*PAGE, *records.filters),
        answers={200: f"records:{records.model}Page"},
        refusals=[PAGED],
    )
    @named(f"list_{many}", records.about_list)
    def list_records(req: func.HttpRequest) -> func.HttpResponse:
        limit, after = page_asked(req)
        items, following = desk().page(filters_of(req, records.filters), size=limit, after=after)
        return answer(200, {"items": items, "next": following})

    @endpoint(
        blueprint,
        "POST",
        f"v1/{many}",
        tag=many,
        summary=f"Add {thing} by hand",
        body=Content("records:NewRecord", example=records.new),
        answers={201: Content(shown, headers={**version, "Location": f"The {one}'s address."})},
        refusals=[BODY, STORABLE, STORED, {409: (Reason.ALREADY_EXISTS,)}],
    )
    @named(f"add_{one}", records.about_add)
    def add_record(req: func.HttpRequest) -> func.HttpResponse:
        from functions.schemas.records import NewRecord

        body = read_body(req, NewRecord)
        record, etag = desk().add(body.id, body.fields, by=caller(req))
        return answer(201, record, etag=etag, headers={"Location": f"/api/v1/{many}/{quote(record['id'], safe=':')}"})

    @endpoint(
        blueprint,
        "GET",
        f"v1/{many}/{{id}}",
        tag=many,
        summary=f"Show {thing}",
        path=path,
        answers={200: Content(shown, headers=version)},
        refusals=[UNKNOWN],
    )
    @named(f"show_{one}")
    def show_record(req: func.HttpRequest) -> func.HttpResponse:
        record, etag = desk().get(req.route_params["id"])
        return answer(200, record, etag=etag)

    @endpoint(
        blueprint,
        "PATCH",
        f"v1/{many}/{{id}}",
        tag=many,
        summary=f"Edit {thing}",
        path=path,
        body=Content("records:RecordEdit", example=records.edit),
        answers={200: Content(shown, headers=version)},
        refusals=[BODY, STORABLE, STORED, UNKNOWN, MOVED, {409: (Reason.VERSION_NEEDED,)}],
        if_match="The ETag of the version that was read, quoted or bare, or `*` for any version. It is needed.",
    )
    @named(
        f"edit_{one}",
        "`fields` then stay as they are set, whatever the source says; `release` gives fields back to the import.",
    )
    def edit_record(req: func.HttpRequest) -> func.HttpResponse:
        from functions.schemas.records import RecordEdit

        body = read_body(req, RecordEdit)
        record, etag = desk().edit(
            req.route_params["id"],
            body.fields,
            body.release,
            by=caller(req),
            if_match=if_match_of(req),
        )
        return answer(200, record, etag=etag)

    @endpoint(
        blueprint,
        "GET",
        f"v1/{many}/{{id}}/history",
        tag=many,
        summary=f"List what changed of {thing}",
        path=path,
        query=PAGE,
        answers={200: "records:HistoryPage"},
        refusals=[PAGED, UNKNOWN],
    )
    @named(f"list_{one}_history", records.about_history)
    def list_history(req: func.HttpRequest) -> func.HttpResponse:
        items, following = desk().history(req.route_params["id"], *page_asked(req))
        return answer(200, {"items": items, "next": following})

    @endpoint(
        blueprint,
        "GET",
        f"v1/{many}/{{id}}/explain",
        tag=many,
        summary=f"Explain {thing}",
        path=path,
        answers={200: f"records:{records.model}Explanation"},
        refusals=[UNKNOWN, STORED],
    )
    @named(f"explain_{one}", records.about_explain)
    def explain_record(req: func.HttpRequest) -> func.HttpResponse:
        return answer(200, desk().explain(req.route_params["id"]))

    return list_records, add_record, show_record, edit_record, list_history, explain_record
