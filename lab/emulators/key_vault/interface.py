"""One typed way to work the lab, whether it runs in this process or in another."""

from abc import ABC, abstractmethod
from datetime import datetime, timedelta
from typing import Any, Literal

from lab.emulators.key_vault.documents import ObjectType
from lab.emulators.key_vault.journal import Entry
from lab.emulators.key_vault.moments import written

Moment = datetime | timedelta | str | None
"""An aware datetime, a distance from now, or either as text ("2027-01-01T00:00:00Z", "+20d")."""


class LabInterface(ABC):
    """What tests, the orchestrator and a person do with a running lab. Every call is one operation by name."""

    @abstractmethod
    def call(self, operation: str, /, **arguments: Any) -> Any:
        """Carry out one of the operations of lab/emulators/key_vault/operations.py; raises LabError with its reason."""

    def vault(self, name: str) -> "VaultInterface":
        """One vault by its name."""
        described = self.call("describe_vault", vault=name)
        return VaultInterface(self, name, described["url"], described["resource_id"])

    def describe(self) -> dict[str, Any]:
        """Addresses, ports, vaults with their objects, principals. No values."""
        found: dict[str, Any] = self.call("describe")
        return found

    def environment(self) -> dict[str, str]:
        """The environment variables of a host that lives in this lab."""
        found: dict[str, str] = self.call("environment")
        return found

    def journal(
        self,
        *,
        service: Literal["vault", "entra", "identity"] | None = None,
        vault: str | None = None,
        operation: str | None = None,
        object_name: str | None = None,
        principal: str | None = None,
        status: int | None = None,
    ) -> list[Entry]:
        """The requests so far that match, oldest first."""
        wanted = {"service": service, "vault": vault, "operation": operation, "object_name": object_name}
        found = self.call("journal", **wanted, principal=principal, status=status)
        return [Entry(**entry) for entry in found]

    def values_read(self) -> list[Entry]:
        """The requests with which a secret's value left a vault."""
        return [entry for entry in self.journal(operation="secrets/get", status=200) if entry.read_a_value]

    def clear_journal(self) -> None:
        self.call("clear_journal")

    def fail_next(self, **fault: Any) -> None:
        """Script a failure; the arguments are the fields of FaultDocument."""
        self.call("fail_next", **fault)

    def pending_faults(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call("pending_faults")
        return found

    def clear_faults(self) -> None:
        self.call("clear_faults")

    def set_clock_offset(self, seconds: float) -> None:
        """Put the lab's clock this far ahead of the machine's (behind, when negative)."""
        self.call("set_clock_offset", seconds=seconds)

    def set_token_lifetime(self, seconds: int) -> None:
        """How long tokens issued from now on are valid."""
        self.call("set_token_lifetime", seconds=seconds)

    def add_vault(self, **vault: Any) -> "VaultInterface":
        """Start another vault; the arguments are the fields of VaultDocument."""
        self.call("add_vault", **vault)
        return self.vault(vault["name"])

    def add_identity(self, **identity: Any) -> dict[str, str]:
        """Give the host a managed identity; answers its ids. The arguments are the fields of IdentityDocument."""
        found: dict[str, str] = self.call("add_identity", **identity)
        return found

    def remove_identity(self, name: str) -> None:
        self.call("remove_identity", name=name)

    def add_application(self, **application: Any) -> dict[str, str]:
        """Register an application; answers its ids. The arguments are the fields of ApplicationDocument."""
        found: dict[str, str] = self.call("add_application", **application)
        return found


class VaultInterface:
    """One vault of a lab."""

    def __init__(self, lab: LabInterface, name: str, url: str, resource_id: str) -> None:
        self._lab = lab
        self.name = name
        self.url = url
        self.resource_id = resource_id

    def add_secret(
        self,
        name: str,
        value: str,
        *,
        version: str | None = None,
        expires_at: Moment = None,
        not_before: Moment = None,
        enabled: bool = True,
        content_type: str | None = None,
        tags: dict[str, str] | None = None,
        created_at: Moment = None,
        attributes: dict[str, Any] | None = None,
    ) -> str:
        """Add a secret, or another version of it (a rotation); answers the version."""
        return self._add(
            "add_secret",
            name=name,
            value=value,
            version=version,
            expires_at=written(expires_at),
            not_before=written(not_before),
            enabled=enabled,
            content_type=content_type,
            tags=tags or {},
            created_at=written(created_at),
            attributes=attributes or {},
        )

    def add_key(
        self,
        name: str,
        *,
        key_type: Literal["EC", "RSA"] = "EC",
        version: str | None = None,
        expires_at: Moment = None,
        not_before: Moment = None,
        enabled: bool = True,
        tags: dict[str, str] | None = None,
        created_at: Moment = None,
        attributes: dict[str, Any] | None = None,
    ) -> str:
        """Add a key, or another version of it; answers the version."""
        return self._add(
            "add_key",
            name=name,
            key_type=key_type,
            version=version,
            expires_at=written(expires_at),
            not_before=written(not_before),
            enabled=enabled,
            tags=tags or {},
            created_at=written(created_at),
            attributes=attributes or {},
        )

    def add_certificate(
        self,
        name: str,
        *,
        subject: str = "",
        version: str | None = None,
        expires_at: Moment = "+365d",
        not_before: Moment = None,
        enabled: bool = True,
        tags: dict[str, str] | None = None,
        created_at: Moment = None,
        attributes: dict[str, Any] | None = None,
    ) -> str:
        """Add a certificate with its managed key and secret, or another version of all three; answers the version."""
        return self._add(
            "add_certificate",
            name=name,
            subject=subject,
            version=version,
            expires_at=written(expires_at),
            not_before=written(not_before),
            enabled=enabled,
            tags=tags or {},
            created_at=written(created_at),
            attributes=attributes or {},
        )

    def _add(self, operation: str, /, **arguments: Any) -> str:
        version: str = self._lab.call(operation, vault=self.name, **arguments)
        return version

    def change(self, name: str, *, object_type: ObjectType = "secrets", version: str = "", **changes: Any) -> None:
        """Change enabled, expires_at, not_before, content_type or tags of a version, the current one by default."""
        for field in {"expires_at", "not_before"} & changes.keys():
            changes[field] = written(changes[field])
        self._lab.call("change_object", vault=self.name, object_type=object_type, name=name, version=version, **changes)

    def delete(self, name: str, *, object_type: ObjectType = "secrets") -> None:
        """Soft-delete an object; a certificate takes its key and secret with it."""
        self._lab.call("delete_object", vault=self.name, object_type=object_type, name=name)

    def recover(self, name: str, *, object_type: ObjectType = "secrets") -> None:
        self._lab.call("recover_object", vault=self.name, object_type=object_type, name=name)

    def grant(self, principal: str, *permissions: str, roles: tuple[str, ...] = (), scope: str | None = None) -> None:
        """Give permissions (secrets/get …) or roles (Key Vault Secrets User …) to a principal by its name or an id."""
        self._lab.call(
            "grant", vault=self.name, principal=principal, permissions=list(permissions), roles=list(roles), scope=scope
        )

    def revoke(self, principal: str) -> None:
        """Take everything that this vault grants from a principal."""
        self._lab.call("revoke", vault=self.name, principal=principal)

    def configure(self, **settings: Any) -> None:
        """Change permission_model, firewall, not_yet_valid, policy_denial_code or api_versions."""
        self._lab.call("configure_vault", vault=self.name, settings=settings)

    def fail_next(self, **fault: Any) -> None:
        """Script a failure of this vault; the arguments are the fields of FaultDocument."""
        self._lab.fail_next(vault=self.name, **fault)

    def go_away(self) -> None:
        """Stop listening, so that a connection is refused."""
        self._lab.call("stop_vault", vault=self.name)

    def come_back(self) -> None:
        """Listen again on the same port."""
        self._lab.call("start_vault", vault=self.name)

    def journal(self, **wanted: Any) -> list[Entry]:
        return self._lab.journal(vault=self.name, **wanted)
