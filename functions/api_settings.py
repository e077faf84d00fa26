"""Settings over HTTP: read, put and delete one document, apply and export sets, read a document's history."""

from dataclasses import asdict
from typing import Any

import azure.functions as func

from functions.http_answers import answer, caller, json_body, problems
from shared import bootstrap
from shared.errors import ConflictError
from shared.reasons import Reason

settings_api = func.Blueprint()


def _shown(kind: str, stored: Any) -> dict[str, Any]:
    from shared.settings.store import plain

    return {
        "kind": kind,
        "name": stored.name,
        "document": plain(stored.document),
        "version": stored.version,
        "etag": stored.etag,
        "changed_at": stored.changed_at,
        "changed_by": stored.changed_by,
    }


@settings_api.route("settings/{kind}", methods=["GET"])
@problems
def list_settings(req: func.HttpRequest) -> func.HttpResponse:
    from shared.settings.kinds import kind_of

    kind = req.route_params["kind"]
    items = bootstrap.settings().list(kind_of(kind), fresh=True)
    return answer(200, {"items": [_shown(kind, stored) for stored in items], "next": None})


@settings_api.route("settings/{kind}/{name}", methods=["GET"])
@problems
def show_setting(req: func.HttpRequest) -> func.HttpResponse:
    from shared.settings.kinds import kind_of

    kind, name = req.route_params["kind"], req.route_params["name"]
    stored = bootstrap.settings().get(kind_of(kind), name, fresh=True)
    return answer(200, _shown(kind, stored), etag=stored.etag)


@settings_api.route("settings/{kind}/{name}", methods=["PUT"])
@problems
def put_setting(req: func.HttpRequest) -> func.HttpResponse:
    kind, name = req.route_params["kind"], req.route_params["name"]
    if_match = req.headers.get("If-Match")
    stored = bootstrap.settings().put(kind, name, json_body(req), by=caller(req), if_match=if_match)
    return answer(201 if stored.version == 1 else 200, _shown(kind, stored), etag=stored.etag)


@settings_api.route("settings/{kind}/{name}", methods=["DELETE"])
@problems
def delete_setting(req: func.HttpRequest) -> func.HttpResponse:
    kind, name = req.route_params["kind"], req.route_params["name"]
    if_match = req.headers.get("If-Match")
    if if_match is None:
        raise ConflictError(
            Reason.VERSION_NEEDED,
            "A removal needs the version that was read.",
            mend="Send the document's ETag as If-Match, or * for any version.",
        )
    bootstrap.settings().delete(kind, name, by=caller(req), if_match=if_match)
    return answer(204)


@settings_api.route("settings/{kind}/{name}/history", methods=["GET"])
@problems
def show_setting_history(req: func.HttpRequest) -> func.HttpResponse:
    from shared.settings.kinds import kind_of

    kind, name = req.route_params["kind"], req.route_params["name"]
    return answer(200, {"items": bootstrap.settings().history(kind_of(kind), name), "next": None})


@settings_api.route("settings", methods=["GET"])
@problems
def export_settings(req: func.HttpRequest) -> func.HttpResponse:
    """All documents as the YAML that `apply_settings` reads."""
    from shared.settings.store import plain
    from shared.settings.validation import write_yaml

    del req
    text = write_yaml(
        [
            {"kind": kind, "name": stored.name, "document": plain(stored.document)}
            for kind, stored in bootstrap.settings().everything()
        ]
    )
    return func.HttpResponse(text, mimetype="application/yaml", charset="utf-8")


@settings_api.route("settings", methods=["POST"])
@problems
def apply_settings(req: func.HttpRequest) -> func.HttpResponse:
    """Apply a set of documents, YAML or JSON `{"documents": […]}`; `?dry_run=true` only says what would change."""
    from shared.settings.validation import read_set

    documents = read_set(req.get_body(), req.headers.get("Content-Type", ""))
    dry_run = req.params.get("dry_run", "").casefold() == "true"
    changes = bootstrap.settings().apply(documents, by=caller(req), dry_run=dry_run)
    items = [asdict(change) for change in changes]
    return answer(200, {"dry_run": dry_run, "items": items})
