"""host.json: the settings that this host honours, with the real host's defaults."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from lab.emulators.functions_host.errors import StartError
from lab.emulators.functions_host.timespan import parse_timespan

_OVERRIDE = "AzureFunctionsJobHost__"


@dataclass(frozen=True)
class QueueConfiguration:
    """`extensions.queues`."""

    batch_size: int = 16
    new_batch_threshold: int = 8
    visibility_timeout: timedelta = timedelta(0)
    max_dequeue_count: int = 5
    # In Azure one minute; the real host lowers it to two seconds on a developer's machine, and so does this one.
    max_polling_interval: timedelta = timedelta(seconds=2)
    is_base64: bool = True


@dataclass(frozen=True)
class HostConfiguration:
    """What host.json says, defaults filled in. No `function_timeout` means no limit."""

    route_prefix: str = "api"
    function_timeout: timedelta | None = timedelta(minutes=30)
    queues: QueueConfiguration = QueueConfiguration()
    # `extensions.http`: requests at once (None: any number), and headers that every answer bears.
    max_outstanding_requests: int | None = None
    custom_headers: Mapping[str, str] = field(default_factory=dict[str, str])


def load_configuration(app_directory: Path, environment: Mapping[str, str] | None = None) -> HostConfiguration:
    """Read host.json, and `AzureFunctionsJobHost__a__b` settings over it. Raises StartError saying where."""
    path = app_directory / "host.json"
    if not path.is_file():
        raise StartError(f"there is no host.json in {app_directory}: it is not a function app's directory")
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise StartError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(document, dict) or document.get("version") != "2.0":
        raise StartError(f'{path} must be a JSON object with "version": "2.0"')
    _override(document, os.environ if environment is None else environment)
    try:
        return _configuration(document)
    except ValueError as error:
        raise StartError(f"{path}: {error}") from error


def _override(document: dict[str, Any], environment: Mapping[str, str]) -> None:
    for name, text in environment.items():
        if not name.startswith(_OVERRIDE):
            continue
        at = document
        *sections, last = name[len(_OVERRIDE) :].split("__")
        for section in sections:
            at = at.setdefault(_same_name(at, section), {})
        at[_same_name(at, last)] = text


def _same_name(section: Mapping[str, Any], name: str) -> str:
    return next((each for each in section if each.casefold() == name.casefold()), name)


def _configuration(document: Mapping[str, Any]) -> HostConfiguration:
    extensions = _section(document, "extensions")
    queues = _section(extensions, "queues")
    http = _section(extensions, "http")
    outstanding = http.get("maxOutstandingRequests")
    batch_size = _number(queues, "batchSize", 16, 1, 32)
    encoding = str(queues.get("messageEncoding", "base64")).casefold()
    if encoding not in ("base64", "none"):
        raise ValueError('extensions.queues.messageEncoding is "base64" or "none"')
    return HostConfiguration(
        route_prefix=str(http.get("routePrefix", "api")).strip("/"),
        function_timeout=_timeout(str(document.get("functionTimeout", "00:30:00"))),
        queues=QueueConfiguration(
            batch_size=batch_size,
            new_batch_threshold=_number(queues, "newBatchThreshold", batch_size // 2, 0, 1_000_000),
            visibility_timeout=_span(queues, "visibilityTimeout", QueueConfiguration.visibility_timeout),
            max_dequeue_count=_number(queues, "maxDequeueCount", 5, 1, 1_000_000),
            max_polling_interval=_span(queues, "maxPollingInterval", QueueConfiguration.max_polling_interval),
            is_base64=encoding == "base64",
        ),
        # -1 is the real host's word for any number.
        max_outstanding_requests=None if outstanding is None or int(outstanding) < 0 else int(outstanding),
        custom_headers={str(name): str(value) for name, value in _section(http, "customHeaders").items()},
    )


def _section(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = document.get(name, {})
    if not isinstance(found, dict):
        raise ValueError(f"{name} must be an object")  # noqa: TRY004 - a fault of the file
    return found


def _number(section: Mapping[str, Any], name: str, default: int, least: int, most: int) -> int:
    found = section.get(name, default)
    try:
        number = int(found)
    except (TypeError, ValueError):
        raise ValueError(f"extensions.queues.{name} must be a number, not {found!r}") from None
    if not least <= number <= most:
        raise ValueError(f"extensions.queues.{name} must be from {least} to {most}, not {number}")
    return number


def _span(section: Mapping[str, Any], name: str, default: timedelta) -> timedelta:
    found = section.get(name)
    if found is None:
        return default
    try:
        return parse_timespan(str(found))
    except ValueError as error:
        raise ValueError(f"extensions.queues.{name}: {error}") from error


def _timeout(text: str) -> timedelta | None:
    if text == "-1":
        return None
    try:
        return parse_timespan(text)
    except ValueError as error:
        raise ValueError(f"functionTimeout: {error}") from error
