"""Who may call the lab's AWS: access keys with checked signatures, roles with external ids, web identities.

The signature is really verified (Signature Version 4, header form), so a wrong secret fails here as it would at AWS.
"""

import base64
import binascii
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote

from lab.emulators.ec2.refusals import RefusalError, Service, access_denied, auth_failure


@dataclass(frozen=True)
class AccessKey:
    """A long-term key of a user, or (with a session token) a temporary one of an assumed role."""

    access_key_id: str
    secret_access_key: str
    account: str
    arn: str
    user_id: str = "AIDALABDESKBRIDGE0001"
    session_token: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True)
class Role:
    """A role that callers from `trusted_accounts` may assume, with the external id when one is set.

    With `web_identity_audience`, a token with that audience may assume it instead.
    """

    arn: str
    trusted_accounts: tuple[str, ...] = ()
    external_id: str | None = None
    web_identity_audience: str | None = None

    @property
    def account(self) -> str:
        return self.arn.split(":")[4]

    @property
    def partition(self) -> str:
        """`aws`, `aws-us-gov` or `aws-cn`."""
        return self.arn.split(":")[1]

    @property
    def name(self) -> str:
        return self.arn.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Signed:
    """The parts of a request that a signature covers."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]  # lower-case names
    body: bytes


@dataclass(frozen=True)
class Scope:
    """What an Authorization header says about itself: whose key, for which region and service."""

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str


def read_scope(authorization: str) -> Scope | None:
    algorithm, _, rest = authorization.partition(" ")
    parts = dict(item.strip().split("=", 1) for item in rest.split(",") if "=" in item)
    credential = parts.get("Credential", "").split("/")
    if algorithm != "AWS4-HMAC-SHA256" or len(credential) != 5:
        return None
    return Scope(
        credential[0],
        credential[1],
        credential[2],
        credential[3],
        tuple(parts.get("SignedHeaders", "").split(";")),
        parts.get("Signature", ""),
    )


@dataclass
class Directory:
    """The keys and roles of all accounts of one emulator. `verify_web_identity` checks a token's signature, if given.

    Without `verify_web_identity` a token's claims (audience, expiry) are checked and its signature is taken on trust.
    """

    keys: dict[str, AccessKey] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=dict)
    verify_web_identity: Callable[[str], Mapping[str, object]] | None = None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add_keys(self, keys: Iterable[AccessKey]) -> None:
        with self._lock:
            self.keys.update({key.access_key_id: key for key in keys})

    def add_roles(self, roles: Iterable[Role]) -> None:
        with self._lock:
            self.roles.update({role.arn: role for role in roles})

    def revoke(self, access_key_id: str) -> None:
        with self._lock:
            self.keys.pop(access_key_id, None)

    def caller(self, request: Signed, service: Service) -> AccessKey:
        """The key that signed this request; raises what EC2 or STS would answer to a key or signature that is wrong."""
        scope = read_scope(request.headers.get("authorization", ""))
        unknown, wrong = (
            (auth_failure(), auth_failure())
            if service == "ec2"
            else (
                RefusalError("InvalidClientTokenId", "The security token included in the request is invalid."),
                RefusalError(
                    "SignatureDoesNotMatch",
                    "The request signature we calculated does not match the signature you provided. "
                    "Check your AWS Secret Access Key and signing method.",
                ),
            )
        )
        key = self.keys.get(scope.access_key_id) if scope else None
        if scope is None or key is None or request.headers.get("x-amz-security-token") != key.session_token:
            raise unknown
        if not hmac.compare_digest(sign(request, scope, key.secret_access_key), scope.signature):
            raise wrong
        if key.expires_at and key.expires_at <= self.now():
            raise RefusalError(
                "RequestExpired" if service == "ec2" else "ExpiredToken",
                "Request has expired." if service == "ec2" else "The security token included in the request is expired",
            )
        return key

    def allow_assume(self, caller: AccessKey, role_arn: str, external_id: str | None) -> Role:
        """The role, if the caller may assume it. AWS does not say whether role, trust or external id was at fault."""
        role = self.roles.get(role_arn)
        trusted = role is not None and caller.account in role.trusted_accounts
        if role is None or not trusted or (role.external_id is not None and external_id != role.external_id):
            raise access_denied(caller.arn, "sts:AssumeRole", role_arn)
        return role

    def allow_web_identity(self, role_arn: str, token: str) -> tuple[Role, Mapping[str, object]]:
        """The role and the token's claims, if this token may assume it."""
        role = self.roles.get(role_arn)
        claims = self.verify_web_identity(token) if self.verify_web_identity else read_claims(token)
        if role is None or role.web_identity_audience is None:
            raise RefusalError("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
        expires = claims.get("exp")
        if not isinstance(expires, int | float) or expires <= time.time():
            raise RefusalError(
                "ExpiredTokenException", "Token expired: current date/time must be before the expiration"
            )
        audience = claims.get("aud")
        if role.web_identity_audience not in (audience if isinstance(audience, list) else [audience]):
            raise RefusalError("InvalidIdentityToken", "Incorrect token audience")
        return role, claims


def read_claims(token: str) -> Mapping[str, object]:
    """The claims of a JSON web token, its signature unchecked; raises STS's refusal when it is none."""
    try:
        _, payload, _ = token.split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, binascii.Error):
        claims = None
    if not isinstance(claims, dict):
        raise RefusalError("InvalidIdentityToken", "The ID Token provided is not a valid JWT.")
    return claims


def sign(request: Signed, scope: Scope, secret: str) -> str:
    """Signature Version 4 of this request, as hexadecimal digits."""
    query = "&".join(
        f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}"
        for name, value in sorted(parse_qsl(request.query, keep_blank_values=True))
    )
    headers = "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in scope.signed_headers)
    canonical = "\n".join(
        [
            request.method,
            quote(request.path or "/", safe="/-_.~"),
            query,
            headers,
            ";".join(scope.signed_headers),
            hashlib.sha256(request.body).hexdigest(),
        ]
    )
    at = f"{scope.date}/{scope.region}/{scope.service}/aws4_request"
    to_sign = "\n".join(
        ["AWS4-HMAC-SHA256", request.headers.get("x-amz-date", ""), at, hashlib.sha256(canonical.encode()).hexdigest()]
    )
    key = f"AWS4{secret}".encode()
    for part in (scope.date, scope.region, scope.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, to_sign.encode(), "sha256").hex()
