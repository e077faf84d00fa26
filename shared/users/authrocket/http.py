"""Calls of AuthRocket's API: https only, bounded in time and size, tried again where that can help.

`errors` says in words what went wrong, `client` knows what the answers mean.
"""

import email.utils
import json
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from math import isfinite
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.auth import AuthBase

from shared.errors import MisconfiguredError, TryLaterError
from shared.reasons import Reason
from shared.users.authrocket.errors import (
    failed,
    key_echoed,
    messages_of,
    not_connected,
    redirected,
    refused,
    throttled,
    too_slow,
    unreachable,
    unreadable,
)
from shared.vaults.echo import SecretEcho

logger = logging.getLogger(__name__)

# In seconds. A page of 1,000 users with custom fields takes AuthRocket some seconds.
CONNECT_SECONDS = 5
SILENCE_SECONDS = 30
TRIES = 4
# For one answer. Longer, and the run would take its part for dead: the queue brings it again instead.
LONGEST_WAIT_SECONDS = 480
_LONGEST_BACKOFF = 8.0
_FIRST_BACKOFF = 0.5
LARGEST_ANSWER = 64 * 1024 * 1024
_CHUNK = 64 * 1024
_MOST_REDIRECTS = 3
_MOST_DIGITS = 1_000
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True)
class EndpointAccess:
    """How a realm is reached. `realm` None asks for what no realm owns; `bearer` picks the form of the key's header."""

    endpoint_url: str
    realm: str | None
    bearer: bool = False


class SecretProvider:
    """The API key at the moment of use. `read` gives its text; after `invalidate` the next `read` fetches it anew."""

    def __init__(self, read: Callable[[], str], invalidate: Callable[[], None]) -> None:
        self.read = read
        self.invalidate = invalidate


@dataclass
class Deadline:
    """How long a caller can wait in all: calls, retries and waits together. `clock` gives seconds."""

    seconds: float
    clock: Callable[[], float]
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.clock()

    @property
    def left(self) -> float:
        return self.began + self.seconds - self.clock()


class _KeyHeader(AuthBase):
    # As `auth`, so that requests neither reads a .netrc nor replaces the header by what it finds there.
    def __init__(self, key: str, bearer: bool) -> None:
        self._key = key
        self._bearer = bearer

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._bearer:
            request.headers["Authorization"] = f"Bearer {self._key}"
        else:
            request.headers["Authrocket-Api-Key"] = self._key
        return request


class _RetryableError(Exception):
    """A try that failed and may be repeated; `wait` in seconds when the other side said how long. `throttled` tries
    are not counted: whoever asks to wait is not failing."""

    def __init__(self, error: TryLaterError, wait: float | None = None, *, throttled: bool = False) -> None:
        super().__init__(str(error))
        self.error = error
        self.wait = wait
        self.throttled = throttled and wait is not None


