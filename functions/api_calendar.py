"""The calendar of expiries over HTTP, for Outlook and its like: they can send no key, so its address is the secret."""

import hashlib
import hmac

import azure.functions as func

from functions.http.answers import NO_STORE
from functions.http.endpoints import UNKNOWN, Access, Content, endpoint
from shared import bootstrap
from shared.errors import NotFoundError
from shared.reasons import Reason

calendar_api = func.Blueprint()

_SHORTEST_TOKEN = 32


@endpoint(
    calendar_api,
    "GET",
    "calendar/{token}/expiries.ics",
    tag="exports",
    summary="Show all expiries as a calendar",
    access=Access.OPEN,
    hidden_methods=("HEAD",),
    query=None,
    path={"token": ("The secret of the app setting DESKBRIDGE_CALENDAR_TOKEN.", "0123456789abcdef0123456789abcdef")},
    answers={200: Content(media_type="text/calendar", about="An iCalendar file (RFC 5545), one entry an object.")},
    refusals=[UNKNOWN, {503: (Reason.STORAGE_UNAVAILABLE, Reason.NOT_READY)}],
)
def show_calendar(req: func.HttpRequest) -> func.HttpResponse:
    """Needs no key: calendars cannot send one. Its address holds a secret of its own; any other address, and any
    while no secret is set, is unknown. What expired more than 30 days ago is left out."""
    if not _opens(req.route_params.get("token", "")):
        raise NotFoundError(Reason.NOT_FOUND, "There is no such calendar.")
    from shared.overview.expiries import calendar, expiries

    text = calendar(expiries(bootstrap.tickets()), bootstrap.now())
    return func.HttpResponse(text.encode(), headers=dict(NO_STORE), mimetype="text/calendar", charset="utf-8")


def _opens(token: str) -> bool:
    """Whether it is one of those that are set. All are compared, and in a time that tells nothing of them."""
    tokens = (bootstrap.environment().text("DESKBRIDGE_CALENDAR_TOKEN") or "").split()
    shown = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
    # A short one can be guessed, so it opens nothing.
    matches = [
        hmac.compare_digest(shown, hashlib.sha256(one.encode()).digest()) and len(one) >= _SHORTEST_TOKEN
        for one in tokens
    ]
    return any(matches)
