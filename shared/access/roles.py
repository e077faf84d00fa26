"""The three roles, each of which may do all that the one before it may."""

from enum import StrEnum


class Role(StrEnum):
    """A reader sees, an operator works, an administrator decides about credentials, destinations, hosts and access."""

    READER = "reader"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"

    def covers(self, needed: "Role") -> bool:
        """Whether whoever has this role may do what `needed` is asked for."""
        return _ORDER.index(self) >= _ORDER.index(needed)


_ORDER = tuple(Role)
