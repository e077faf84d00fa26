"""Health over HTTP: alive, and nothing more, to anybody; with a key, whether all that is needed is there."""

from dataclasses import asdict

import azure.functions as func

from functions.http.access import Door
from functions.http.answers import answer
from functions.http.endpoints import Content, endpoint
from shared import bootstrap
from shared.access.roles import Role

health_api = func.Blueprint()


@endpoint(
    health_api,
    "GET",
    "health",
    tag="health",
    summary="Say that the app is alive",
    access=Door.OPEN,
    hidden_methods=("HEAD",),
    query=None,
    answers={200: "shapes:Alive"},
)
def show_health(req: func.HttpRequest) -> func.HttpResponse:
    """For load balancers and availability tests, by GET or HEAD, with whatever parameters they add. It needs no key,
    and asks nothing of storage or any vault."""
    del req
    return answer(200, {"status": "alive"})


@endpoint(
    health_api,
    "GET",
    "health/ready",
    tag="health",
    access=Role.READER,
    summary="Show whether all that the desk needs is there",
    answers={
        200: Content("health:ReadinessAnswer", about="It can work; `degraded` says that somebody should look."),
        503: Content("health:ReadinessAnswer", about="It cannot work: storage or a queue does not answer."),
    },
)
def show_readiness(req: func.HttpRequest) -> func.HttpResponse:
    """Storage, settings, queues and what failed in them for good, each vault, and the last success of each import,
    each with its state, its reason and what to do. It signs in to every vault, and so an answer stands for a minute."""
    del req
    found = bootstrap.readiness().check()
    parts = [asdict(part) for part in found.parts]
    return answer(503 if found.state == "failing" else 200, {"status": str(found.state), "items": parts})
