"""The webhook of Event Grid: Key Vault events come in, and Event Grid's question whether they may."""

import azure.functions as func

from functions.http_answers import problems, to_json
from shared import bootstrap

key_vault_events = func.Blueprint()

# All of them, so that the answer to a wrong one is ours and says which are right.
METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]


@key_vault_events.route("events/key-vault", methods=METHODS, auth_level=func.AuthLevel.ANONYMOUS)
@problems
def receive_key_vault_events(req: func.HttpRequest) -> func.HttpResponse:
    """Anonymous to the host: Event Grid brings a Basic credential of its own."""
    answer = bootstrap.recording().receive(req.method or "", dict(req.headers), req.get_body())
    return func.HttpResponse(
        b"" if answer.body is None else to_json(answer.body),
        status_code=answer.status,
        headers=dict(answer.headers),
        mimetype="application/json",
        charset="utf-8",
    )
