"""The webhook of AuthRocket: an event says which user to look at again."""

import azure.functions as func

from functions.http.answers import answer, problem
from functions.http.endpoints import Access, Content, Refusals, endpoint
from shared import bootstrap
from shared.errors import MethodNotAllowedError
from shared.reasons import Reason

authrocket_webhook = func.Blueprint()

# Answered too, so that the answer to a wrong method is ours and says which is right.
_WRONG = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "PUT")
_PASSING = (
    "app_registration_",
    "authrocket_",
    "client_secret_",
    "contended",
    "credential_",
    "developer_",
    "document_invalid",
    "identity_",
    "import_running",
    "secret_",
    "setting_",
    "sign_in_",
    "storage_",
    "tenant_",
    "vault_",
    "webhook_password_",
)
_REFUSALS: Refusals = {
    400: (Reason.BODY_NOT_READABLE,),
    401: (Reason.CREDENTIAL_REFUSED,),
    404: (Reason.AUTHROCKET_EVENT_UNKNOWN,),
    405: (Reason.METHOD_NOT_ALLOWED,),
    413: (Reason.BODY_TOO_LARGE,),
    # What keeps storage, the vault, AuthRocket or a running import from answering: it comes again.
    503: tuple(reason for reason in Reason if reason.startswith(_PASSING)),
}


@endpoint(
    authrocket_webhook,
    "POST",
    "events/authrocket/{realm}",
    hidden_methods=_WRONG,
    tag="webhooks",
    summary="Take events from AuthRocket",
    access=Access.OPEN,
    basic=True,
    query=None,
    path={"realm": ("The name of the realm's settings document.", "customers")},
    body=Content("webhooks:AuthRocketEvent", example={"id": "ev_0vZkCEQqCnSGwJOXwMdtIk", "event_type": "user.updated"}),
    answers={200: Content("webhooks:AuthRocketFollowed", about="It was followed, or there was nothing to follow.")},
    refusals=[_REFUSALS],
)
def receive_authrocket_event(req: func.HttpRequest) -> func.HttpResponse:
    """Anonymous to the host: AuthRocket brings a Basic credential of its own. Nothing in the body is trusted but the
    event's id: the event and the user are read again from AuthRocket. AuthRocket sends again what is not answered
    with 200."""
    if req.method != "POST":
        refused = problem(MethodNotAllowedError(Reason.METHOD_NOT_ALLOWED, "AuthRocket's events come by POST."))
        refused.headers["Allow"] = "POST"
        return refused
    followed = bootstrap.authrocket_webhook().receive(
        req.route_params["realm"], req.headers.get("Authorization"), req.get_body()
    )
    return answer(200, {"outcome": followed.outcome, "message": followed.message})
