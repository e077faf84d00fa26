"""The endpoints that every kind of record has: list, add by hand, show, edit, history, explain. Declared once."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import azure.functions as func

from functions.http.access import caller
from functions.http.answers import answer
from functions.http.bodies import read_body
from functions.http.customers import check_site, find_seen, next_shown, page_seen, sites_asked, version_asked
from functions.http.endpoints import BODY, MOVED, PAGED, STORABLE, STORED, UNKNOWN, Content, endpoint, named
from functions.http.if_match import if_match_of
from functions.http.query import CUSTOMER, PAGE, SEARCH, UPDATED_AFTER, Query, filters_of, one_of
from shared.access.roles import Role
from shared.reasons import Reason

if TYPE_CHECKING:
    from shared.assets.desk import AssetDesk
    from shared.users.desk import UserDesk


_ACTIVE = one_of("active", "Only those that are, or are not, active.", ("true", "false"))


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

    @property
    def thing(self) -> str:
        """One of them in a sentence, such as "an asset"."""
        return f"{self.article} {self.one}"

    @property
    def shown(self) -> str:
        """The place of the model that shows one."""
        return f"records:{self.model}Answer"

    @property
    def version(self) -> Mapping[str, str]:
        """The header that carries the version of one."""
        return {"ETag": f"The {self.one}'s version in quotes, for `If-Match`."}


def declare_records(blueprint: func.Blueprint, records: Records) -> tuple[Any, ...]:
    """Make the functions `list_<many>`, `add_<one>`, `show_<one>`, `edit_<one>`, `list_<one>_history` and
    `explain_<one>` of the blueprint; in this order."""
    declare = (_declare_list, _declare_add, _declare_show, _declare_edit, _declare_history, _declare_explain)
    return tuple(one(blueprint, records) for one in declare)


def _seen(records: Records, req: func.HttpRequest) -> tuple[Mapping[str, Any], str]:
    """The record of the address and its version. Raises NotFoundError for what the caller does not see."""
    return find_seen(lambda: records.desk().get(req.route_params["id"]), lambda found: found[0]["site"], records.one)


def _declare_list(blueprint: func.Blueprint, records: Records) -> Any:
    @endpoint(
        blueprint,
        "GET",
        f"v1/{records.many}",
        tag=records.many,
        access=Role.READER,
        by_customer=True,
        summary=f"List {records.many}",
        query=(*PAGE, SEARCH, *records.filters, _ACTIVE, CUSTOMER, UPDATED_AFTER),
        answers={200: f"records:{records.model}Page"},
        refusals=[PAGED],
    )
    @named(f"list_{records.many}", records.about_list)
    def list_records(req: func.HttpRequest) -> func.HttpResponse:
        limit, after = page_seen(req)
        from shared.records.desk import RecordFilters

        active = _ACTIVE.read(req)
        filters = RecordFilters(
            filters_of(req, records.filters),
            q=SEARCH.read(req),
            active=None if active is None else active == "true",
            updated_after=UPDATED_AFTER.read(req),
        )
        sites = sites_asked(CUSTOMER.read(req))
        items, following, as_of = records.desk().page(filters, size=limit, after=after, sites=sites)
        return answer(200, {"items": items, "next": next_shown(following), "as_of": as_of})

    return list_records


def _declare_add(blueprint: func.Blueprint, records: Records) -> Any:
    @endpoint(
        blueprint,
        "POST",
        f"v1/{records.many}",
        tag=records.many,
        access=Role.OPERATOR,
        by_customer=True,
        summary=f"Add {records.thing} by hand",
        body=Content("records:NewRecord", example=records.new),
        answers={201: Content(records.shown, headers={**records.version, "Location": f"The {records.one}'s address."})},
        refusals=[BODY, STORABLE, STORED, {409: (Reason.ALREADY_EXISTS,)}],
    )
    @named(f"add_{records.one}", records.about_add)
    def add_record(req: func.HttpRequest) -> func.HttpResponse:
        from functions.schemas.records import NewRecord

        body = read_body(req, NewRecord)
        check_site(body.fields.get("site"))
        record, etag = records.desk().add(body.id, body.fields, by=caller())
        return answer(
            201, record, etag=etag, headers={"Location": f"/api/v1/{records.many}/{quote(record['id'], safe=':')}"}
        )

    return add_record


def _declare_show(blueprint: func.Blueprint, records: Records) -> Any:
    @endpoint(
        blueprint,
        "GET",
        f"v1/{records.many}/{{id}}",
        tag=records.many,
        access=Role.READER,
        by_customer=True,
        summary=f"Show {records.thing}",
        path={"id": records.id},
        answers={200: Content(records.shown, headers=records.version)},
        refusals=[UNKNOWN],
    )
    @named(f"show_{records.one}")
    def show_record(req: func.HttpRequest) -> func.HttpResponse:
        record, etag = _seen(records, req)
        return answer(200, record, etag=etag)

    return show_record


def _declare_edit(blueprint: func.Blueprint, records: Records) -> Any:
    @endpoint(
        blueprint,
        "PATCH",
        f"v1/{records.many}/{{id}}",
        tag=records.many,
        access=Role.OPERATOR,
        by_customer=True,
        summary=f"Edit {records.thing}",
        path={"id": records.id},
        body=Content("records:RecordEdit", example=records.edit),
        answers={200: Content(records.shown, headers=records.version)},
        refusals=[BODY, STORABLE, STORED, UNKNOWN, MOVED, {409: (Reason.VERSION_NEEDED,)}],
        if_match="The ETag of the version that was read, quoted or bare, or `*` for any version. It is needed.",
    )
    @named(
        f"edit_{records.one}",
        "`fields` then stay as they are set, whatever the source says; `release` gives fields back to the import, "
        "`*` all of them.",
    )
    def edit_record(req: func.HttpRequest) -> func.HttpResponse:
        from functions.schemas.records import RecordEdit

        body = read_body(req, RecordEdit)
        _, seen = _seen(records, req)
        if "site" in body.fields:
            check_site(body.fields["site"])
        record, etag = records.desk().edit(
            req.route_params["id"],
            body.fields,
            body.release,
            by=caller(),
            if_match=version_asked(if_match_of(req), seen),
        )
        return answer(200, record, etag=etag)

    return edit_record


def _declare_history(blueprint: func.Blueprint, records: Records) -> Any:
    @endpoint(
        blueprint,
        "GET",
        f"v1/{records.many}/{{id}}/history",
        tag=records.many,
        access=Role.READER,
        by_customer=True,
        summary=f"List what changed of {records.thing}",
        path={"id": records.id},
        query=PAGE,
        answers={200: "records:HistoryPage"},
        refusals=[PAGED, UNKNOWN],
    )
    @named(f"list_{records.one}_history", records.about_history)
    def list_history(req: func.HttpRequest) -> func.HttpResponse:
        _seen(records, req)
        items, following = records.desk().history(req.route_params["id"], *page_seen(req))
        return answer(200, {"items": items, "next": next_shown(following)})

    return list_history


def _declare_explain(blueprint: func.Blueprint, records: Records) -> Any:
    @endpoint(
        blueprint,
        "GET",
        f"v1/{records.many}/{{id}}/explain",
        tag=records.many,
        access=Role.READER,
        by_customer=True,
        summary=f"Explain {records.thing}",
        path={"id": records.id},
        answers={200: f"records:{records.model}Explanation"},
        refusals=[UNKNOWN, STORED],
    )
    @named(f"explain_{records.one}", records.about_explain)
    def explain_record(req: func.HttpRequest) -> func.HttpResponse:
        _seen(records, req)
        return answer(200, records.desk().explain(req.route_params["id"]))

    return explain_record
