"""Health over HTTP: alive, and nothing more, to anybody."""

import azure.functions as func

from functions.endpoints import Access, endpoint
from functions.http_answers import answer

health_api = func.Blueprint()


@endpoint(
    health_api,
    "GET",
    "health",
    tag="health",
    summary="Say that the app is alive",
    access=Access.OPEN,
    answers={200: "shapes:Alive"},
)
def show_health(req: func.HttpRequest) -> func.HttpResponse:
    """For load balancers and availability tests. It needs no key, and asks nothing of storage or any vault."""
    del req
    return answer(200, {"status": "alive"})
