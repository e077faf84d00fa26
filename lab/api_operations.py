"""The operations of the API by its own OpenAPI document, and addresses for them that lead to things that are there."""

import random
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

_LARGEST_POOL = 300
# Where what a parameter means is not told by a list of the API.
_VALUES: Mapping[str, Sequence[str]] = {"what": ("tickets", "objects", "assets", "users")}


@dataclass(frozen=True)
class Operation:
    """One operation. `id` is its operationId; `reasons` are those of its refusals, by status."""

    id: str
    method: str
    path: str
    parameters: Sequence[Mapping[str, Any]]
    example: Any
    statuses: frozenset[int]
    reasons: Mapping[int, frozenset[str]] = field(default_factory=dict[int, frozenset[str]])

    @property
    def reads(self) -> bool:
        return self.method == "GET"


def operations_of(document: Mapping[str, Any]) -> dict[str, Operation]:
    """All of them, by id."""
    found: dict[str, Operation] = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            content = operation.get("requestBody", {}).get("content", {})
            found[operation["operationId"]] = Operation(
                operation["operationId"],
                method.upper(),
                path,
                operation["parameters"],
                content.get("application/json", {}).get("example"),
                frozenset(int(status) for status in operation["responses"]),
                {int(status): _reasons(response) for status, response in operation["responses"].items()},
            )
    return found


def _reasons(response: Mapping[str, Any]) -> frozenset[str]:
    schema = response.get("content", {}).get("application/problem+json", {}).get("schema", {})
    return frozenset(
        reason
        for part in schema.get("allOf", ())
        for reason in part.get("properties", {}).get("reason", {}).get("enum", ())
    )


class Known:
    """Ids and names of what is there, by the address of the list that they came from. Shared by all clients."""

    def __init__(self) -> None:
        self._pools: dict[str, dict[str, None]] = {}
        self._lock = threading.Lock()

    def put(self, address: str, *names: str) -> None:
        """Keep them. A full pool forgets its oldest."""
        with self._lock:
            pool = self._pools.setdefault(address, {})
            for name in names:
                pool.pop(name, None)
                pool[name] = None
            while len(pool) > _LARGEST_POOL:
                del pool[next(iter(pool))]

    def drop(self, address: str, name: str) -> None:
        """It is gone."""
        with self._lock:
            self._pools.get(address, {}).pop(name, None)

    def any_of(self, address: str, chance: random.Random) -> str | None:
        """One of them; None while none is known."""
        with self._lock:
            pool = self._pools.get(address)
            return chance.choice(list(pool)) if pool else None

    def learn(self, address: str, answer: Any) -> None:
        """Take up the ids of a list's items, or their names when they have no ids."""
        items = answer.get("items") if isinstance(answer, dict) else None
        names = [item.get("id") or item.get("name") for item in items or () if isinstance(item, dict)]
        self.put(address, *(str(name) for name in names if name))


def address_of(operation: Operation, known: Known, chance: random.Random) -> str | None:
    """The operation's path with things that are there; None while nothing is known that would fit."""
    filled = ""
    for segment in operation.path.strip("/").split("/"):
        name = re.fullmatch(r"\{([a-z_]+)\}", segment)
        if name is None:
            filled += f"/{segment}"
            continue
        value = (
            chance.choice(_VALUES[name[1]])
            if name[1] in _VALUES
            else _one_of(operation, filled, name[1], known, chance)
        )
        if value is None:
            return None
        filled += f"/{quote(value, safe='')}"
    return filled


def _one_of(operation: Operation, prefix: str, name: str, known: Known, chance: random.Random) -> str | None:
    schema = next(one["schema"] for one in operation.parameters if one["name"] == name and one["in"] == "path")
    if "enum" in schema:
        # Kinds of documents: those that the lab has some of.
        there = [value for value in schema["enum"] if known.any_of(f"{prefix}/{value}", chance) is not None]
        return str(chance.choice(there)) if there else None
    found = known.any_of(prefix, chance)
    if found is None:
        # `aws-tenants/{name}` is the document of that kind.
        found = known.any_of(f"/api/v1/settings/{prefix.rpartition('/')[2]}", chance)
    return found


def query_of(operation: Operation, following: str | None, chance: random.Random) -> str:
    """A query: where to go on, or at times one of the parameters with its example; or none."""
    declared = {one["name"]: one for one in operation.parameters if one["in"] == "query"}
    given: dict[str, Any] = {}
    if "limit" in declared and chance.random() < 0.5:
        given["limit"] = chance.choice((1, 7, 50, 200))
    if following is not None:
        given["after"] = following
    elif declared and chance.random() < 0.3:
        one = declared[chance.choice(sorted(set(declared) - {"after"}) or ["after"])]
        example = one.get("example")
        if example is not None:
            given[one["name"]] = str(example).lower() if isinstance(example, bool) else example
    return f"?{urlencode(given)}" if given else ""
