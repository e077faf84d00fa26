"""HTTP answers of one form: JSON, and RFC 9457 problem documents. Errors become a status here, and only here."""

import json
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import wraps
from typing import Any

import azure.functions as func

from shared.errors import (
    AlreadyExistsError,
    ChangedMeanwhileError,
    ConflictError,
    DeskbridgeError,
    InvalidInputError,
    MethodNotAllowedError,
    MisconfiguredError,
    NotAuthorisedError,
    NotFoundError,
    TooLargeError,
    TryLaterError,
)
from shared.reasons import Reason

logger = logging.getLogger(__name__)

LARGEST_BODY = 4 * 1024 * 1024

# The first class that fits decides, so the narrower ones come first.
_STATUS: tuple[tuple[type[DeskbridgeError], int, str], ...] = (
    (InvalidInputError, 400, "The request cannot be read"),
    (NotAuthorisedError, 401, "The credential is not accepted"),
    (NotFoundError, 404, "There is no such thing"),
    (MethodNotAllowedError, 405, "The method is not allowed"),
    (ChangedMeanwhileError, 412, "It changed meanwhile"),
    (AlreadyExistsError, 409, "It is there already"),
    (ConflictError, 409, "The request does not fit the present state"),
    (TooLargeError, 413, "It is too large"),
    (TryLaterError, 503, "It may succeed later"),
    (MisconfiguredError, 503, "Something has to be set or granted first"),
)


def answer(
    status: int, body: Any = None, *, headers: Mapping[str, str] | None = None, etag: str = ""
) -> func.HttpResponse:
    """A JSON answer; `body` None is an empty one. Times are written as ISO 8601 in UTC."""
    all_headers = dict(headers or {})
    if etag:
        all_headers["ETag"] = etag
    return func.HttpResponse(
        b"" if body is None else to_json(body),
        status_code=status,
        headers=all_headers,
        mimetype="application/json",
        charset="utf-8",
    )


def problem(error: DeskbridgeError) -> func.HttpResponse:
    """The problem document of a refusal."""
    status, title = next((code, title) for cls, code, title in _STATUS if isinstance(error, cls))
    body: dict[str, Any] = {
        "type": f"urn:deskbridge:reason:{error.reason}",
        "title": title,
        "status": status,
        "reason": str(error.reason),
        "detail": error.message,
    }
    headers: dict[str, str] = {}
    if error.mend:
        body["mend"] = error.mend
    if error.faults:
        body["faults"] = [{"path": fault.path, "message": fault.message} for fault in error.faults]
    if isinstance(error, ChangedMeanwhileError) and error.present_etag:
        body["present_version"] = error.present_etag
        headers["ETag"] = error.present_etag
    if isinstance(error, TryLaterError) and error.retry_after is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after)))
    return func.HttpResponse(
        to_json(body), status_code=status, headers=headers, mimetype="application/problem+json", charset="utf-8"
    )


def problems(handle: Callable[..., func.HttpResponse]) -> Callable[..., func.HttpResponse]:
    """Make every refusal of a trigger a problem document. What is no refusal is a bug, and stays one."""

    @wraps(handle)
    def handled(*args: Any, **kwargs: Any) -> func.HttpResponse:
        try:
            return handle(*args, **kwargs)
        except DeskbridgeError as error:
            logger.info("%s is refused: %s (%s)", handle.__name__, error.message, error.reason)
            return problem(error)

    return handled


def json_body(request: func.HttpRequest) -> Any:
    """The JSON body; raises InvalidInputError, or TooLargeError over 4 MiB."""
    body = request.get_body()
    if len(body) > LARGEST_BODY:
        raise TooLargeError(Reason.BODY_TOO_LARGE, f"The body has {len(body)} bytes; at most 4 MiB are read.")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(Reason.BODY_NOT_READABLE, "The body is not JSON.") from error


def caller(request: func.HttpRequest) -> str:
    """Who did it, for the history. Only the key is known: a name in a header could be anybody's."""
    del request
    return "operator"


def to_json(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False, default=_plain).encode("utf-8", "replace")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
