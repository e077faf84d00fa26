"""Calls the app's endpoints in this process, as the host would: route, query, headers, queue output."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import azure.functions as func

from functions.http.endpoints import Endpoint, declared_endpoints
from shared.access.roles import Role
from tests.registered import FUNCTIONS
from tests.tokens import token_header


@dataclass
class Sent(func.Out[Any]):
    """A queue output: what the function hands to it."""

    value: Any = None

    def set(self, val: Any) -> None:
        self.value = val

    def get(self) -> Any:
        return self.value


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes
    sent: list[str] = field(default_factory=list[str])

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def etag(self) -> str:
        """The version, without the quotes that every ETag has."""
        quoted = re.fullmatch(r'"([0-9a-f]{1,16})"', self.headers["ETag"])
        assert quoted is not None, self.headers["ETag"]
        return quoted[1]


# What stands outside the version of the API.
_UNVERSIONED = ("health", "calendar/", "events/")


def find(method: str, path: str) -> tuple[Endpoint, dict[str, str]]:
    """The endpoint of an address below /api/, and its route's parameters. Raises LookupError."""
    best: list[tuple[int, Endpoint, dict[str, str]]] = []
    for declared in declared_endpoints().values():
        pattern = re.sub(r"\{([a-z_]+)[^}]*\}", r"(?P<\1>[^/]+)", declared.route.replace(".", r"\."))
        found = re.fullmatch(pattern, path)
        if found is not None and method in declared.methods:
            parameters = {name: unquote(value) for name, value in found.groupdict().items()}
            best.append((len(parameters), declared, parameters))
    if not best:
        raise LookupError(f"{method} {path}")
    _, declared, parameters = min(best, key=lambda one: one[0])
    return declared, parameters


def call(
    method: str,
    address: str,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    *,
    role: str | None = "administrator",
) -> Answer:
    """One request. `address` is what follows /api/v1/, or /api/ for what has no version; a body that is not bytes is
    sent as JSON. `role` None sends no token of its own."""
    address = address if address.startswith(_UNVERSIONED) else f"v1/{address}"
    parts = urlsplit(address)
    declared, parameters = find(method, parts.path)
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    token = token_header(role) if role and isinstance(declared.access, Role) else {}
    request = func.HttpRequest(
        method=method,
        url=f"https://desk.example/api/{address}",
        headers={"Content-Type": "application/json", **token, **(headers or {})},
        params=dict(parse_qsl(parts.query)),
        route_params=parameters,
        body=content,
    )
    function = FUNCTIONS[declared.function]
    outputs = {
        binding.name: Sent()
        for binding in function.get_bindings()
        if binding.type == "queue" and str(binding.direction) not in {"0", "BindingDirection.IN"}
    }
    answer: func.HttpResponse = function.get_user_function()(req=request, **outputs)
    sent = [message for output in outputs.values() for message in output.value or []]
    return Answer(answer.status_code, dict(answer.headers), answer.get_body(), sent)
