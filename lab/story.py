"""The Key Vault events of the first run: every type, told as what happens to real objects; the same at every start."""

import uuid
from datetime import UTC, datetime, timedelta

from lab.emulators.event_grid import KeyVaultEvent, Schema, make_event

VAULT = "acorn-vault"
_BEGAN = datetime(2026, 10, 15, 6, 0, tzinfo=UTC)
_DAY = timedelta(days=1)

# Object name, then what happens to it: type, days after the beginning, days until it expires, counted likewise.
_LIVES: dict[str, tuple[tuple[str, int, int], ...]] = {
    # Nears its end, passes it, and is renewed: one ticket that is raised, then resolved.
    "mail-password": (("SecretNearExpiry", 0, 30), ("SecretExpired", 30, 30), ("SecretNewVersionCreated", 31, 396)),
    "backup-token": (("SecretNearExpiry", 2, 32),),
    "document-signing": (("KeyNewVersionCreated", 1, 366),),
    "disk-encryption": (("KeyNearExpiry", 3, 33), ("KeyExpired", 33, 33)),
    "intranet": (("CertificateNearExpiry", 4, 34), ("CertificateNewVersionCreated", 10, 375)),
    "shop-front": (("CertificateExpired", 12, 12),),
}


def events(schema: Schema) -> list[KeyVaultEvent]:
    """All ten event types. Each schema has objects of its own, so that each leaves its own tickets."""
    suffix = "" if schema is Schema.EVENT_GRID else "-ce"
    told = [
        make_event(
            kind,
            vault=VAULT,
            name=f"{name}{suffix}",
            occurred_at=_BEGAN + happens * _DAY,
            expires_at=_BEGAN + expires * _DAY,
            event_id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"deskbridge-lab/{schema}/{name}/{kind}")),
        )
        for name, life in _LIVES.items()
        for kind, happens, expires in life
    ]
    told.append(
        make_event(
            "VaultAccessPolicyChanged",
            vault=VAULT,
            occurred_at=_BEGAN + (5 if schema is Schema.EVENT_GRID else 6) * _DAY,
            event_id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"deskbridge-lab/{schema}/access-policy")),
        )
    )
    return told
