"""What goes wrong with AuthRocket, in words: for each fault what it is, and what to do."""

import json
from http import HTTPStatus

import requests

from shared.errors import MisconfiguredError, TryLaterError
from shared.network_faults import NetworkFault, network_fault
from shared.reasons import Reason
from shared.vaults.echo import SecretEcho

_MOST_MESSAGES = 5
_LONGEST_MESSAGE = 300


def refused(status: int, messages: str, realm: str | None) -> MisconfiguredError:
    """A refusal by status, with the API's own `messages`."""
    said = f" It says: {messages}." if messages else ""
    if status == HTTPStatus.PAYMENT_REQUIRED:
        return MisconfiguredError(
            Reason.AUTHROCKET_SUBSCRIPTION_INACTIVE,
            f"The AuthRocket subscription is not active, or needs attention.{said}",
            remedy="Sign in to AuthRocket's portal as the account's owner and look at the billing.",
        )
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return MisconfiguredError(
            Reason.AUTHROCKET_KEY_REFUSED,
            f"AuthRocket refuses the API key: it is wrong, deleted, or lacks the read permission.{said}",
            remedy="Make a key with the read permission under Integration > API keys of the realm, and store it in "
            "the vault as the secret that the realm's api_key names.",
        )
    if status == HTTPStatus.NOT_FOUND:
        return MisconfiguredError(
            Reason.AUTHROCKET_NOT_FOUND,
            f"AuthRocket finds nothing there (404) in {realm or 'the realm'}: the realm is perhaps another one, or the "
            f"key is locked to another realm or too weak to see it.{said}",
            remedy="Compare the realm with its address in AuthRocket's portal, and the key with the realm it was "
            "made in.",
        )
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        return MisconfiguredError(
            Reason.AUTHROCKET_REQUEST_REFUSED,
            f"AuthRocket refuses the request (422).{said or ' It does not say why.'}",
            remedy="Look at endpoint_url, realm and page_size of the realm's settings.",
        )
    return MisconfiguredError(
        Reason.AUTHROCKET_REQUEST_REFUSED,
        f"AuthRocket answered {status}, which no read should.{said}",
        remedy="Look at the endpoint URL: it is shown beside the API key, and ends with /v2.",
    )


def messages_of(body: bytes, echo: SecretEcho) -> str:
    """The API's own words, cut to a readable length; when they repeat the key, that they do."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(said, dict):
        return ""
    found = said.get("errors", said.get("error", said.get("message")))
    texts = found if isinstance(found, list) else [found]
    words = "; ".join(text.strip().rstrip(".") for text in texts[:_MOST_MESSAGES] if isinstance(text, str))
    # The whole is looked through before it is cut: half a key is one too.
    return "its words, which repeat the API key, are left out" if echo.is_in(words) else words[:_LONGEST_MESSAGE]


def key_echoed(host: str) -> MisconfiguredError:
    """An answer that repeats the API key: nothing of it is taken."""
    return MisconfiguredError(
        Reason.AUTHROCKET_KEY_ECHOED,
        f"What {host} answers repeats the API key, so nothing of it was taken.",
        remedy="AuthRocket never does that. Correct endpoint_url, and make a new key: the old one is known there.",
    )


def throttled(wait: float | None) -> TryLaterError:
    """Too many requests; `wait` in seconds where AuthRocket says how long."""
    said = f" for {wait:.0f} s" if wait is not None else ""
    return TryLaterError(
        Reason.AUTHROCKET_THROTTLED,
        f"AuthRocket asks to wait{said}: too many requests.",
        remedy="It is tried again by itself. If it lasts, ask for larger pages or move the schedule.",
        retry_after=wait,
    )


def failed(status: int, wait: float | None) -> TryLaterError:
    """A fault inside AuthRocket."""
    return TryLaterError(
        Reason.AUTHROCKET_FAILED,
        f"AuthRocket failed with {status}.",
        remedy="It is tried again by itself; look at AuthRocket's status page if it lasts.",
        retry_after=wait,
    )


def not_connected(host: str, error: requests.exceptions.ConnectionError) -> MisconfiguredError | TryLaterError:
    """Why no connection came about."""
    if network_fault(error) is NetworkFault.CERTIFICATE:
        return MisconfiguredError(
            Reason.AUTHROCKET_CERTIFICATE_UNTRUSTED,
            f"The certificate of {host} is not trusted, so the key was not sent.",
            remedy="Look at the endpoint URL; behind a proxy that opens TLS, name its authority in REQUESTS_CA_BUNDLE.",
        )
    return unreachable(host, "the connection failed or was cut")


def unreachable(host: str, what: str) -> TryLaterError:
    """`what` says how it showed."""
    return TryLaterError(
        Reason.AUTHROCKET_UNREACHABLE,
        f"AuthRocket at {host} cannot be reached: {what}.",
        remedy="It is tried again by itself; look at the endpoint URL and the network's rules if it lasts.",
    )


def too_slow(host: str, seconds: float) -> TryLaterError:
    """The caller's deadline passed."""
    return TryLaterError(
        Reason.AUTHROCKET_UNREACHABLE,
        f"AuthRocket at {host} was not done after {seconds:.0f} s.",
        remedy="It is tried again by itself; look at AuthRocket's status page if it lasts.",
    )


def redirected(host: str, what: str) -> MisconfiguredError:
    """A redirect to where the key must not go."""
    return MisconfiguredError(
        Reason.AUTHROCKET_REDIRECTED,
        f"AuthRocket's endpoint {host} {what}; the key is not sent there.",
        remedy="Copy the endpoint URL anew from AuthRocket: it is shown beside the API key.",
    )


def unreadable(host: str, what: str) -> MisconfiguredError:
    """An answer that is not the API's."""
    return MisconfiguredError(
        Reason.AUTHROCKET_ANSWER_UNREADABLE,
        f"What {host} answered {what}.",
        remedy="Look at the endpoint URL: it ends with /v2, and no proxy with a sign-in page may stand before it.",
    )
