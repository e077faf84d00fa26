"""The webhook of AuthRocket: an event says which user to look at again."""

import azure.functions as func

from functions.http_answers import answer, problems
from shared import bootstrap
from shared.errors import MethodNotAllowedError
from shared.reasons import Reason

authrocket_webhook = func.Blueprint()

# All of them, so that the answer to a wrong one is ours and says which is right.
METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]


@authrocket_webhook.route("events/authrocket/{realm}", methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
@problems
def receive_authrocket_event(req: func.HttpRequest) -> func.HttpResponse:
    """Anonymous to the host: AuthRocket brings a Basic credential of its own. `realm` is the document's name."""
    if req.method != "POST":
        raise MethodNotAllowedError(Reason.METHOD_NOT_ALLOWED, "AuthRocket's events come by POST.")
    followed = bootstrap.following().receive(
        req.route_params["realm"], req.headers.get("Authorization"), req.get_body()
    )
    return answer(200, {"outcome": followed.outcome, "message": followed.message})
