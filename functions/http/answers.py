"""HTTP answers of one form: JSON, and RFC 9457 problem documents. Errors become a status here, and only here."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import azure.functions as func

from shared.errors import (
    AlreadyExistsError,
    BodyNotArrivedError,
    ChangedMeanwhileError,
    ConflictError,
    DeskbridgeError,
    ForbiddenError,
    InvalidInputError,
    MethodNotAllowedError,
    MisconfiguredError,
    NotAuthorisedError,
    NotFoundError,
    RowRefusedError,
    TooLargeError,
    TryLaterError,
)
from shared.reasons import Reason
from shared.strict_json import parse_json

LARGEST_BODY = 1024 * 1024
# Answers hold what only a key's holder may see: nothing in between may keep them, or guess another type.
NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

# The first class that fits decides, so the narrower ones come first.
_STATUS: tuple[tuple[type[DeskbridgeError], int, str], ...] = (
    (InvalidInputError, 400, "The request cannot be read"),
    (RowRefusedError, 400, "What is sent cannot be stored"),
    (NotAuthorisedError, 401, "The credential is not accepted"),
    (ForbiddenError, 403, "It is not allowed"),
    (NotFoundError, 404, "There is no such thing"),
    (MethodNotAllowedError, 405, "The method is not allowed"),
    (ChangedMeanwhileError, 412, "It changed meanwhile"),
    (AlreadyExistsError, 409, "It is there already"),
    (ConflictError, 409, "The request does not fit the present state"),
    (BodyNotArrivedError, 411, "The body did not arrive"),
    (TooLargeError, 413, "It is too large"),
    (TryLaterError, 503, "It may succeed later"),
    (MisconfiguredError, 503, "Something has to be set or granted first"),
)

_WEBHOOK_HEADERS: Mapping[int, Mapping[str, str]] = {
    401: {"WWW-Authenticate": 'Basic realm="deskbridge", charset="UTF-8"'},
    503: {"Retry-After": "30"},
}


def answer(
    status: int, body: Any = None, *, headers: Mapping[str, str] | None = None, etag: str = ""
) -> func.HttpResponse:
    """A JSON answer; `body` None is an empty one, `etag` a version without quotes. Times are ISO 8601 in UTC."""
    all_headers = {**NO_STORE, **(headers or {})}
    if etag:
        all_headers["ETag"] = f'"{etag}"'
    return func.HttpResponse(
        b"" if body is None else to_json(body),
        status_code=status,
        headers=all_headers,
        mimetype="application/json",
        charset="utf-8",
    )


def status_of(error: DeskbridgeError) -> int:
    """The status of a refusal."""
    return _status_and_title(error)[0]


def problem(error: DeskbridgeError) -> func.HttpResponse:
    """The problem document of a refusal."""
    status, title = _status_and_title(error)
    body: dict[str, Any] = {
        "type": f"urn:deskbridge:reason:{error.reason}",
        "title": title,
        "status": status,
        "reason": str(error.reason),
        "detail": error.message,
    }
    headers = dict(NO_STORE)
    if error.remedy:
        body["remedy"] = error.remedy
    if error.faults:
        body["faults"] = [{"path": fault.path, "message": fault.message} for fault in error.faults]
    if isinstance(error, ChangedMeanwhileError) and error.present_version:
        body["present_version"] = error.present_version
        headers["ETag"] = f'"{error.present_version}"'
    if isinstance(error, TryLaterError) and error.retry_after is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after)))
    return func.HttpResponse(
        to_json(body), status_code=status, headers=headers, mimetype="application/problem+json", charset="utf-8"
    )


def webhook_problem(error: DeskbridgeError, *, allowed_methods: str, known: frozenset[int]) -> func.HttpResponse:
    """The refusal of a webhook that anybody can call, with one of the `known` statuses, else 503.

    To a stranger, and for what is wrong inside, the reason is enough: the sentences are in the log.
    """
    status = status_of(error)
    status = status if status in known else 503
    headers = dict(_WEBHOOK_HEADERS.get(status, {}))
    if status == 405:
        headers["Allow"] = allowed_methods
    if status == 503 and isinstance(error, TryLaterError) and error.retry_after is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after)))
    return _bare_answer(status, error, headers, detail=error.message if status in {400, 404, 413} else "")


def stranger_problem(error: DeskbridgeError) -> func.HttpResponse:
    """The refusal of an endpoint that anybody can call: the status and the reason, and no word more."""
    return _bare_answer(status_of(error), error, {})


def _bare_answer(
    status: int, error: DeskbridgeError, headers: Mapping[str, str], *, detail: str = ""
) -> func.HttpResponse:
    body: dict[str, Any] = {
        "type": f"urn:deskbridge:reason:{error.reason}",
        "status": status,
        "reason": str(error.reason),
    }
    if detail:
        body["detail"] = detail
    return func.HttpResponse(
        to_json(body),
        status_code=status,
        headers={**NO_STORE, **headers},
        mimetype="application/problem+json",
        charset="utf-8",
    )


def json_body(request: func.HttpRequest) -> Any:
    """The JSON body; raises InvalidInputError, or TooLargeError over 1 MiB."""
    try:
        return parse_json(body_of(request))
    except ValueError as error:
        raise InvalidInputError(
            Reason.BODY_NOT_READABLE, f"The body cannot be taken: {error}.", remedy="Send JSON (RFC 8259) in UTF-8."
        ) from error


def body_of(request: func.HttpRequest) -> bytes:
    """The body as it came; raises TooLargeError over 1 MiB."""
    body = request.get_body()
    if len(body) > LARGEST_BODY:
        raise TooLargeError(
            Reason.BODY_TOO_LARGE,
            f"The body has {len(body)} bytes; at most 1 MiB is read.",
            remedy="Send it in several parts.",
        )
    return body


def check_body_arrived(request: func.HttpRequest) -> None:
    """Raise BodyNotArrivedError for a body that was sent and is not here.

    The host passes on no body that comes in chunks: what it asked for must not become what an empty one asks for.
    """
    length = request.headers.get("Content-Length", "").strip()
    announced = "Transfer-Encoding" in request.headers or bool(length.strip("0"))
    if announced and not request.get_body():
        raise BodyNotArrivedError(
            Reason.BODY_NOT_ARRIVED,
            "A body was sent, and none arrived.",
            remedy="Send it in one piece with a Content-Length, and not in chunks.",
        )


def _status_and_title(error: DeskbridgeError) -> tuple[int, str]:
    return next((code, title) for cls, code, title in _STATUS if isinstance(error, cls))


def to_json(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False, default=_plain).encode("utf-8", "replace")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