class AuthRocketCalls:
    """GET requests to one realm's API. Safe to use from one thread at a time."""

    def __init__(
        self,
        access: EndpointAccess,
        keys: SecretProvider,
        deadline: Deadline,
        *,
        session: requests.Session,
        sleep: Callable[[float], None],
    ) -> None:
        """`session` connects to the realm's host, and to no other."""
        self._access = access
        self._keys = keys
        self._deadline = deadline
        self._sleep = sleep
        self._session = session
        self._host = urlsplit(access.endpoint_url).hostname or ""

    def get(self, path: str, parameters: Mapping[str, str] | None = None) -> Any:
        """The JSON of the answer.

        Raises MisconfiguredError with what is wrong and what to do (404 as `AUTHROCKET_NOT_FOUND`), TryLaterError
        for what may pass.
        """
        tried_keys: list[str] = []
        while True:
            key = self._key()
            tried_keys.append(key)
            try:
                return self._get_with_retries(path, parameters or {}, key)
            except MisconfiguredError as error:
                if error.reason is not Reason.AUTHROCKET_KEY_REFUSED or len(tried_keys) > 1:
                    raise
                # The key may have been changed in the vault since it was read.
                self._keys.invalidate()
                if self._key() in tried_keys:
                    raise

    def _key(self) -> str:
        key = self._keys.read().strip()
        if not key.isascii() or not key.isprintable() or " " in key:
            raise MisconfiguredError(
                Reason.AUTHROCKET_KEY_REFUSED,
                "The secret is not an AuthRocket API key: it has characters that no key has.",
                remedy="Store the key alone (ks_…), as AuthRocket shows it under Integration > API keys.",
            )
        return key

    def _get_with_retries(self, path: str, parameters: Mapping[str, str], key: str) -> Any:
        backoff = _FIRST_BACKOFF
        waited = 0.0
        failures = 0
        while True:
            try:
                return self._get_once(path, parameters, key)
            except _RetryableError as passing:
                failures += not passing.throttled
                if failures >= TRIES:
                    raise passing.error from passing
                wait = passing.wait if passing.wait is not None else backoff * random.uniform(0.7, 1.3)  # noqa: S311 - spreads tries, guards nothing
                waited += wait
                if wait >= self._deadline.left or waited > LONGEST_WAIT_SECONDS:
                    raise passing.error from passing
                logger.info("AuthRocket is asked again in %.1f s: %s", wait, passing.error.message)
                self._sleep(wait)
                backoff = min(backoff * 2, _LONGEST_BACKOFF)

    def _get_once(self, path: str, parameters: Mapping[str, str], key: str) -> Any:
        url, asked = f"{self._access.endpoint_url}/{path}", dict(parameters)
        for _ in range(_MOST_REDIRECTS + 1):
            response = self._send(url, asked, key)
            with response:
                if response.status_code in _REDIRECTS:
                    url, asked = self._redirected(url, response), {}
                    continue
                body = self._read_body(response)
            return self._parse(response, body, SecretEcho(key))
        raise redirected(self._host, f"redirects more than {_MOST_REDIRECTS} times")

    def _send(self, url: str, parameters: Mapping[str, str], key: str) -> requests.Response:
        left = self._deadline.left
        if left <= 0:
            raise too_slow(self._host, self._deadline.seconds)
        headers = {"Accept": "application/json", "Accept-Language": "en", "User-Agent": "Deskbridge"}
        if self._access.realm is not None:
            headers["Authrocket-Realm"] = self._access.realm
        try:
            return self._session.get(
                url,
                params=parameters,
                headers=headers,
                auth=_KeyHeader(key, self._access.bearer),
                timeout=(min(CONNECT_SECONDS, left), min(SILENCE_SECONDS, left)),
                allow_redirects=False,
                stream=True,
            )
        except requests.exceptions.ProxyError as error:
            raise _RetryableError(
                unreachable(self._host, "the proxy of this host does not let the call through")
            ) from error
        except requests.exceptions.ConnectTimeout as error:
            raise _RetryableError(unreachable(self._host, "it took no connection in time")) from error
        except requests.exceptions.Timeout as error:
            raise _RetryableError(unreachable(self._host, "it did not answer in time")) from error
        except requests.exceptions.ConnectionError as error:
            refusal = not_connected(self._host, error)
            raise (_RetryableError(refusal) if isinstance(refusal, TryLaterError) else refusal) from error

    def _read_body(self, response: requests.Response) -> bytes:
        """The whole body, within the deadline and the largest size whatever the other side does."""
        chunks: list[bytes] = []
        size = 0
        try:
            # One receive at a time: a body that trickles cannot outlast the deadline.
            while chunk := response.raw.read1(_CHUNK, decode_content=True):
                chunks.append(chunk)
                size += len(chunk)
                if size > LARGEST_ANSWER:
                    raise unreadable(self._host, f"is over {LARGEST_ANSWER // 2**20} MiB; ask for a smaller page_size")
                if self._deadline.left <= 0:
                    raise too_slow(self._host, self._deadline.seconds)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _RetryableError(unreachable(self._host, "its answer broke off")) from error
        return b"".join(chunks)

    def _redirected(self, url: str, response: requests.Response) -> str:
        target = urljoin(url, response.headers.get("Location", ""))
        here, there = urlsplit(url), urlsplit(target)
        # The key travels with the call: never unencrypted, and never to another host.
        if there.scheme != "https":
            raise redirected(self._host, "redirects to an address without https")
        if (there.hostname, there.port) != (here.hostname, here.port):
            # The other host is not named: it is what the answer says, and that may be the key.
            raise redirected(self._host, "redirects to another host")
        return target

    def _parse(self, response: requests.Response, body: bytes, echo: SecretEcho) -> Any:
        status = response.status_code
        if status == HTTPStatus.OK:
            try:
                found = json.loads(body, parse_constant=str, parse_float=_number, parse_int=_whole_number)
                # Written anew, so that an escape hides nothing.
                repeated = echo.is_in(json.dumps(found, ensure_ascii=False))
            except (ValueError, RecursionError) as error:
                refusal = unreadable(self._host, "is not JSON")
                raise _RetryableError(TryLaterError(refusal.reason, refusal.message, remedy=refusal.remedy)) from error
            if repeated:
                # Rows and errors are made of answers, and the key must get into none.
                raise key_echoed(self._host)
            return found
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            wait = _retry_after(response)
            raise _RetryableError(throttled(wait), None if wait is None else max(wait, 0.1), throttled=True)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
            wait = _retry_after(response)
            raise _RetryableError(failed(status, wait), wait)
        raise refused(status, messages_of(body, echo), self._access.realm)


def _retry_after(response: requests.Response) -> float | None:
    """Seconds to wait: from a number or from a date; None when it is absent or nonsense."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        until = email.utils.parsedate_to_datetime(text)
        now = email.utils.parsedate_to_datetime(response.headers["Date"])
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError, KeyError):
        return None


def _number(text: str) -> float | str:
    """A number that is too large to be one stays the text that it is: no answer of ours could say it."""
    found = float(text)
    return found if isfinite(found) else text


def _whole_number(text: str) -> int | str:
    """As above. Python refuses the whole text for a number of over 4,300 digits."""
    return int(text) if len(text) <= _MOST_DIGITS else text
