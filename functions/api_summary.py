"""The dashboard's summary over HTTP."""

import azure.functions as func

from functions.http.answers import answer
from functions.http.customers import sites_asked
from functions.http.endpoints import endpoint
from functions.http.query import CUSTOMER
from shared import bootstrap
from shared.access.roles import Role
from shared.reasons import Reason

summary_api = func.Blueprint()


@endpoint(
    summary_api,
    "GET",
    "v1/summary",
    tag="dashboard",
    access=Role.READER,
    by_customer=True,
    summary="Show the counts of everything",
    query=(CUSTOMER,),
    answers={200: "summary:SummaryAnswer"},
    refusals=[{503: (Reason.DOCUMENT_INVALID,)}],
)
def show_summary(req: func.HttpRequest) -> func.HttpResponse:
    """Open tickets by priority and vault, objects by days to expiry, last runs, assets and users by type, site and
    status. Counts follow changes within two minutes: `as_of` says up to when all are in them. With `customer`, and for
    whoever is limited to customers, the counts are those of the customers' sites."""
    return answer(200, bootstrap.overview().summary(sites_asked(CUSTOMER.read(req))))
