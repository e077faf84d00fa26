"""The webhook of AuthRocket: an event says which user to look at again."""

import azure.functions as func

from functions.http.access import Door
from functions.http.answers import answer
from functions.http.endpoints import Content, endpoint
from functions.http.webhooks import answer_webhook
from shared import bootstrap
from shared.access.strangers import before_authorisation
from shared.errors import MethodNotAllowedError
from shared.reasons import Reason

authrocket_webhook = func.Blueprint()

# Answered too, so that the answer to a wrong method is ours and says which is right.
_WRONG = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "PUT")
_NAME = "AuthRocket's webhook"
_KNOWN = frozenset({400, 401, 404, 405, 413})


def _refusal(about: str) -> Content:
    return Content("webhooks:WebhookRefusal", "application/problem+json", about)


@endpoint(
    authrocket_webhook,
    "POST",
    "events/authrocket/{realm}",
    hidden_methods=_WRONG,
    tag="webhooks",
    summary="Take events from AuthRocket",
    access=Door.OPEN,
    basic=True,
    query=None,
    path={"realm": ("The name of the realm's settings document.", "customers")},
    body=Content("webhooks:AuthRocketEvent", example={"id": "ev_0vZkCEQqCnSGwJOXwMdtIk", "event_type": "user.updated"}),
    answers={
        200: Content("webhooks:AuthRocketFollowed", about="It was followed, or there was nothing to follow."),
        400: _refusal("It is no event."),
        401: _refusal("The credential is not accepted."),
        404: _refusal("AuthRocket does not know the event in this realm."),
        405: _refusal("Another method than POST."),
        413: _refusal("The body is too large to be an event."),
        503: _refusal("Something that may pass, or that somebody has to set: it comes again."),
    },
)
def receive_authrocket_event(req: func.HttpRequest) -> func.HttpResponse:
    """Anonymous to the host: AuthRocket brings a Basic credential of its own. Nothing in the body is trusted but the
    event's id: the event and the user are read again from AuthRocket. AuthRocket sends again what is not answered
    with 200."""
    return answer_webhook(_NAME, "POST", _KNOWN, lambda: _follow(req))


def _follow(req: func.HttpRequest) -> func.HttpResponse:
    with before_authorisation(_NAME):
        if req.method != "POST":
            raise MethodNotAllowedError(Reason.METHOD_NOT_ALLOWED, "AuthRocket's events come by POST.")
        webhook = bootstrap.authrocket_webhook()
    followed = webhook.receive(req.route_params["realm"], req.headers.get("Authorization"), req.get_body())
    return answer(200, {"outcome": followed.outcome, "message": followed.message})
