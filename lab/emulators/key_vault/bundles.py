"""Objects as Key Vault writes them: bundles with their content, items for lists."""

from datetime import timedelta
from typing import Any

from lab.emulators.key_vault.moments import epoch
from lab.emulators.key_vault.state import ObjectVersion, StoredObject, Vault


def identifier(vault: Vault, stored: StoredObject, version: str = "") -> str:
    """The URL by which Key Vault names an object, or one version of it."""
    return f"{vault.url}/{stored.object_type}/{stored.name}" + (f"/{version}" if version else "")


def attributes(vault: Vault, held: ObjectVersion) -> dict[str, Any]:
    found: dict[str, Any] = {"enabled": held.enabled}
    if held.not_before:
        found["nbf"] = epoch(held.not_before)
    if held.expires_at:
        found["exp"] = epoch(held.expires_at)
    return found | {
        "created": epoch(held.created_at),
        "updated": epoch(held.updated_at),
        "recoveryLevel": vault.settings.recovery_level,
        "recoverableDays": vault.settings.recoverable_days,
        **held.attributes,
    }


def _labels(stored: StoredObject, held: ObjectVersion) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if held.content_type:
        found["contentType"] = held.content_type
    if held.tags:
        found["tags"] = dict(held.tags)
    if stored.managed:
        found["managed"] = True
    return found


def item(vault: Vault, stored: StoredObject, held: ObjectVersion, *, with_version: bool) -> dict[str, Any]:
    """An entry of a list: never a value."""
    name = identifier(vault, stored, held.version if with_version else "")
    found = {"kid" if stored.object_type == "keys" else "id": name, "attributes": attributes(vault, held)}
    found |= _labels(stored, held)
    if held.certificate:
        found |= {"x5t": held.certificate.thumbprint, "subject": held.certificate.subject}
    return found


def properties(vault: Vault, stored: StoredObject, held: ObjectVersion) -> dict[str, Any]:
    """A secret without its value, as an update of its properties answers."""
    found = {"id": identifier(vault, stored, held.version), "attributes": attributes(vault, held)}
    if stored.managed and stored.object_type == "secrets":
        found["kid"] = f"{vault.url}/keys/{stored.name}/{held.version}"
    return found | _labels(stored, held)


def bundle(vault: Vault, stored: StoredObject, held: ObjectVersion) -> dict[str, Any]:
    """One version with its content: the value of a secret, the public half of a key, a certificate with its policy."""
    if stored.object_type == "secrets":
        return {"value": held.value} | properties(vault, stored, held)
    if stored.object_type == "keys":
        key = {"kid": identifier(vault, stored, held.version), **held.jwk}
        return {"key": key, "attributes": attributes(vault, held)} | _labels(stored, held)
    assert held.certificate is not None  # every version of a certificate is made with one
    found = {
        "id": identifier(vault, stored, held.version),
        "kid": f"{vault.url}/keys/{stored.name}/{held.version}",
        "sid": f"{vault.url}/secrets/{stored.name}/{held.version}",
        "x5t": held.certificate.thumbprint,
        "cer": held.certificate.der_base64,
        "attributes": attributes(vault, held),
        "policy": _policy(vault, stored, held),
    }
    return found | _labels(stored, held)


def deleted(vault: Vault, stored: StoredObject) -> dict[str, Any]:
    """A soft-deleted object, with when it went and when it is purged."""
    _, deleted_at = vault.deleted[(stored.object_type, stored.name.casefold())]
    return properties(vault, stored, stored.current) | {
        "recoveryId": f"{vault.url}/deleted{stored.object_type}/{stored.name}",
        "deletedDate": epoch(deleted_at),
        "scheduledPurgeDate": epoch(deleted_at + timedelta(days=vault.settings.recoverable_days)),
    }


def _policy(vault: Vault, stored: StoredObject, held: ObjectVersion) -> dict[str, Any]:
    assert held.certificate is not None
    return {
        "id": f"{vault.url}/certificates/{stored.name}/policy",
        "key_props": {"exportable": True, "kty": "EC", "crv": "P-256", "reuse_key": False},
        "secret_props": {"contentType": "application/x-pkcs12"},
        "x509_props": {"subject": held.certificate.subject, "validity_months": 12},
        "lifetime_actions": [{"trigger": {"days_before_expiry": 30}, "action": {"action_type": "EmailContacts"}}],
        "issuer": {"name": "Self"},
        "attributes": {"enabled": True, "created": epoch(held.created_at), "updated": epoch(held.updated_at)},
    }
