"""The control endpoint: the lab's operations over plain HTTP on loopback, and the client for it."""

from typing import Any

import requests

from lab.emulators.key_vault.exchange import Received, Reply
from lab.emulators.key_vault.interface import LabInterface
from lab.emulators.key_vault.operations import Operations
from lab.emulators.key_vault.state import LabError

PREFIX = "/control/"
_READ = {"describe", "environment", "journal", "pending_faults"}


class ControlEndpoint:
    """POST /control/<operation> with JSON arguments; GET for those that only read (arguments in the query)."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    def answer(self, request: Received) -> Reply:
        if request.path == PREFIX + "health":
            return Reply(200, {"status": "ready"})
        operation = request.path.removeprefix(PREFIX)
        if not request.path.startswith(PREFIX) or not operation:
            known = [f"{PREFIX}{name}" for name in self._operations.names]
            return Reply(404, {"error": "not found", "operations": known})
        if request.method == "GET" and operation in _READ:
            arguments: Any = dict(request.query)
        elif request.method == "POST":
            # A page in somebody's browser cannot send this type across origins without being asked first.
            if not request.headers.get("content-type", "").startswith("application/json"):
                return Reply(415, {"error": "send the arguments as application/json"})
            try:
                arguments = request.json()
            except ValueError:
                return Reply(400, {"error": "the body is not valid JSON"})
        else:
            return Reply(405, {"error": f"{request.method} is not for {operation}"})
        if not isinstance(arguments, dict):
            return Reply(400, {"error": "the arguments must be a JSON object"})
        try:
            return Reply(200, {"result": self._operations.call(operation, arguments)})
        except LabError as error:
            return Reply(400, {"error": str(error)})


class VaultControl(LabInterface):
    """The lab in another process, by the address of its control endpoint."""

    def __init__(self, url: str, timeout_seconds: float = 10) -> None:
        self._url = url.rstrip("/")
        self._timeout = timeout_seconds
        self._session = requests.Session()
        # Loopback needs no proxy, and the machine's settings must not send it to one.
        self._session.trust_env = False

    def call(self, operation: str, /, **arguments: Any) -> Any:
        response = self._session.post(f"{self._url}{PREFIX}{operation}", json=arguments, timeout=self._timeout)
        body = response.json()
        if response.status_code != 200:
            raise LabError(body["error"])
        return body["result"]

    def is_ready(self) -> bool:
        """Whether the lab answers."""
        try:
            return self._session.get(f"{self._url}{PREFIX}health", timeout=self._timeout).ok
        except requests.RequestException:
            return False

    def close(self) -> None:
        self._session.close()

    def __enter__(self) -> "VaultControl":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
