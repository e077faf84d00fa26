"""The data plane's operations: which one a method and a path ask for, and the bodies that they take."""

from dataclasses import dataclass
from typing import get_args

from pydantic import BaseModel, Field

from lab.emulators.key_vault.documents import ObjectType
from lab.emulators.key_vault.exchange import Received


class Attributes(BaseModel):
    """Times in seconds since 1970; the upper bound is the year 9999."""

    enabled: bool | None = None
    nbf: int | None = Field(default=None, ge=0, le=253_402_300_799)
    exp: int | None = Field(default=None, ge=0, le=253_402_300_799)


class SecretBody(BaseModel):
    """What a client sends to set or update a secret; what is absent stays as it is."""

    value: str | None = Field(default=None, repr=False)
    content_type: str | None = Field(default=None, alias="contentType")
    tags: dict[str, str] | None = None
    attributes: Attributes = Attributes()


@dataclass(frozen=True)
class Call:
    """What a request asks for. `permission` is what it takes, `operation` is what the journal says."""

    operation: str
    permission: str
    object_type: ObjectType
    request: Received
    name: str | None = None
    version: str = ""


def parse_call(request: Received) -> Call | None:
    """The operation behind a method and a path; None for one that this vault does not have."""
    parts = [part for part in request.path.split("/") if part]
    kind = next((kind for kind in get_args(ObjectType) if parts and parts[0] in {kind, f"deleted{kind}"}), None)
    if kind is None:
        return None
    gone = parts[0] != kind
    shape = (
        request.method,
        gone,
        len(parts),
        parts[2] if len(parts) == 3 and parts[2] in {"versions", "recover"} else "",
    )
    operation = _OPERATIONS.get(shape)
    if operation is None or (kind != "secrets" and operation.split(":")[0] not in {"get", "list", "list_versions"}):
        return None
    verb, _, permission = operation.partition(":")
    return Call(
        operation=f"{kind}/{verb}",
        permission=f"{kind}/{permission or verb}",
        object_type=kind,
        request=request,
        name=parts[1] if len(parts) > 1 else None,
        version=parts[2] if len(parts) > 2 and not shape[3] else "",
    )


# (method, deleted objects, parts of the path, keyword in the third place) -> operation[:permission]
_OPERATIONS = {
    ("GET", False, 1, ""): "list",
    ("GET", False, 2, ""): "get",
    ("GET", False, 3, ""): "get",
    ("GET", False, 3, "versions"): "list_versions:list",
    ("PUT", False, 2, ""): "set",
    ("PATCH", False, 2, ""): "update:set",
    ("PATCH", False, 3, ""): "update:set",
    ("DELETE", False, 2, ""): "delete",
    ("GET", True, 1, ""): "list_deleted:list",
    ("GET", True, 2, ""): "get_deleted:get",
    ("POST", True, 3, "recover"): "recover",
    ("DELETE", True, 2, ""): "purge",
}
