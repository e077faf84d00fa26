"""How a tenant gets into AWS: by an access key, or by the token of the app's managed identity."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator

from shared.settings.base import Document, Text
from shared.vaults.documents.credentials import CredentialReference

_AUDIENCE = re.compile(r"api://[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9._-]+)*/?")
# The app ids of Microsoft's services whose tokens are worth the most: Key Vault, Graph and its predecessor, Resource
# Manager and the service management before it, storage, Event Grid, SQL, Log Analytics, the portal.
_MICROSOFTS = frozenset(
    {
        "cfa8b339-82a2-471a-a3c9-0fc0be7a4093",
        "00000003-0000-0000-c000-000000000000",
        "00000002-0000-0000-c000-000000000000",
        "797f4846-ba00-4fd7-ba43-dac1f8f63013",
        "e406a681-f3d4-42a8-90b6-c2b029497af1",
        "4962773b-9cdb-44cf-a8bf-237846a00ab7",
        "022907d3-0f1b-48f7-badc-1ba6abab6d66",
        "ca7f3f0b-7d91-482c-8e09-c5d840d0eac5",
        "c44b4083-3bb0-49c1-b47d-974e53cbdf3c",
    }
)


class AccessKeyDocument(Document):
    """An access key. Without `access_key_id` the secret holds both, as JSON."""

    method: Literal["access_key"]
    access_key_id: Text | None = None
    secret: CredentialReference


def audience_fault(audience: str) -> str | None:
    """Why no token for this audience may be given to AWS; None when it may.

    A token for one of Microsoft's own services would let AWS, or whoever holds it, act there as this app.
    """
    name = audience.casefold().removeprefix("api://").rstrip("/").removesuffix("/.default")
    if _AUDIENCE.fullmatch(audience) is None:
        return "must be the Application ID URI of an app of your own, such as api://deskbridge-aws"
    if any(name == one or name.startswith(f"{one}/") for one in _MICROSOFTS) or name.startswith("azureadtokenexchange"):
        return "is one of Microsoft's own services: register an application, and write its Application ID URI"
    return None


def _audience(value: str) -> str:
    fault = audience_fault(value)
    if fault is not None:
        raise ValueError(fault)
    return value


class WebIdentityDocument(Document):
    """No key at all: the app's managed identity gets a token for `audience`, which AWS takes for the account's role."""

    method: Literal["web_identity"]
    audience: Annotated[Text, AfterValidator(_audience)]
    client_id: Text | None = None
