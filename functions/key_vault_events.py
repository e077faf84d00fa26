"""The webhook of Event Grid: Key Vault events come in, and Event Grid's question whether they may."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import azure.functions as func

from functions.http.access import Door
from functions.http.answers import answer
from functions.http.endpoints import Content, endpoint
from functions.http.webhooks import answer_webhook
from shared import bootstrap
from shared.access.strangers import before_authorisation
from shared.telemetry import span

if TYPE_CHECKING:
    from shared.tickets.inbound.webhook import DeliveryOutcome, EventGridWebhook

key_vault_events = func.Blueprint()

_NAME = "Event Grid's webhook"
_ALLOWED = "POST, OPTIONS"
# Event Grid never sends again what is answered so.
_KNOWN = frozenset({400, 401, 405, 413})
# Answered too, so that the answer to a wrong method is ours and says which are right.
_WRONG = ("DELETE", "GET", "HEAD", "PATCH", "PUT")
_EVENT = {
    "id": "3c1f2e5a-0d6b-4b7e-9a51-6c2f2f0f7a10",
    "topic": "/subscriptions/00000000-1111-4222-8333-00000000c0de/resourceGroups/rg-acorn/providers/"
    "Microsoft.KeyVault/vaults/acorn-vault",
    "subject": "mail-password",
    "eventType": "Microsoft.KeyVault.SecretNearExpiry",
    "eventTime": "2026-05-01T08:00:00Z",
    "data": {
        "Id": "https://acorn-vault.vault.azure.net/secrets/mail-password/0f3a5c2b9d8e4f7a8b6c1d2e3f4a5b6c",
        "VaultName": "acorn-vault",
        "ObjectType": "Secret",
        "ObjectName": "mail-password",
        "Version": "0f3a5c2b9d8e4f7a8b6c1d2e3f4a5b6c",
        "NBF": None,
        "EXP": 1780272000,
    },
    "dataVersion": "1",
    "metadataVersion": "1",
}


def _refusal(about: str) -> Content:
    return Content("webhooks:WebhookRefusal", "application/problem+json", about)


@endpoint(
    key_vault_events,
    ("POST", "OPTIONS"),
    "events/key-vault",
    hidden_methods=_WRONG,
    tag="webhooks",
    summary="Take Key Vault events from Event Grid",
    access=Door.OPEN,
    basic=True,
    query=None,
    body=Content("webhooks:Events", example=[_EVENT]),
    answers={
        200: Content("webhooks:DeliveryAnswer", about="All of it is kept; or the handshake is accepted."),
        400: _refusal("It can never be read. Event Grid does not send it again."),
        401: _refusal("The credential is not accepted. Event Grid does not send it again."),
        413: _refusal("The delivery is too large. Event Grid does not send it again."),
        503: _refusal("Something that may pass. Event Grid sends it again."),
    },
)
def receive_key_vault_events(req: func.HttpRequest) -> func.HttpResponse:
    """Anonymous to the host: Event Grid brings a Basic credential of its own. Both schemas, single and batched, and
    both validation handshakes. One bad event of a batch is quarantined, and the rest is stored."""
    return answer_delivery(_webhook, req.method or "", dict(req.headers), req.get_body())


def _webhook() -> "EventGridWebhook":
    with before_authorisation(_NAME):
        return bootstrap.event_grid_webhook()


def answer_delivery(
    webhook: "Callable[[], EventGridWebhook]", method: str, headers: Mapping[str, str], body: bytes
) -> func.HttpResponse:
    """The answer that tells Event Grid what to do: 200 all is kept, 503 send it again, else never send it again."""

    def handle() -> func.HttpResponse:
        with span("delivery", bytes=len(body), subscription=headers.get("aeg-subscription-name", "")):
            return _answer_of(webhook().receive(method, headers, body))

    return answer_webhook(_NAME, _ALLOWED, _KNOWN, handle)


def _answer_of(outcome: "DeliveryOutcome") -> func.HttpResponse:
    from shared.tickets.inbound.webhook import OriginAllowed, SubscriptionValidated

    if isinstance(outcome, OriginAllowed):
        # To refuse the handshake of CloudEvents is to leave the headers of consent out.
        consent = {"WebHook-Allowed-Origin": outcome.origin, "WebHook-Allowed-Rate": "*"} if outcome.origin else {}
        return answer(200, headers={"Allow": _ALLOWED, **consent})
    if isinstance(outcome, SubscriptionValidated):
        return answer(200, {"validationResponse": outcome.code})
    return answer(200, {"recorded": outcome.recorded, "quarantined": outcome.quarantined})
