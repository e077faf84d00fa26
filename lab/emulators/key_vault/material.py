"""Real keys and certificates for the vaults, so that a client that parses them finds what it expects."""

import base64
import hashlib
import threading
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, pkcs12

_ONE_AT_A_TIME = threading.Lock()


def base64url(content: bytes) -> str:
    """Base64 for URLs without padding, as JSON Web Keys and thumbprints are written."""
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _number(value: int, size: int) -> str:
    return base64url(value.to_bytes(size, "big"))


@cache
def _rsa_key() -> rsa.RSAPrivateKey:
    # One for the whole lab: making one takes a tenth of a second, and nothing here depends on its strength.
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_jwk(key_type: str) -> dict[str, object]:
    """A new key's public half as a JSON Web Key, without its kid."""
    if key_type == "RSA":
        with _ONE_AT_A_TIME:
            numbers = _rsa_key().public_key().public_numbers()
        operations = ["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"]
        return {"kty": "RSA", "key_ops": operations, "n": _number(numbers.n, 256), "e": _number(numbers.e, 3)}
    return _ec_jwk(ec.generate_private_key(ec.SECP256R1()))


def _ec_jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, object]:
    point = key.public_key().public_numbers()
    return {
        "kty": "EC",
        "crv": "P-256",
        "key_ops": ["sign", "verify"],
        "x": _number(point.x, 32),
        "y": _number(point.y, 32),
    }


@dataclass(frozen=True)
class CertificateMaterial:
    """A self-signed certificate in every form in which a vault hands it out."""

    subject: str
    der: bytes = field(repr=False)
    jwk: dict[str, object] = field(repr=False)
    pkcs12_base64: str = field(repr=False)

    @property
    def thumbprint(self) -> str:
        return base64url(hashlib.sha1(self.der, usedforsecurity=False).digest())

    @property
    def der_base64(self) -> str:
        return base64.b64encode(self.der).decode()


def certificate(subject: str, not_before: datetime, not_after: datetime) -> CertificateMaterial:
    """A new self-signed certificate for a subject such as CN=www.acorn.example."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name.from_rfc4514_string(subject)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .sign(key, hashes.SHA256())
    )
    return CertificateMaterial(
        subject=subject,
        der=made.public_bytes(Encoding.DER),
        jwk=_ec_jwk(key),
        pkcs12_base64=base64.b64encode(
            pkcs12.serialize_key_and_certificates(None, key, made, None, NoEncryption())
        ).decode(),
    )
