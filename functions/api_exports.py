"""Exports over HTTP: tickets, objects, assets and users as CSV or JSON lines, page by page."""

from urllib.parse import urlencode

import azure.functions as func

from functions.http.answers import NO_STORE
from functions.http.endpoints import PAGED, UNKNOWN, Content, endpoint
from functions.http.query import AFTER, one_of, whole_number
from shared import bootstrap
from shared.access.roles import Role
from shared.errors import NotFoundError
from shared.reasons import Reason

exports_api = func.Blueprint()

_MOST = 100_000
_FORMAT = one_of("format", "CSV (RFC 4180), or one JSON object a line.", ("csv", "jsonl"), default="csv")
_LIMIT = whole_number("limit", "The largest number of records of the page.", least=1, most=_MOST, default=_MOST)
_NEXT = {
    "Link": "`<address>; rel=next` (RFC 8288) while there is more. The pages, one after the other, are one file.",
    "X-Deskbridge-Next": "The `after` of the next page, while there is more.",
}


@endpoint(
    exports_api,
    "GET",
    "v1/exports/{what}",
    tag="exports",
    access=Role.READER,
    summary="Export tickets, objects, assets or users",
    query=(_FORMAT, _LIMIT, AFTER),
    path={"what": ("`tickets`, `objects`, `assets` or `users`.", "assets")},
    answers={
        200: (
            Content(
                media_type="text/csv",
                about="A page of records. No cell of it is a formula, whatever separator a spreadsheet reads it with.",
                headers=_NEXT,
            ),
            Content(media_type="application/x-ndjson"),
        )
    },
    refusals=[PAGED, UNKNOWN, {503: (Reason.DOCUMENT_INVALID,)}],
)
def export_records(req: func.HttpRequest) -> func.HttpResponse:
    """All of them, finished, gone and inactive ones too. The host sends an answer only when it is whole, so a page
    has at most 10 MB, and is made within about a minute: follow `Link` until there is none. A page may be short, even
    empty."""
    from shared.overview.exports import WHAT

    what = req.route_params["what"]
    if what not in WHAT:
        raise NotFoundError(Reason.NOT_FOUND, f"There is no export {what!r}; there are {', '.join(WHAT)}.")
    form, limit, after = _FORMAT.read(req) or "csv", _LIMIT.read(req) or _MOST, AFTER.read(req)
    page = bootstrap.exports().page(what, form, limit, after)
    headers = dict(NO_STORE)
    if page.next is not None:
        query = urlencode({"format": form, "limit": limit, "after": page.next})
        headers |= {"Link": f"</api/v1/exports/{what}?{query}>; rel=next", "X-Deskbridge-Next": page.next}
    if form == "csv":
        headers["Content-Disposition"] = f'attachment; filename="{what}.csv"'
    mimetype = "text/csv" if form == "csv" else "application/x-ndjson"
    return func.HttpResponse(page.content, headers=headers, mimetype=mimetype, charset="utf-8")
