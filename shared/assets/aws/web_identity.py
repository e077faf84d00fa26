"""Tokens of the app's managed identity for AWS: what stands in for an access key."""

import base64
import json
import threading

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.identity import CredentialUnavailableError, ManagedIdentityCredential

from shared.assets.documents.aws_access import audience_fault
from shared.bounded_answers import bounded_transport
from shared.errors import MisconfiguredError, TryLaterError
from shared.reasons import Reason

_PASSES = (408, 429)


class ManagedIdentityTokens:
    """Gives tokens, and keeps those that are good for a while (azure-identity does)."""

    def __init__(self) -> None:
        self._credentials: dict[str | None, ManagedIdentityCredential] = {}
        self._lock = threading.Lock()

    def __call__(self, audience: str, client_id: str | None) -> str:
        """A token whose `aud` is the audience.

        Raises MisconfiguredError when there is no such identity or audience, TryLaterError for what may pass.
        """
        fault = audience_fault(audience)
        if fault is not None:
            # Here too: nothing that came past the check at writing gets a token.
            raise _no_such_audience(audience, fault)
        with self._lock:
            if client_id not in self._credentials:
                # Explicit, as for storage: AZURE_CLIENT_ID in the environment must not decide who reads AWS.
                self._credentials[client_id] = ManagedIdentityCredential(
                    client_id=client_id, transport=bounded_transport()
                )
            credential = self._credentials[client_id]
        try:
            token = str(credential.get_token(f"{audience.rstrip('/')}/.default").token)
        except AzureError as error:
            raise _explained(error, audience, client_id) from error
        named = audience_of(token)
        if named is None or (named != audience and audience_fault(f"api://{named.removeprefix('api://')}") is not None):
            raise _no_such_audience(audience, "gets a token that is meant for another service")
        return token


def audience_of(token: str) -> str | None:
    """Whom a token is meant for, as it says itself; None when it cannot be read, or says nothing of the kind."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        audience = claims["aud"]
    except (IndexError, ValueError, KeyError, TypeError):
        return None
    return audience if isinstance(audience, str) else None


def _no_such_audience(audience: str, fault: str) -> MisconfiguredError:
    return MisconfiguredError(
        Reason.AWS_WEB_IDENTITY_REFUSED,
        f"No token is given to AWS for the audience {audience}, which {fault}.",
        remedy="Register an application in Entra, and write its Application ID URI as the audience of the tenant.",
    )


def _explained(error: AzureError, audience: str, client_id: str | None) -> MisconfiguredError | TryLaterError:
    which = f"user-assigned identity {client_id}" if client_id else "system-assigned identity"
    status = error.status_code if isinstance(error, HttpResponseError) else None
    if isinstance(error, CredentialUnavailableError):
        return MisconfiguredError(
            Reason.IDENTITY_MISSING,
            f"The access to AWS uses the {which} of this host, which gives no token for {audience}.",
            remedy="Give the function app that identity, and register an application in Entra whose Application ID URI "
            "is the audience of the tenant document.",
        )
    if isinstance(error, ClientAuthenticationError) and (status is None or (status < 500 and status not in _PASSES)):
        return MisconfiguredError(
            Reason.AWS_WEB_IDENTITY_REFUSED,
            f"Entra gives the {which} no token for {audience}.",
            remedy="Register an application in Entra whose Application ID URI is the audience of the tenant document.",
        )
    return TryLaterError(
        Reason.IDENTITY_UNAVAILABLE,
        f"The host's identity endpoint gave no token for {audience}.",
        remedy="It usually passes; if it stays, restart the function app.",
    )
