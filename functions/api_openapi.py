"""The OpenAPI document over HTTP."""

from functools import cache
from typing import Any

import azure.functions as func

from functions.http.answers import answer
from functions.http.endpoints import declared_endpoints, endpoint
from shared.access.roles import Role

openapi_api = func.Blueprint()


@endpoint(
    openapi_api,
    "GET",
    "v1/openapi.json",
    tag="description",
    access=Role.READER,
    by_customer=True,
    summary="Show this document",
    answers={200: "description:OpenApiDocument"},
)
def show_openapi(req: func.HttpRequest) -> func.HttpResponse:
    """Made from the models and the declarations that the endpoints work by."""
    del req
    return answer(200, _document())


@cache
def _document() -> dict[str, Any]:
    from functions.http.openapi import openapi_document

    return openapi_document(list(declared_endpoints().values()))
