"""What the AuthRocket emulator holds: realms with users, organisations, memberships and events, and the API keys."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from lab.emulators.authrocket.population import identifier, memberships, orgs

Permission = Literal["read", "write", "admin"]


@dataclass(frozen=True)
class ApiKey:
    """A secret key of the management portal: what it may do, and the one realm that it is locked to, if any."""

    secret: str
    permissions: frozenset[Permission] = frozenset({"read"})
    realm_id: str | None = None
    subscribed: bool = True  # False: AuthRocket's own subscription has lapsed, so everything answers 402


@dataclass
class Realm:
    """One realm. Users are kept by id and listed by id, as the API sorts them."""

    id: str
    name: str
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    orgs: dict[str, dict[str, Any]] = field(default_factory=dict)
    memberships: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: dict[str, dict[str, Any]] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        return {"id": self.id, "name": self.name, "state": "active", "created_at": 1_560_000_000.25}


class Realms:
    """All realms and keys behind one lock: the server's threads read while a test changes."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self.lock = threading.RLock()
        self.realms: dict[str, Realm] = {}
        self.keys: dict[str, ApiKey] = {}
        self._now = now

    def add_realm(self, realm_id: str, name: str, users: Iterable[dict[str, Any]]) -> Realm:
        realm = Realm(realm_id, name, {user["id"]: user for user in users}, {org["id"]: org for org in orgs(realm_id)})
        found = memberships(realm_id, list(realm.users.values()), list(realm.orgs.values()))
        realm.memberships = {membership["id"]: membership for membership in found}
        with self.lock:
            self.realms[realm_id] = realm
        return realm

    def add_key(self, key: ApiKey) -> None:
        with self.lock:
            self.keys[key.secret] = key

    def add_user(self, realm_id: str, user: dict[str, Any]) -> dict[str, Any]:
        """A new user from whatever fields are given; the rest is as the API leaves it."""
        with self.lock:
            realm = self.realms[realm_id]
            named = " ".join(part for part in (user.get("first_name"), user.get("last_name")) if part)
            document = {
                "id": identifier("usr", realm_id, "added", user.get("email"), user.get("username"), len(realm.users)),
                "state": "active",
                "realm_id": realm_id,
                "email": None,
                "email_verification": "none",
                "first_name": None,
                "last_name": None,
                "name": named or user.get("username") or user.get("email") or "",
                "username": None,
                "reference": None,
                "locale": None,
                "created_at": round(self._now(), 3),
                "last_login_at": None,
                "custom": {},
                **user,
            }
            realm.users[document["id"]] = document
            self._event(realm, "user.created", user_id=document["id"])
            return document

    def change_user(self, realm_id: str, user_id: str, changes: dict[str, Any]) -> dict[str, Any]:
        with self.lock:
            realm = self.realms[realm_id]
            document = realm.users[user_id] = {**realm.users[user_id], **changes}
            self._event(realm, "user.updated", user_id=user_id)
            return document

    def remove_user(self, realm_id: str, user_id: str) -> None:
        with self.lock:
            realm = self.realms[realm_id]
            del realm.users[user_id]
            realm.memberships = {key: one for key, one in realm.memberships.items() if one["user_id"] != user_id}
            self._event(realm, "user.deleted", user_id=user_id)

    def grant(
        self, realm_id: str, user_id: str, org_id: str, permissions: list[str], expires_at: float | None = None
    ) -> dict[str, Any]:
        """Make a user a member of an organisation, or change what the membership permits."""
        with self.lock:
            realm = self.realms[realm_id]
            key = identifier("mb", user_id, org_id)
            kind = "membership.updated" if key in realm.memberships else "membership.created"
            document = realm.memberships[key] = {
                "id": key,
                "org_id": org_id,
                "user_id": user_id,
                "permissions": permissions,
                "expires_at": expires_at,
                "created_at": round(self._now(), 3),
            }
            self._event(realm, kind, user_id=user_id, org_id=org_id, membership_id=key)
            return document

    def event(self, realm_id: str, event_type: str, **ids: str) -> dict[str, Any]:
        """Record an event of any type, for a webhook to point at."""
        with self.lock:
            return self._event(self.realms[realm_id], event_type, **ids)

    def _event(self, realm: Realm, event_type: str, **ids: str) -> dict[str, Any]:
        event_id = identifier("ev", realm.id, len(realm.events))
        document = {
            "id": event_id,
            "event_type": event_type,
            "event_at": round(self._now(), 3),
            "realm_id": realm.id,
            **ids,
            "request": {"ip": "192.0.2.7", "client": "Management portal"},
        }
        realm.events[event_id] = document
        return document
