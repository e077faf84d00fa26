"""The OpenAPI document, made from the endpoints' declarations and the models that they name. Heavy: made on demand."""

import importlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from functions.http.access import TOKEN_HEADER, Door
from functions.http.endpoints import Content, Endpoint
from functions.http.if_match import VERSION_PATTERN
from shared.reasons import Reason

_REFERENCE = "#/components/schemas/{model}"
_TITLES = {
    400: "The request cannot be read, or is not what it must be.",
    401: "The credential is not accepted. The host's own refusal of a key has no body.",
    403: "The caller is known and may not do this.",
    404: "There is no such thing.",
    405: "The method is not allowed.",
    409: "The request does not fit the present state.",
    411: "A body was sent in chunks, or without its length, and did not arrive. Nothing is started.",
    412: "It changed meanwhile: `present_version` is the version that is there now, and so is the header `ETag`.",
    413: "It is too large.",
    503: "Something that is needed is missing or does not answer. The same request can succeed later.",
}
_PATH_PARAMETERS: Mapping[str, tuple[str, str]] = {"name": ("The document's name.", "acorn")}
_NAME: Mapping[str, Any] = {"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"}
_TAGS = (
    ("tickets", "Tickets, their notes, and the events that could not become one."),
    ("assets", "Assets, their history and what an import did with them."),
    ("users", "Desk users, their history and what an import did with them."),
    ("runs", "Imports and previews: starting them, their parts, entries and errors."),
    ("settings", "The documents that operators edit."),
    ("credentials", "Trying credential stores and credentials, and where each is used."),
    ("audit", "Who changed what, and what is still to follow from changes."),
    ("access", "Access tokens: making, listing and revoking them; and who calls."),
    ("exports", "Everything in pages of CSV or JSON lines, and the calendar of expiries."),
    ("dashboard", "What a dashboard shows."),
    ("health", "Whether the app is alive, and whether all that it needs is there."),
    ("webhooks", "What other systems call."),
    ("description", "The API's own description."),
)


def openapi_document(endpoints: Sequence[Endpoint], server: str = "") -> dict[str, Any]:
    """The whole document. `server` is the address that the host answers under."""
    schemas = _Schemas(endpoints)
    paths: dict[str, dict[str, Any]] = {}
    for declared in sorted(endpoints, key=lambda each: (each.route, each.methods)):
        item = paths.setdefault(f"/api/{_template(declared.route)}", {})
        for method in declared.methods:
            item[method.lower()] = _operation(declared, method, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Deskbridge",
            "version": "1",
            "description": (
                "Key Vault events become tickets, EC2 instances assets, AuthRocket users desk users. Errors are RFC "
                "9457 documents with a stable `reason`. Lists answer `items` and `next`: give `next` back as `after`. "
                "Unknown fields and unknown query parameters are refused by name."
            ),
        },
        "servers": [{"url": server or "/"}],
        "tags": [{"name": name, "description": description} for name, description in _TAGS],
        "paths": paths,
        "components": {
            "schemas": schemas.definitions,
            "securitySchemes": {
                "token": {
                    "type": "apiKey",
                    "in": "header",
                    "name": TOKEN_HEADER,
                    "description": (
                        "An access token, where the platform does not sign in. `x-deskbridge-access` of an operation "
                        "says which role it needs."
                    ),
                },
                "host_key": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "x-functions-key",
                    "description": "A key of the Functions host. It makes the first access token, and nothing else.",
                },
                "calendar_token": {"type": "apiKey", "in": "query", "name": "token"},
                "basic": {"type": "http", "scheme": "basic"},
            },
        },
    }


