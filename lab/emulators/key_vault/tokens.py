"""Access tokens: issued for a principal and an audience, checked by the vaults."""

import jwt

from lab.emulators.key_vault.moments import Clock, epoch
from lab.emulators.key_vault.state import Principal

# Symmetric: the lab issues and checks its own tokens, and no client looks inside one.
_ALGORITHM = "HS256"


class TokenError(ValueError):
    """A token that is not to be honoured."""


def issuer(tenant_id: str) -> str:
    """The issuer that tokens of a tenant name, as Key Vault quotes it."""
    return f"https://sts.windows.net/{tenant_id}/"


class Tokens:
    """Issues and checks tokens by the lab's clock; `lifetime_seconds` may be changed at any time."""

    def __init__(self, key: bytes, clock: Clock, lifetime_seconds: int) -> None:
        self._key = key
        self._clock = clock
        self.lifetime_seconds = lifetime_seconds

    def use_key(self, key: bytes) -> None:
        """Sign and check with this key from now on."""
        self._key = key

    def issue(self, principal: Principal, audience: str) -> tuple[str, int]:
        """A token and when it expires, in seconds since 1970."""
        now = epoch(self._clock.now())
        expires_at = now + self.lifetime_seconds
        claims: dict[str, object] = {
            "aud": audience,
            "iss": issuer(principal.tenant_id),
            "iat": now,
            "nbf": now,
            "exp": expires_at,
            "appid": principal.client_id,
            "idtyp": "app",
            "oid": principal.principal_id,
            "sub": principal.principal_id,
            "tid": principal.tenant_id,
            "ver": "1.0",
        }
        if principal.resource_id:
            claims["xms_mirid"] = principal.resource_id
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM), expires_at

    def claims(self, token: str) -> dict[str, object]:
        """What a token of this lab says, still valid by the lab's clock; raises TokenError."""
        try:
            # The lab's clock may be off the machine's on purpose, so the times are compared here.
            options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False}
            claims: dict[str, object] = jwt.decode(
                token,
                self._key,
                algorithms=[_ALGORITHM],
                options=options,  # type: ignore[arg-type]  # a plain dict of the documented option names
            )
        except jwt.PyJWTError as error:
            raise TokenError("AKV10046: Unable to resolve the key used for signature validation.") from error
        if int(str(claims["exp"])) <= epoch(self._clock.now()):
            raise TokenError("Error validating token: the token has expired.")
        return claims


def unverified_claims(token: str) -> dict[str, object]:
    """What a token says about itself; raises TokenError when it is none."""
    try:
        return dict(jwt.decode(token, options={"verify_signature": False}))
    except jwt.PyJWTError as error:
        raise TokenError("the assertion is not a JSON Web Token") from error
