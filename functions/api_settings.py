"""Settings over HTTP: read, put and delete one document, apply and export sets, read a document's history."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import azure.functions as func

from functions.http.access import caller, check_kinds
from functions.http.answers import answer, body_of, json_body
from functions.http.bodies import has_body, read_body
from functions.http.endpoints import BODY, DOCUMENTS, MOVED, PAGED, STORABLE, UNKNOWN, Content, endpoint
from functions.http.if_match import if_match_of
from functions.http.query import PAGE, flag, page_asked
from shared import bootstrap
from shared.access.roles import Role
from shared.errors import InvalidInputError, NotFoundError
from shared.reasons import Reason

if TYPE_CHECKING:
    from shared.settings.stored import AnyStored
    from shared.settings.validation import ReceivedDocument

settings_api = func.Blueprint()

_DRY_RUN = flag("dry_run", "Only say what would change; nothing is written.")
_VERSION = {"ETag": "The document's version in quotes, for `If-Match`."}
_STORE = {
    "vault_url": "https://acorn-vault.vault.azure.net",
    "method": "system_assigned",
}
_SET = """\
---
kind: credential-stores
name: acorn
document:
  vault_url: https://acorn-vault.vault.azure.net
  method: system_assigned
---
kind: credentials
name: acorn-ec2
document:
  store: acorn
  secret: ec2-access-key
  scope: aws-tenants