class _Schemas:
    """The schema of every model that an endpoint names, and the definitions that they share."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        named = {"shapes:Problem"}
        for declared in endpoints:
            contents = [*declared.bodies, *(one for many in declared.answers.values() for one in many)]
            named |= {content.model for content in contents if content.model}
        inputs = [(name, "validation", TypeAdapter(_load(name))) for name in sorted(named)]
        by_name, shared = TypeAdapter.json_schemas(inputs, ref_template=_REFERENCE)  # type: ignore[arg-type] # a literal
        self.definitions: dict[str, Any] = {**shared.get("$defs", {})}
        self._by_name = {name: schema for (name, _), schema in by_name.items()}

    def of(self, name: str) -> dict[str, Any]:
        return dict(self._by_name[name])


def _load(name: str) -> Any:
    module, _, member = name.partition(":")
    return getattr(importlib.import_module(f"functions.schemas.{module}"), member)


def _template(route: str) -> str:
    return re.sub(r"\{([a-z_]+)[^}]*\}", r"{\1}", route)


def _operation(declared: Endpoint, method: str, schemas: _Schemas) -> dict[str, Any]:
    one = len(declared.methods) == 1
    operation: dict[str, Any] = {
        "operationId": declared.function if one else f"{declared.function}_{method.lower()}",
        "tags": [declared.tag],
        "summary": declared.summary,
        "x-deskbridge-access": str(declared.access),
        "x-deskbridge-by-customer": declared.by_customer,
        "x-deskbridge-function": declared.function,
        "parameters": _parameters(declared),
        "responses": _responses(declared, method, schemas),
        "security": _security(declared, method),
    }
    if declared.description:
        operation["description"] = declared.description
    if declared.bodies and method not in {"GET", "OPTIONS", "DELETE"}:
        operation["requestBody"] = {
            "required": True,
            "content": {content.media_type: _media(content, schemas) for content in declared.bodies},
        }
    return operation


def _security(declared: Endpoint, method: str) -> list[dict[str, Any]]:
    if declared.basic and method != "OPTIONS":
        return [{"basic": []}]
    if isinstance(declared.access, Door):
        return [] if declared.access is Door.OPEN else [{str(declared.access): []}]
    return [{"token": []}]


def _parameters(declared: Endpoint) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, **_path_parameter(declared, name)}
        for name in declared.path_parameters
    ]
    for query in declared.query or ():
        parameter = {"name": query.name, "in": "query", "description": query.about, "schema": query.schema}
        if query.example is not None:
            parameter["example"] = query.example
        parameters.append(parameter)
    if declared.if_match:
        schema = {"type": "string", "pattern": f"^({VERSION_PATTERN})$"}
        header = {"name": "If-Match", "in": "header", "description": declared.if_match, "schema": schema}
        parameters.append({**header, "example": "*"})
    return parameters


def _path_parameter(declared: Endpoint, name: str) -> dict[str, Any]:
    if name == "kind":
        from shared.bootstrap.kinds import KINDS

        schema = {"type": "string", "enum": list(KINDS.names)}
        return {"description": "The kind of document.", "schema": schema, "example": "sites"}
    about, example = declared.path.get(name) or _PATH_PARAMETERS.get(name) or (f"The {name}.", name)
    any_text: dict[str, Any] = {"type": "string", "minLength": 1}
    return {"description": about, "schema": dict(_NAME) if name == "name" else any_text, "example": example}


def _responses(declared: Endpoint, method: str, schemas: _Schemas) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, contents in declared.answers.items():
        response: dict[str, Any] = {"description": contents[0].about or declared.summary}
        media = {content.media_type: _media(content, schemas) for content in contents if content.media_type}
        # A handshake by OPTIONS is answered by headers alone.
        if media and not (method == "OPTIONS" and status == 200):
            response["content"] = media
        headers = {name: about for content in contents for name, about in content.headers.items()}
        if headers:
            response["headers"] = {
                name: {"description": about, "schema": {"type": "string"}} for name, about in headers.items()
            }
        responses[str(status)] = response
    for status, reasons in sorted(declared.refusals.items()):
        response = responses.setdefault(str(status), {"description": _TITLES[status], "content": {}})
        response["content"]["application/problem+json"] = {"schema": _problem(status, reasons, schemas)}
    if declared.access is Door.HOST_KEY:
        responses["401"]["description"] += ". A key that is none of the host's: the host answers, without a body."
    return responses


def _problem(status: int, reasons: Sequence[Reason], schemas: _Schemas) -> dict[str, Any]:
    narrowed = {"properties": {"status": {"const": status}, "reason": {"enum": [str(reason) for reason in reasons]}}}
    return {"allOf": [schemas.of("shapes:Problem"), narrowed]}


def _media(content: Content, schemas: _Schemas) -> dict[str, Any]:
    # A stream of YAML documents is no one value that a schema could describe.
    as_text: dict[str, Any] = {} if "yaml" in content.media_type else {"type": "string"}
    media: dict[str, Any] = {"schema": schemas.of(content.model) if content.model else as_text}
    if content.example is not None:
        media["example"] = content.example
    return media
