"""Deliveries that Event Grid signs with a token of Entra ID: the token's signature, and who it is from and for.

The keys come from the tenant's own authority, are kept, and are fetched seldom, whatever a stranger sends.
"""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from shared.errors import MisconfiguredError, NotAuthorisedError, TryLaterError
from shared.reasons import Reason

if TYPE_CHECKING:
    import requests

LARGEST_KEY_SET = 256 * 1024
_LONGEST_TOKEN = 16 * 1024
_ALGORITHM = "RS256"
_LEEWAY_SECONDS = 120
# A key set is good for a day; one that lacks a key is fetched anew, but not at every token that names another.
_KEPT_SECONDS = 24 * 3600.0
_ASKED_AGAIN_SECONDS = 300.0
_FAILED_SECONDS = 15.0
_SECONDS = 5


@dataclass(frozen=True)
class ExpectedToken:
    """What a token has to say. `authority` is the sign-in host's address, without a slash at its end."""

    authority: str
    tenant_id: str
    audience: str
    app_id: str

    @property
    def issuers(self) -> tuple[str, ...]:
        """As tokens of either version, and in China, name the tenant."""
        names = ("https://sts.windows.net", "https://sts.chinacloudapi.cn")
        return (*(f"{name}/{self.tenant_id}/" for name in names), f"{self.authority}/{self.tenant_id}/v2.0")

    @property
    def keys_url(self) -> str:
        return f"{self.authority}/{self.tenant_id}/discovery/v2.0/keys"


@dataclass
class _KeySet:
    keys: Mapping[str, Any]
    fetched_at: float
    asked_at: float


class DeliveryTokens:
    """Checks tokens. `fetch` reads an address, at most LARGEST_KEY_SET bytes; `clock` gives seconds."""

    def __init__(self, fetch: Callable[[str], bytes], clock: Callable[[], float]) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._sets: dict[str, _KeySet] = {}
        self._failed_at: dict[str, float] = {}

    def check(self, token: str, expected: ExpectedToken) -> None:
        """Raise NotAuthorisedError with what is wrong, for the log; TryLaterError while the keys cannot be read."""
        import jwt

        if len(token) > _LONGEST_TOKEN:
            raise bearer_refused("it is too long to be one")
        try:
            header = jwt.get_unverified_header(token)
            unverified = jwt.decode(token, options={"verify_signature": False})
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise bearer_refused("it is no JSON Web Token") from None
        if header.get("alg") != _ALGORITHM:
            raise bearer_refused(f"it is not signed with {_ALGORITHM}")
        # Before any key is fetched: a token for another audience costs nothing.
        _check_claims(unverified, expected)
        key = self._key(str(header.get("kid", "")), expected.keys_url)
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[_ALGORITHM],
                audience=expected.audience,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "iat", "aud", "iss"]},
            )
        except jwt.ExpiredSignatureError:
            raise bearer_refused("it has expired") from None
        except (jwt.PyJWTError, ValueError, TypeError):
            raise bearer_refused("its signature or its times are not right") from None
        _check_claims(claims, expected)

    def _key(self, key_id: str, url: str) -> Any:
        with self._lock:
            now = self._clock()
            known = self._sets.get(url)
            old = known is None or now - known.fetched_at > _KEPT_SECONDS
            missing = known is not None and key_id not in known.keys and now - known.asked_at > _ASKED_AGAIN_SECONDS
            if old or missing:
                known = self._fetched(url, known, now)
        if known is None or key_id not in known.keys:
            raise bearer_refused("it is signed with a key that the tenant does not have")
        return known.keys[key_id]

    def _fetched(self, url: str, known: _KeySet | None, now: float) -> _KeySet | None:
        failed_at = self._failed_at.get(url)
        if failed_at is None or now - failed_at > _FAILED_SECONDS:
            try:
                keys = _parse_keys(self._fetch(url))
            except (OSError, ValueError, MisconfiguredError):
                self._failed_at[url] = now
            else:
                # One document names one tenant: the sets of earlier ones are of no use.
                self._sets = {url: _KeySet(keys, now, now)}
                self._failed_at.clear()
                return self._sets[url]
        if known is None:
            raise TryLaterError(
                Reason.IDENTITY_UNAVAILABLE,
                f"The keys that Entra ID signs with cannot be read from {url}.",
                remedy="It usually passes. If it stays, check tenant_id and authority under `entra`, and the host's "
                "way to it.",
            )
        known.asked_at = now
        return known


def fetch_keys(url: str, session: "requests.Session") -> bytes:
    """The key set at the address, without following a redirect. Raises OSError, and ValueError for what is none."""
    from urllib3.exceptions import HTTPError

    # Not compressed: what is read is then as large as what is sent.
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    wait = (_SECONDS, _SECONDS)
    with session.get(url, headers=headers, timeout=wait, allow_redirects=False, stream=True) as answer:
        if answer.status_code != HTTPStatus.OK:
            raise ValueError(f"status {answer.status_code}")
        try:
            body = bytes(answer.raw.read(LARGEST_KEY_SET + 1, decode_content=False))
        except HTTPError as error:
            raise ValueError("the answer broke off") from error
    if len(body) > LARGEST_KEY_SET:
        raise ValueError("the key set is too large")
    return body


def bearer_refused(why: str) -> NotAuthorisedError:
    """`why` goes into the log, and to nobody else."""
    return NotAuthorisedError(
        Reason.BEARER_REFUSED,
        f"The Bearer token of this delivery is not accepted: {why}.",
        remedy="Compare `entra` of key-vault-events/default with the event subscription's tenant and application.",
    )


def _check_claims(claims: Mapping[str, Any], expected: ExpectedToken) -> None:
    """Who the token is from and for. Nothing that it says is repeated: before its signature it is anybody's words."""
    if claims.get("aud") != expected.audience:
        raise bearer_refused("it is meant for another audience")
    if claims.get("iss") not in expected.issuers or claims.get("tid") != expected.tenant_id:
        raise bearer_refused("it comes from another tenant")
    if claims.get("azp" if claims.get("ver") == "2.0" else "appid") != expected.app_id:
        raise bearer_refused("it belongs to another application than Event Grid")


def _parse_keys(body: bytes) -> dict[str, Any]:
    """The RSA keys by id. Raises ValueError."""
    import jwt

    content = json.loads(body)
    entries = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise ValueError("it is no key set")  # noqa: TRY004 - it is what the answer says that is wrong
    found: dict[str, Any] = {}
    for entry in entries:
        if isinstance(entry, dict) and entry.get("kty") == "RSA" and isinstance(entry.get("kid"), str):
            try:
                found[entry["kid"]] = jwt.PyJWK.from_dict(entry, _ALGORITHM).key
            except jwt.PyJWTError:
                continue
    return found