"""


def _shown(kind: str, stored: "AnyStored") -> dict[str, Any]:
    return {
        "kind": kind,
        "name": stored.name,
        "document": stored.content,
        "faults": [fault._asdict() for fault in stored.faults],
        "version": stored.version,
        "changed_at": stored.changed_at,
        "changed_by": stored.changed_by,
    }


@endpoint(
    settings_api,
    "GET",
    "v1/settings/{kind}",
    tag="settings",
    access=Role.READER,
    summary="List the documents of a kind",
    query=PAGE,
    answers={200: "settings:SettingPage"},
    refusals=[PAGED, UNKNOWN],
)
def list_settings(req: func.HttpRequest) -> func.HttpResponse:
    """By name. One that no longer passes its check is shown as it is stored, with its faults."""
    kind = req.route_params["kind"]
    limit, after = page_asked(req)
    settings = bootstrap.settings()
    items, following = settings.page(settings.kinds.get(kind), limit, after)
    return answer(200, {"items": [_shown(kind, stored) for stored in items], "next": following})


@endpoint(
    settings_api,
    "GET",
    "v1/settings/{kind}/{name}",
    tag="settings",
    access=Role.READER,
    summary="Show a document",
    answers={200: Content("settings:SettingAnswer", headers=_VERSION)},
    refusals=[UNKNOWN],
)
def show_setting(req: func.HttpRequest) -> func.HttpResponse:
    """One that no longer passes its check is shown as it is stored, with its faults."""
    kind, name = req.route_params["kind"], req.route_params["name"]
    settings = bootstrap.settings()
    stored = settings.get_any(settings.kinds.get(kind), name, fresh=True)
    return answer(200, _shown(kind, stored), etag=str(stored.version))


@endpoint(
    settings_api,
    "PUT",
    "v1/settings/{kind}/{name}",
    tag="settings",
    access=Role.OPERATOR,
    by_kind=True,
    summary="Write a document",
    body=Content("settings:AnyDocument", example=_STORE),
    answers={
        200: Content("settings:SettingAnswer", about="It is replaced.", headers=_VERSION),
        201: Content("settings:SettingAnswer", about="It is new.", headers=_VERSION),
    },
    refusals=[
        DOCUMENTS,
        STORABLE,
        UNKNOWN,
        MOVED,
        {409: (Reason.VERSION_NEEDED,)},
    ],
    if_match="The ETag of the version that was read, quoted or bare, or `*` for any. Leave it out for a new document.",
)
def put_setting(req: func.HttpRequest) -> func.HttpResponse:
    """It is checked whole, with all that it names, before it is written. Each fault has its path."""
    kind, name = req.route_params["kind"], req.route_params["name"]
    if_match = if_match_of(req)
    stored, is_new = bootstrap.settings().put(kind, name, json_body(req), by=caller(), if_match=if_match)
    return answer(201 if is_new else 200, _shown(kind, stored), etag=str(stored.version))


@endpoint(
    settings_api,
    "DELETE",
    "v1/settings/{kind}/{name}",
    tag="settings",
    access=Role.OPERATOR,
    by_kind=True,
    summary="Remove a document",
    answers={204: Content(media_type="", about="It is gone; its history stays.")},
    refusals=[UNKNOWN, MOVED, {409: (Reason.VERSION_NEEDED, Reason.IN_USE), 503: (Reason.CONTENDED,)}],
    if_match="The ETag of the version that was read, quoted or bare, or `*` for any version. It is needed.",
)
def delete_setting(req: func.HttpRequest) -> func.HttpResponse:
    """Refused while another document names it: the refusal says which."""
    kind, name = req.route_params["kind"], req.route_params["name"]
    bootstrap.settings().delete(kind, name, by=caller(), if_match=if_match_of(req))
    return answer(204)


@endpoint(
    settings_api,
    "GET",
    "v1/settings/{kind}/{name}/history",
    tag="settings",
    access=Role.READER,
    summary="List what was done with a document",
    query=PAGE,
    answers={200: "settings:SettingHistoryPage"},
    refusals=[PAGED, UNKNOWN],
)
def show_setting_history(req: func.HttpRequest) -> func.HttpResponse:
    """Newest first; also of a document that was removed. Empty for a name that was never used."""
    from shared.settings.base import NAME_PATTERN

    kind, name = req.route_params["kind"], req.route_params["name"]
    if not NAME_PATTERN.fullmatch(name):
        raise NotFoundError(Reason.NOT_FOUND, f"No document can be named {name!r}.")
    limit, after = page_asked(req)
    settings = bootstrap.settings()
    entries, following = settings.history_page(settings.kinds.get(kind), name, limit, after)
    return answer(200, {"items": entries, "next": following})


@endpoint(
    settings_api,
    "GET",
    "v1/settings",
    tag="settings",
    access=Role.READER,
    summary="Export all documents",
    answers={200: Content(media_type="application/yaml", about="One YAML document each, in the order of applying.")},
)
def export_settings(req: func.HttpRequest) -> func.HttpResponse:
    """As the same YAML that applying reads: applying an export changes nothing. A document that no longer passes its
    check stands in it as it is stored; applying refuses it until it is corrected."""
    from shared.settings.validation import write_yaml

    del req
    text = write_yaml(
        [
            {"kind": kind, "name": stored.name, "document": stored.content}
            for kind, stored in bootstrap.settings().list_all()
        ]
    )
    return func.HttpResponse(text, mimetype="application/yaml", charset="utf-8", headers={"Cache-Control": "no-store"})


@endpoint(
    settings_api,
    "POST",
    "v1/settings",
    tag="settings",
    access=Role.OPERATOR,
    by_kind=True,
    summary="Apply a set of documents",
    query=(_DRY_RUN,),
    body=(
        Content(media_type="application/yaml", example=_SET),
        Content("settings:SettingSet", example={"documents": []}),
    ),
    answers={200: "settings:SettingChanges"},
    refusals=[BODY, DOCUMENTS, STORABLE, MOVED],
)
def apply_settings(req: func.HttpRequest) -> func.HttpResponse:
    """All are checked before the first is written; those not named stay. Applying twice changes nothing."""
    if not has_body(req):
        raise InvalidInputError(Reason.BODY_NOT_READABLE, "There is no body.", remedy="Send the documents.")
    documents = _documents(req)
    check_kinds(document.kind for document in documents)
    dry_run = bool(_DRY_RUN.read(req))
    changes = bootstrap.settings().apply(documents, by=caller(), dry_run=dry_run)
    items = [asdict(change) for change in changes]
    return answer(200, {"dry_run": dry_run, "items": items})


def _documents(req: func.HttpRequest) -> "list[ReceivedDocument]":
    from functions.schemas.settings import SettingSet
    from shared.settings.validation import ReceivedDocument, parse_yaml_set

    if "json" not in req.headers.get("Content-Type", "").casefold():
        return parse_yaml_set(body_of(req))
    return [ReceivedDocument(one.kind, one.name, one.document) for one in read_body(req, SettingSet).documents]
