"""Credentials over HTTP: try a store or a credential, and see where a credential is used. Never a value."""

from typing import TYPE_CHECKING, Any

import azure.functions as func

from functions.http.answers import answer
from functions.http.bodies import read_body
from functions.http.endpoints import BODY, PAGED, STORED, UNKNOWN, Content, endpoint
from functions.http.query import PAGE, page_asked
from shared import bootstrap
from shared.access.roles import Role
from shared.reasons import Reason

if TYPE_CHECKING:
    from shared.vaults.checks import CredentialCheck

credentials_api = func.Blueprint()


def _shown(check: "CredentialCheck") -> dict[str, Any]:
    secret = check.secret
    return {
        "ok": check.ok,
        "summary": check.summary,
        "reason": None if check.reason is None else str(check.reason),
        "remedy": check.remedy,
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


@endpoint(
    credentials_api,
    "POST",
    "v1/credential-stores/{name}/check",
    tag="credentials",
    access=Role.ADMINISTRATOR,
    summary="Try a credential store",
    body=Content("credentials:StoreCheck", example={"check": "secret", "secret": "ec2-access-key"}),
    answers={200: "credentials:CheckAnswer"},
    refusals=[BODY, UNKNOWN, STORED, {404: (Reason.CREDENTIAL_STORE_UNKNOWN,)}],
)
def check_credential_store(req: func.HttpRequest) -> func.HttpResponse:
    """Signs in with the store's identity and asks its vault; or tries a `secret` that no document names yet. No value
    is ever shown."""
    from functions.schemas.credentials import StoreCheck
    from shared.vaults.documents.credentials import InPlaceCredential

    name, asked = req.route_params["name"], read_body(req, StoreCheck)
    if asked.check == "store":
        return answer(200, _shown(bootstrap.credential_checks().check_store(name)))
    # The store is found, or is none, by whatever name the address has.
    source = InPlaceCredential.model_construct(store=name, **asked.model_dump(exclude={"check"}))
    return answer(200, _shown(bootstrap.credential_checks().check_in_place(source)))


@endpoint(
    credentials_api,
    "POST",
    "v1/credentials/{name}/check",
    tag="credentials",
    access=Role.OPERATOR,
    summary="Try a credential",
    answers={200: "credentials:CheckAnswer"},
    refusals=[UNKNOWN, STORED, {404: (Reason.CREDENTIAL_STORE_UNKNOWN,)}],
)
def check_credential(req: func.HttpRequest) -> func.HttpResponse:
    """Reads its secret past every cache, and says in a sentence what is wrong and what to do. No value is shown."""
    return answer(200, _shown(bootstrap.credential_checks().check_credential(req.route_params["name"])))


@endpoint(
    credentials_api,
    "GET",
    "v1/credentials/{name}/uses",
    tag="credentials",
    access=Role.READER,
    summary="List where a credential is used",
    query=PAGE,
    answers={200: "credentials:UsePage"},
    refusals=[PAGED, UNKNOWN, STORED],
)
def list_credential_uses(req: func.HttpRequest) -> func.HttpResponse:
    """The documents that name it, by kind and name, and what each of them is: what breaks when its secret does."""
    from shared.storage.cursors import page_of
    from shared.vaults.documents.credentials import Credential

    name = req.route_params["name"]
    bootstrap.settings().get(Credential, name, fresh=True)
    limit, after = page_asked(req)
    uses = bootstrap.secret_uses().uses_of_credential(name)
    page, following = page_of(uses, lambda use: f"{use.kind}/{use.name}/{use.path}", limit, after)
    items = [{"kind": use.kind, "name": use.name, "path": use.path, "what": str(use)} for use in page]
    return answer(200, {"items": items, "next": following})
