"""Scripted failures: what the next requests that match get in place of a plain answer."""

import threading
from dataclasses import dataclass
from typing import Any

from lab.emulators.key_vault.documents import FaultDocument
from lab.emulators.key_vault.exchange import Reply

# As Azure words them. An operator sees these sentences, so a test should too.
_KEY_VAULT = {
    429: (
        "Throttled",
        "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached",
    ),
    500: ("InternalServerError", "An error occurred while processing the request."),
    502: ("BadGateway", "The gateway received no valid answer."),
    503: ("ServiceUnavailable", "The service is temporarily unavailable."),
    504: ("GatewayTimeout", "The gateway waited too long for an answer."),
}


@dataclass
class _Script:
    document: FaultDocument
    left: int


class Faults:
    """The scripts in the order they were added; each serves its number of requests and is gone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._scripts: list[_Script] = []

    def add(self, document: FaultDocument) -> None:
        with self._lock:
            self._scripts.append(_Script(document, document.times))

    def pending(self) -> list[dict[str, Any]]:
        with self._lock:
            return [{**script.document.model_dump(), "times": script.left} for script in self._scripts]

    def clear(self) -> None:
        with self._lock:
            self._scripts.clear()

    def take(self, service: str, *, authenticated: bool = True, **what: str | None) -> FaultDocument | None:
        """The failure for this request, counted as used; None when nothing is scripted for it."""
        with self._lock:
            for script in self._scripts:
                document = script.document
                if document.service != service or not (authenticated or document.before_authentication):
                    continue
                wanted = {name: getattr(document, name) for name in ("vault", "operation", "object_name", "principal")}
                if any(value is not None and value != what.get(name) for name, value in wanted.items()):
                    continue
                script.left -= 1
                if script.left <= 0:
                    self._scripts.remove(script)
                return document
        return None


def reply_for(fault: FaultDocument) -> Reply | None:
    """The reply in place of the plain answer; None when the plain answer only comes late."""
    if fault.kind in {"hang", "reset"}:
        return Reply(status=0, abort=True, after_seconds=fault.seconds if fault.kind == "hang" else 0)
    if fault.kind == "slow":
        return None
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    if fault.body is not None:
        return Reply(fault.status, fault.body, headers, fault.content_type)
    code, message = _KEY_VAULT.get(fault.status, ("Error", "The request failed."))
    code, message = fault.code or code, fault.message or message
    body: dict[str, Any]
    if fault.service == "identity":
        body = {"statusCode": fault.status, "message": message}
    elif fault.service == "entra":
        body = {"error": fault.code or "temporarily_unavailable", "error_description": message}
    else:
        body = {"error": {"code": code, "message": message}}
        if fault.inner_code:
            body["error"]["innererror"] = {"code": fault.inner_code}
    return Reply(fault.status, body, headers)
