"""Tokens of Entra ID at Event Grid's webhook: what a genuine one must say, and every forgery that comes to mind."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from shared.access.entra_delivery import LARGEST_KEY_SET, DeliveryTokens, ExpectedToken, fetch_keys
from shared.errors import NotAuthorisedError, TryLaterError
from shared.reasons import Reason
from tests.scripted_service import Answer, scripted_service

TENANT = "11111111-2222-4333-8444-555555555555"
EVENT_GRID = "4962773b-9cdb-44cf-a8bf-237846a00ab7"
AUDIENCE = "0f3b1e9a-0000-4000-8000-00000000c0de"
EXPECTED = ExpectedToken("https://login.microsoftonline.com", TENANT, AUDIENCE, EVENT_GRID)
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def key_set(**keys: rsa.RSAPrivateKey) -> bytes:
    entries = [
        {**json.loads(RSAAlgorithm.to_jwk(key.public_key())), "kid": kid, "use": "sig"} for kid, key in keys.items()
    ]
    return json.dumps({"keys": entries}).encode()


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    told = {
        "aud": AUDIENCE,
        "iss": f"https://sts.windows.net/{TENANT}/",
        "tid": TENANT,
        "appid": EVENT_GRID,
        "ver": "1.0",
        "iat": now,
        "nbf": now,
        "exp": now + 3600,
        **changes,
    }
    return {name: value for name, value in told.items() if value is not None}


def token(key: Any = KEY, kid: str = "one", algorithm: str = "RS256", **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers={"kid": kid})


class Authority:
    """The tenant's published keys, and how often they were read."""

    def __init__(self) -> None:
        self.body = key_set(one=KEY)
        self.fails: Exception | None = None
        self.asked: list[str] = []
        self.seconds = 1_000.0

    def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        if self.fails is not None:
            raise self.fails
        return self.body


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def tokens(authority: Authority) -> DeliveryTokens:
    return DeliveryTokens(authority.fetch, lambda: authority.seconds)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"iss": f"https://login.microsoftonline.com/{TENANT}/v2.0", "ver": "2.0", "azp": EVENT_GRID, "appid": None},
    ],
)
def test_event_grids_own_token_of_either_version_is_accepted(
    changes: dict[str, Any], tokens: DeliveryTokens, authority: Authority
) -> None:
    for _ in range(20):
        tokens.check(token(**changes), EXPECTED)
    assert authority.asked == [f"https://login.microsoftonline.com/{TENANT}/discovery/v2.0/keys"]


def _none() -> str:
    parts = [json.dumps({"alg": "none", "kid": "one"}), json.dumps(claims())]
    return ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts) + "."


FORGERIES: dict[str, Callable[[], str]] = {
    "another key": lambda: token(OTHER),
    "a key that the tenant has not": lambda: token(OTHER, kid="mine"),
    "no signature": _none,
    "signed with the public key as a password": lambda: token("x" * 64, algorithm="HS256"),
    "another signature algorithm": lambda: token(algorithm="RS512"),
    "another audience": lambda: token(aud="https://vault.azure.net"),
    "a list of audiences": lambda: token(aud=[AUDIENCE, "x"]),
    "another tenant": lambda: token(tid="99999999-2222-4333-8444-555555555555"),
    "another issuer": lambda: token(iss="https://evil.example/"),
    "another application": lambda: token(appid="22222222-0000-4000-8000-00000000c0de"),
    "the application in the other version's claim": lambda: token(appid=None, azp=EVENT_GRID),
    "expired": lambda: token(exp=int(time.time()) - 600),
    "not valid yet": lambda: token(nbf=int(time.time()) + 600),
    "no expiry": lambda: token(exp=None),
    "no token": lambda: "not.a.token",
    "nothing": lambda: "",
    "far too long": lambda: "a" * 20_000,
    "a changed body": lambda: ".".join([*token().split(".")[:1], *token(sub="x").split(".")[1:2], "AAAA"]),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_token_is_refused_and_nothing_of_it_is_repeated(
    forgery: str, tokens: DeliveryTokens, authority: Authority
) -> None:
    sent = FORGERIES[forgery]()
    with pytest.raises(NotAuthorisedError) as caught:
        tokens.check(sent, EXPECTED)
    assert caught.value.reason is Reason.BEARER_REFUSED
    assert "evil.example" not in str(caught.value)
    assert len(authority.asked) <= 1


def test_made_up_keys_do_not_have_the_key_set_fetched_each_time(tokens: DeliveryTokens, authority: Authority) -> None:
    tokens.check(token(), EXPECTED)
    for number in range(100):
        with pytest.raises(NotAuthorisedError):
            tokens.check(token(OTHER, kid=f"made-up-{number}"), EXPECTED)
    assert len(authority.asked) == 1


def test_a_new_key_of_the_tenant_is_learnt_of(tokens: DeliveryTokens, authority: Authority) -> None:
    tokens.check(token(), EXPECTED)
    authority.body = key_set(one=KEY, two=OTHER)
    authority.seconds += 301
    tokens.check(token(OTHER, kid="two"), EXPECTED)
    tokens.check(token(), EXPECTED)
    assert len(authority.asked) == 2


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"keys": {}}', b"not json", b'{"keys": [1, {"kty": "RSA"}]}'])
def test_what_is_no_key_set_lets_nobody_in(body: bytes, tokens: DeliveryTokens, authority: Authority) -> None:
    authority.body = body
    with pytest.raises((NotAuthorisedError, TryLaterError)):
        tokens.check(token(), EXPECTED)


def test_keys_that_cannot_be_read_are_no_refusal_and_are_not_asked_for_at_every_request(
    tokens: DeliveryTokens, authority: Authority
) -> None:
    authority.fails = OSError("no way there")
    for _ in range(100):
        with pytest.raises(TryLaterError):
            tokens.check(token(), EXPECTED)
    assert len(authority.asked) == 1
    authority.fails = None
    authority.seconds += 16
    tokens.check(token(), EXPECTED)
    # Old keys serve while new ones cannot be read.
    authority.fails = OSError("again")
    authority.seconds += 25 * 3600
    tokens.check(token(), EXPECTED)


def test_the_key_set_is_read_within_bounds_and_no_redirect_is_followed() -> None:
    answers = {
        "/keys": Answer(200, key_set(one=KEY)),
        "/moved": Answer(302, headers={"Location": "/keys"}),
        "/large": Answer(200, b"x" * (LARGEST_KEY_SET + 1)),
        "/failed": Answer(500),
    }
    with scripted_service() as service, requests.Session() as session:
        service.answer = lambda _, path: answers[path]
        assert fetch_keys(f"{service.url}/keys", session) == key_set(one=KEY)
        for path in ("/moved", "/large", "/failed"):
            with pytest.raises((OSError, ValueError)):
                fetch_keys(f"{service.url}{path}", session)
        assert len(service.asked) == len(answers)
    with requests.Session() as session, pytest.raises(requests.ConnectionError):
        fetch_keys("http://127.0.0.1:1/keys", session)
