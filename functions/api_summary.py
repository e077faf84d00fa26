"""The dashboard's summary over HTTP."""

import azure.functions as func

from functions.http.answers import answer
from functions.http.endpoints import endpoint
from functions.http.query import flag
from shared import bootstrap
from shared.access.roles import Role
from shared.reasons import Reason

summary_api = func.Blueprint()

_FRESH = flag("fresh", "Count anew now, which reads every row's narrow columns, and remember that.")


@endpoint(
    summary_api,
    "GET",
    "v1/summary",
    tag="dashboard",
    access=Role.READER,
    summary="Show the counts of everything",
    query=(_FRESH,),
    answers={200: "summary:SummaryAnswer"},
    refusals=[{503: (Reason.DOCUMENT_INVALID,)}],
)
def show_summary(req: func.HttpRequest) -> func.HttpResponse:
    """Open tickets by priority and vault, objects by days to expiry, last runs, assets and users by type, site and
    status. It is remembered for five minutes, and the counts of 10,000 and more assets or users until an import wrote
    something, at most an hour: `as_of` says since when."""
    return answer(200, bootstrap.overview().summary(fresh=bool(_FRESH.read(req))))
