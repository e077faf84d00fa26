"""Credentials over HTTP: try a store or a credential, and see where a credential is used. Never a value."""

from typing import TYPE_CHECKING, Any

import azure.functions as func

from functions.http_answers import answer, json_body, problems
from shared import bootstrap

if TYPE_CHECKING:
    from shared.vaults.checking import Check

credentials_api = func.Blueprint()


def _shown(check: "Check") -> dict[str, Any]:
    secret = check.secret
    return {
        "ok": check.ok,
        "summary": check.summary,
        "reason": None if check.reason is None else str(check.reason),
        "mend": check.mend,
        "may_pass": check.may_pass,
        "store": check.store,
        "vault": check.vault,
        "identity": check.identity,
        "secret": None
        if secret is None
        else {
            "name": secret.name,
            "version": secret.version,
            "length": secret.length,
            "expires_at": secret.expires_at,
            "fields": list(secret.fields),
        },
        "notes": list(check.notes),
    }


@credentials_api.route("credential-stores/{name}/check", methods=["POST"])
@problems
def check_credential_store(req: func.HttpRequest) -> func.HttpResponse:
    """Try the store; with a body `{"secret": …}`, try a secret of it that no document names yet."""
    name = req.route_params["name"]
    if not req.get_body().strip():
        return answer(200, _shown(bootstrap.credential_checks().check_store(name)))
    from shared.vaults.trial import parse_trial

    trial = parse_trial(name, json_body(req))
    return answer(200, _shown(bootstrap.credential_checks().check_in_place(trial)))


@credentials_api.route("credentials/{name}/check", methods=["POST"])
@problems
def check_credential(req: func.HttpRequest) -> func.HttpResponse:
    return answer(200, _shown(bootstrap.credential_checks().check_credential(req.route_params["name"])))


@credentials_api.route("credentials/{name}/uses", methods=["GET"])
@problems
def list_credential_uses(req: func.HttpRequest) -> func.HttpResponse:
    """The documents that name this credential, and what each of them is."""
    from shared.settings.documents.credentials import Credential

    name = req.route_params["name"]
    bootstrap.settings().get(Credential, name, fresh=True)
    uses = bootstrap.secret_uses().uses_of_credential(name)
    items = [{"kind": use.kind, "name": use.name, "path": use.path, "what": str(use)} for use in uses]
    return answer(200, {"items": items, "next": None})
