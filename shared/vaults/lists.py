"""What it means when a vault does not list what it holds: one sentence, and what to do. A list has no value in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from azure.core.exceptions import AzureError, HttpResponseError, ServiceRequestError, ServiceResponseError

from shared.errors import MisconfiguredError, TryLaterError
from shared.reasons import Reason
from shared.vaults.documents.credential_stores import CredentialStore
from shared.vaults.errors import closed_to_this_host, token_refused
from shared.vaults.remediation import HSM_AUDITOR, READER, RemediationCommands

_PASSING = frozenset({408, 429})
_NO_TOKEN, _FORBIDDEN, _SERVER_ERRORS = 401, 403, 500


@contextmanager
def explained_list(what: str, store_name: str, store: CredentialStore, fix: RemediationCommands) -> Iterator[None]:
    """Raises MisconfiguredError and TryLaterError for what Microsoft's clients raise when they list `what`."""
    vault = f"The {'managed HSM' if store.is_hsm else 'vault'} {store.name_of_vault}"
    try:
        yield
    except HttpResponseError as error:
        status = error.status_code or 0
        if status in _PASSING or status >= _SERVER_ERRORS:
            raise TryLaterError(
                Reason.VAULT_THROTTLED if status in _PASSING else Reason.VAULT_FAILED,
                f"{vault} did not list its {what} (status {status}).",
                remedy="The next sweep tries again.",
                retry_after=_retry_after(error),
            ) from None
        if status == _NO_TOKEN:
            raise token_refused(vault, store, fix) from None
        if status != _FORBIDDEN:
            raise MisconfiguredError(
                Reason.VAULT_ADDRESS_WRONG,
                f"{vault} answered the list of its {what} with status {status}, as no vault does.",
                remedy=f"Check vault_url of the credential store {store_name}, and leave api_version out.",
            ) from None
        closed = closed_to_this_host(vault, _inner_code(error), fix)
        raise closed or _not_allowed(what, vault, store_name, store, fix) from None
    except (ServiceRequestError, ServiceResponseError) as error:
        raise TryLaterError(
            Reason.VAULT_UNREACHABLE,
            f"{vault} did not answer ({type(error).__name__}).",
            remedy=f"If it stays, check vault_url of its store, and the way to it: {fix.show_vault()}",
        ) from None
    # JSON of another form meets an SDK that does not expect it.
    except (AzureError, ValueError, AttributeError, TypeError, KeyError) as error:
        raise MisconfiguredError(
            Reason.VAULT_ADDRESS_WRONG,
            f"What answers at {store.vault_url} is no Key Vault of that cloud ({type(error).__name__}).",
            remedy=f"Check vault_url of the credential store {store_name}.",
        ) from None


def _not_allowed(
    what: str, vault: str, store_name: str, store: CredentialStore, fix: RemediationCommands
) -> MisconfiguredError:
    remedy = (
        f"Give it the role {HSM_AUDITOR}: {fix.grant_listing_of_hsm()}"
        if store.is_hsm
        else f"Give it the role {READER} on the vault ({fix.grant_listing()}), or with access policies the permission "
        "List for secrets, keys and certificates. Neither reads a value."
    )
    return MisconfiguredError(
        Reason.VAULT_PERMISSION_MISSING,
        f"{vault} does not let the identity of the credential store {store_name} list its {what}.",
        remedy=remedy,
    )


def _retry_after(error: HttpResponseError) -> float | None:
    response: Any = error.response
    try:
        seconds = float(response.headers.get("Retry-After", "") if response is not None else "")
    except ValueError:
        return None
    # NaN is no time to wait.
    return seconds if seconds > 0 else None


def _inner_code(error: HttpResponseError) -> str:
    inner = getattr(error.error, "innererror", None)
    return str(inner.get("code") or "") if isinstance(inner, dict) else ""
