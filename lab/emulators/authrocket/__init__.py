"""The lab's AuthRocket: its API v2 with realms, keys and about 250 users, the faults it can have, and its webhooks."""

from lab.emulators.authrocket.population import ACORN_REALM, ST_JOHNS_REALM
from lab.emulators.authrocket.realms import ApiKey
from lab.emulators.authrocket.server import (
    ACORN_ONLY_KEY,
    ADMIN_KEY,
    LAPSED_KEY,
    READ_KEY,
    WRITE_KEY,
    WRITE_ONLY_KEY,
    AuthRocketLab,
)

__all__ = [
    "ACORN_ONLY_KEY",
    "ACORN_REALM",
    "ADMIN_KEY",
    "LAPSED_KEY",
    "READ_KEY",
    "ST_JOHNS_REALM",
    "WRITE_KEY",
    "WRITE_ONLY_KEY",
    "ApiKey",
    "AuthRocketLab",
]
