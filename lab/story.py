"""The Key Vault story of the first run: what happened to real objects of a vault, and the objects as they are now.

It ends today, counted from the first start of a folder, and is the same at every later start.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lab.emulators.event_grid import KeyVaultEvent, Schema, make_event
from lab.emulators.event_grid.events import derived_version

VAULT = "acorn-vault"
_DAY = timedelta(days=1)
_LENGTH = 40 * _DAY


@dataclass(frozen=True)
class Life:
    """One object for each schema, and what happens to it: event, day of the story, day on which that version ends."""

    names: dict[Schema, str]
    object_type: str
    events: tuple[tuple[str, int, int], ...]


def _life(event_grid: str, cloud_events: str, object_type: str, *events: tuple[str, int, int]) -> Life:
    # Each schema has objects of its own, so that each leaves its own tickets.
    return Life({Schema.EVENT_GRID: event_grid, Schema.CLOUD_EVENTS: cloud_events}, object_type, events)


_LIVES = (
    # Nears its end, passes it, and is renewed: one ticket that is raised, then resolved.
    _life(
        "mail-password",
        "payroll-password",
        "secrets",
        ("SecretNearExpiry", 0, 30),
        ("SecretExpired", 30, 30),
        ("SecretNewVersionCreated", 31, 396),
    ),
    _life("backup-token", "build-token", "secrets", ("SecretNearExpiry", 38, 68)),
    _life("document-signing", "invoice-signing", "keys", ("KeyNewVersionCreated", 1, 366)),
    _life("disk-encryption", "tape-encryption", "keys", ("KeyNearExpiry", 3, 33), ("KeyExpired", 33, 33)),
    _life(
        "intranet",
        "extranet",
        "certificates",
        ("CertificateNearExpiry", 4, 34),
        ("CertificateNewVersionCreated", 10, 375),
    ),
    _life("shop-front", "status-page", "certificates", ("CertificateExpired", 12, 12)),
)


def began_at(path: Path) -> datetime:
    """When the story of a folder began; the first call decides, and keeps it in the file."""
    if path.exists():
        return datetime.fromisoformat(path.read_text("utf-8").strip())
    began = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - _LENGTH
    path.write_text(began.isoformat() + "\n", "utf-8")
    return began


def events(schema: Schema, began: datetime) -> list[KeyVaultEvent]:
    """All ten event types."""
    told = [
        make_event(
            kind,
            vault=VAULT,
            name=life.names[schema],
            occurred_at=began + happens * _DAY,
            expires_at=began + ends * _DAY,
            event_id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"deskbridge-lab/{schema}/{life.names[schema]}/{kind}")),
        )
        for life in _LIVES
        for kind, happens, ends in life.events
    ]
    told.append(
        make_event(
            "VaultAccessPolicyChanged",
            vault=VAULT,
            occurred_at=began + (5 if schema is Schema.EVENT_GRID else 6) * _DAY,
            event_id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"deskbridge-lab/{schema}/access-policy")),
        )
    )
    return told


def vault_objects(began: datetime) -> dict[str, list[dict[str, Any]]]:
    """The objects that the events speak of, as a vault's document takes them: every version, oldest first."""
    found: dict[str, list[dict[str, Any]]] = {"secrets": [], "keys": [], "certificates": []}
    for life in _LIVES:
        for name in life.names.values():
            found[life.object_type] += _versions(life, name, began)
    return found


def _versions(life: Life, name: str, began: datetime) -> Iterator[dict[str, Any]]:
    for ends in dict.fromkeys(ends for _, _, ends in life.events):
        created = [happens for kind, happens, end in life.events if end == ends and kind.endswith("NewVersionCreated")]
        expires_at = began + ends * _DAY
        yield {
            "name": name,
            **({"value": "lab-only"} if life.object_type == "secrets" else {}),
            "version": derived_version(VAULT, name, expires_at),
            "created_at": (began + (created[0] if created else ends - 365) * _DAY).isoformat(),
            "expires_at": expires_at.isoformat(),
        }
