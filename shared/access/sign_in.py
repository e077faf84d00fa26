"""Callers whom the platform signed in with Entra: the header that it sets, and the app roles in it.

The header is to be believed only while the platform's authentication stands in front, which removes a forged one.
"""

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any

from shared.access.principals import Principal, PrincipalKind
from shared.access.roles import Role
from shared.errors import ForbiddenError, TryLaterError
from shared.reasons import Reason

PRINCIPAL_HEADER = "X-MS-CLIENT-PRINCIPAL"
NAME_HEADER = "X-MS-CLIENT-PRINCIPAL-NAME"
ID_HEADER = "X-MS-CLIENT-PRINCIPAL-ID"

APP_ROLES = {
    "Deskbridge.Reader": Role.READER,
    "Deskbridge.Operator": Role.OPERATOR,
    "Deskbridge.Administrator": Role.ADMINISTRATOR,
}
# An app role of this beginning limits its holder to the customer whose document's name follows.
CUSTOMER_ROLE = "Deskbridge.Customer."
_ROLE_CLAIMS = frozenset({"roles", "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"})
_LONGEST_NAME = 200


def signed_in_principal(header: str, name: str, object_id: str) -> Principal:
    """The principal of the platform's headers.

    Raises TryLaterError when the platform says nothing of a caller, ForbiddenError for one without an app role.
    """
    if not header:
        raise TryLaterError(
            Reason.SIGN_IN_EXPECTED,
            "Sign-in is on, and the platform says nothing of who calls.",
            remedy="Sign in with Entra and send its token as the header Authorization: Bearer.",
        )
    values = set(_roles_in(header))
    roles = [role for app_role, role in APP_ROLES.items() if app_role in values]
    name, object_id = _printable(name), _printable(object_id)
    if not roles:
        raise ForbiddenError(
            Reason.ROLE_MISSING,
            f"{name or 'Whoever signed in'} has no app role of this desk.",
            remedy=f"Assign one of {', '.join(APP_ROLES)} in the enterprise application.",
        )
    customers = sorted(value.removeprefix(CUSTOMER_ROLE) for value in values if value.startswith(CUSTOMER_ROLE))
    # The table of roles is in rising order.
    return Principal(
        name or object_id or "unnamed",
        PrincipalKind.SIGNED_IN,
        roles[-1],
        tuple(customers) if customers else None,
        object_id=object_id,
    )


def _roles_in(header: str) -> Iterator[str]:
    """The values of all role claims. A header that cannot be read has none."""
    try:
        content: Any = json.loads(base64.b64decode(header, validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return
    claims = content.get("claims") if isinstance(content, dict) else None
    for claim in claims if isinstance(claims, list) else ():
        if isinstance(claim, dict) and claim.get("typ") in _ROLE_CLAIMS and isinstance(claim.get("val"), str):
            yield claim["val"]


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable()).strip()[:_LONGEST_NAME]
