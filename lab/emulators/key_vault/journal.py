"""What was asked of the lab, by whom and with which outcome. Never a value, a token or a query string."""

import collections
import threading
from dataclasses import asdict, dataclass
from typing import Any

KEPT = 100_000


@dataclass(frozen=True)
class Entry:
    """One request. `status` is None when the connection was cut instead of answered.

    `service` is vault, entra or identity. `operation` is named after the permission that it takes
    (secrets/get, secrets/list, keys/get …) or token/<grant>; `fault` names a scripted failure.
    """

    number: int
    at: str
    service: str
    method: str
    path: str
    status: int | None
    vault: str | None = None
    operation: str | None = None
    object_name: str | None = None
    object_version: str | None = None
    principal: str | None = None
    api_version: str | None = None
    fault: str | None = None

    @property
    def read_a_value(self) -> bool:
        """Whether a secret's value left the vault with this request."""
        return self.operation == "secrets/get" and self.status == 200

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Journal:
    """The requests since the start, or since it was last cleared, oldest first; the last 100,000 of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: collections.deque[Entry] = collections.deque(maxlen=KEPT)
        self._count = 0

    def add(self, **fields: Any) -> None:
        with self._lock:
            self._count += 1
            self._entries.append(Entry(number=self._count, **fields))

    def entries(self, **wanted: Any) -> list[Entry]:
        """The entries whose fields have these values; a field that is None or left out does not matter."""
        criteria = {name: value for name, value in wanted.items() if value is not None}
        with self._lock:
            return [
                entry
                for entry in self._entries
                if all(getattr(entry, name) == value for name, value in criteria.items())
            ]

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
