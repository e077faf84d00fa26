"""The app's functions as the host serves them: triggers and outputs resolved and checked before anything starts."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.emulators.functions_host.configuration import HostConfiguration
from lab.emulators.functions_host.errors import StartError
from lab.emulators.functions_host.routes import Route, parse_route
from lab.emulators.functions_host.schedules import Schedule, parse_schedule
from lab.emulators.functions_host.settings import connection_string, find_setting, resolve
from lab.emulators.functions_host.worker import Binding, FunctionMetadata

_QUEUE_NAME = re.compile(r"[a-z0-9](?:-?[a-z0-9])*")
_AUTH_LEVELS = ("anonymous", "function", "admin")
_SUPPORTED = ("httpTrigger", "timerTrigger", "queueTrigger", "http", "queue")
# Paths that the host itself serves when the route prefix is empty.
_RESERVED = ("admin", "runtime")


@dataclass(frozen=True)
class QueueAddress:
    """A queue of a storage account."""

    name: str
    connection: str


@dataclass(frozen=True)
class HttpTrigger:
    """`methods` in upper case; none means every method."""

    route: Route
    methods: Sequence[str]
    auth_level: str


@dataclass(frozen=True)
class TimerTrigger:
    """`text` is the schedule as written, `%NAME%` resolved."""

    schedule: Schedule
    text: str
    run_on_startup: bool
    use_monitor: bool


@dataclass(frozen=True)
class QueueTrigger:
    """A queue to listen to."""

    queue: QueueAddress
    is_binary: bool


@dataclass(frozen=True)
class HostedFunction:
    """A function ready to be served."""

    metadata: FunctionMetadata
    trigger_name: str
    trigger: HttpTrigger | TimerTrigger | QueueTrigger
    outputs: Mapping[str, QueueAddress]
    http_output: str | None

    @property
    def name(self) -> str:
        return self.metadata.name


@dataclass(frozen=True)
class App:
    """All that is served, and the names of functions that a setting switches off."""

    functions: Sequence[HostedFunction]
    disabled: Sequence[str]

    def find(self, name: str) -> HostedFunction | None:
        """By name, in any case, as the real host."""
        return next((each for each in self.functions if each.name.casefold() == name.casefold()), None)


def host_app(found: Sequence[FunctionMetadata], configuration: HostConfiguration) -> App:
    """Resolve and check everything. Raises StartError that lists every fault with its function's name."""
    faults: list[str] = []
    functions: list[HostedFunction] = []
    disabled = [each.name for each in found if _is_disabled(each.name)]
    for metadata in found:
        if metadata.name in disabled:
            continue
        try:
            functions.append(_hosted(metadata))
        except StartError as error:
            faults.append(str(error))
    faults += _doubled_names(found) + _route_clashes(functions, configuration)
    if faults:
        raise StartError("\n".join(faults))
    return App(functions, disabled)


def _is_disabled(name: str) -> bool:
    text = find_setting(f"AzureWebJobs.{name}.Disabled") or os.environ.get(f"AzureWebJobs_{name}_Disabled") or ""
    return text.casefold() in ("1", "true")


def _hosted(metadata: FunctionMetadata) -> HostedFunction:
    for binding in metadata.bindings:
        if binding.type not in _SUPPORTED:
            raise StartError(
                f"function {metadata.name}: this host has no {binding.type} binding (it has {', '.join(_SUPPORTED)})"
            )
    triggers = [binding for binding in metadata.bindings if binding.is_trigger]
    if len(triggers) != 1:
        raise StartError(f"function {metadata.name}: has {len(triggers)} triggers, and needs exactly one")
    trigger = triggers[0]
    outputs = {each.name: _queue(metadata.name, each) for each in metadata.bindings if each.type == "queue"}
    http_output = next((each.name for each in metadata.bindings if each.type == "http"), None)
    return HostedFunction(metadata, trigger.name, _trigger(metadata.name, trigger), outputs, http_output)


def _trigger(function: str, binding: Binding) -> HttpTrigger | TimerTrigger | QueueTrigger:
    match binding.type:
        case "httpTrigger":
            return _http_trigger(function, binding)
        case "timerTrigger":
            return _timer_trigger(function, binding)
        case _:
            return _queue_trigger(function, binding)


def _text(function: str, binding: Binding, name: str) -> str:
    return resolve(str(binding.settings.get(name) or ""), f"function {function}, {name}")


def _http_trigger(function: str, binding: Binding) -> HttpTrigger:
    route = _text(function, binding, "route") if binding.settings.get("route") is not None else function
    auth_level = str(binding.settings.get("authLevel") or "function").casefold()
    if auth_level not in _AUTH_LEVELS:
        raise StartError(f"function {function}: the authorization level {auth_level!r} is none of {_AUTH_LEVELS}")
    methods = [str(each).upper() for each in binding.settings.get("methods") or ()]
    try:
        return HttpTrigger(parse_route(route), methods, auth_level)
    except ValueError as error:
        raise StartError(f"function {function}: {error}") from error


def _timer_trigger(function: str, binding: Binding) -> TimerTrigger:
    text = _text(function, binding, "schedule")
    try:
        schedule = parse_schedule(text)
    except ValueError as error:
        raise StartError(f"function {function}: schedule {error}") from error
    return TimerTrigger(
        schedule,
        text,
        run_on_startup=binding.settings.get("runOnStartup") is True,
        use_monitor=binding.settings.get("useMonitor") is not False,
    )


def _queue_trigger(function: str, binding: Binding) -> QueueTrigger:
    is_binary = str(binding.settings.get("dataType") or "").casefold() == "binary"
    return QueueTrigger(_queue(function, binding), is_binary)


def _queue(function: str, binding: Binding) -> QueueAddress:
    # The real host lowers the case too.
    name = _text(function, binding, "queueName").lower()
    if not (3 <= len(name) <= 63 and _QUEUE_NAME.fullmatch(name)):
        raise StartError(
            f"function {function}: {name!r} is not a valid queue name (3 to 63 lower-case letters, digits and single "
            "hyphens between them)"
        )
    connection = str(binding.settings.get("connection") or "")
    return QueueAddress(name, connection_string(connection, f"function {function}, connection"))


def _doubled_names(found: Sequence[FunctionMetadata]) -> list[str]:
    return [
        f"function {each.name}: there is another function {other.name} (names ignore case)"
        for index, each in enumerate(found)
        for other in found[:index]
        if each.name.casefold() == other.name.casefold()
    ]


def _route_clashes(functions: Sequence[HostedFunction], configuration: HostConfiguration) -> list[str]:
    faults = []
    http = [(each.name, each.trigger) for each in functions if isinstance(each.trigger, HttpTrigger)]
    for index, (name, trigger) in enumerate(http):
        first = trigger.route.template.split("/")[0].casefold()
        if not configuration.route_prefix and first in _RESERVED:
            faults.append(f"function {name}: the route {trigger.route.template!r} belongs to the host itself")
        for other_name, other in http[:index]:
            same_method = not trigger.methods or not other.methods or set(trigger.methods) & set(other.methods)
            if same_method and trigger.route.shape() == other.route.shape():
                what = ", ".join(sorted(same_method)) if isinstance(same_method, set) else "every method"
                faults.append(
                    f"function {name}: its route {trigger.route.template!r} for {what} is a duplicate of that of "
                    f"{other_name} ({other.route.template!r})"
                )
    return faults
