"""The calendar of expiries over HTTP, for Outlook and its like: they send no header, so a token stands in its address.

It stands in the query string: hosts log paths, and leave query strings out.
"""

import azure.functions as func

from functions.http.access import TOKEN_PARAMETER, Door, principal
from functions.http.answers import NO_STORE
from functions.http.endpoints import STORED, Content, endpoint
from functions.http.query import text
from shared import bootstrap

calendar_api = func.Blueprint()

_TOKEN = text(TOKEN_PARAMETER, "The calendar's token.", example="desk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh_uajD4")


@endpoint(
    calendar_api,
    "GET",
    "calendar/expiries.ics",
    tag="exports",
    summary="Show all expiries as a calendar",
    access=Door.CALENDAR_TOKEN,
    hidden_methods=("HEAD",),
    query=(_TOKEN,),
    answers={200: Content(media_type="text/calendar", about="An iCalendar file (RFC 5545), one entry an object.")},
    refusals=[STORED],
)
def show_calendar(req: func.HttpRequest) -> func.HttpResponse:
    """It opens with a token of the kind `calendar` alone, and shows what that token names: a site, a customer, a team,
    or everything. What expired more than 30 days ago is left out."""
    del req
    from shared.overview.expiries import SHOWN_AFTER_EXPIRY, Shown, calendar, expiries
    from shared.records.documents.sites import sites_of

    view = principal().view
    sites = None if view.customer is None else sites_of(bootstrap.settings(), [view.customer])
    if view.site is not None:
        sites = frozenset({view.site}) if sites is None else sites & {view.site}
    configuration = bootstrap.ticket_configuration()()

    def site_of(vault: str) -> str | None:
        entry = None if configuration is None else configuration.entry(vault)
        return None if entry is None else entry.site

    found = expiries(bootstrap.index(), Shown(sites, view.team, site_of), bootstrap.now() - SHOWN_AFTER_EXPIRY)
    return func.HttpResponse(
        calendar(found, bootstrap.now()).encode(), headers=dict(NO_STORE), mimetype="text/calendar", charset="utf-8"
    )
