"""The OpenAPI document itself, as an answer."""

from typing import Any

from pydantic import BaseModel


class OpenApiDocument(BaseModel):
    """As the OpenAPI specification 3.1 has it."""

    openapi: str
    info: dict[str, Any]
    servers: list[dict[str, Any]]
    tags: list[dict[str, Any]]
    paths: dict[str, Any]
    components: dict[str, Any]
