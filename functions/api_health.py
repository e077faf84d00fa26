"""Health over HTTP: alive, and nothing more, to anybody."""

import azure.functions as func

from functions.http_answers import answer

health_api = func.Blueprint()


@health_api.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def show_health(req: func.HttpRequest) -> func.HttpResponse:
    del req
    return answer(200, {"status": "alive"})
