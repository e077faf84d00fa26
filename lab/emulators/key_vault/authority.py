"""The lab's certificate authority, kept in a folder so that a client that trusts it goes on trusting it."""

import os
import secrets
import ssl
from pathlib import Path

import certifi
import trustme

CERTIFICATE = "ca.pem"
PRIVATE_KEY = "ca-key.pem"
BUNDLE = "bundle.pem"
TOKEN_KEY = "token-key"


class CertificateAuthority:
    """Made once in `folder` and reused: `certificate` alone, and `bundle` with the public authorities beside it.

    The folder also keeps the key that signs the lab's tokens, so that a token outlives a restart as in Azure.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.certificate = folder / CERTIFICATE
        self.bundle = folder / BUNDLE
        key = folder / PRIVATE_KEY
        if self.certificate.exists() and key.exists():
            self._ca = trustme.CA.from_pem(self.certificate.read_bytes(), key.read_bytes())
        else:
            self._ca = trustme.CA(organization_name="Deskbridge lab", organization_unit_name="Deskbridge lab authority")
            _write(key, self._ca.private_key_pem.bytes(), 0o600)
            _write(self.certificate, self._ca.cert_pem.bytes(), 0o644)
        # A client given a bundle trusts nothing else, and the host may still call the outside world.
        _write(self.bundle, Path(certifi.where()).read_bytes() + b"\n" + self._ca.cert_pem.bytes(), 0o644)
        token_key = folder / TOKEN_KEY
        if not token_key.exists():
            _write(token_key, secrets.token_bytes(32), 0o600)
        self.token_key = token_key.read_bytes()

    def server_context(self, *names: str) -> ssl.SSLContext:
        """TLS for a server on loopback, with a fresh certificate of this authority for these names."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*(names or ("localhost", "127.0.0.1", "::1"))).configure_cert(context)
        return context


def _write(path: Path, content: bytes, mode: int) -> None:
    # Whole or not at all: another process may be reading the bundle.
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    part.replace(path)
