"""Worker on azure-functions alone, for Pythons without azure-functions-runtime; behaves as that does."""

import asyncio
import contextvars
import importlib
import inspect
import json
import os
import sys
import threading
import traceback
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import thread as futures_thread
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import GenericAlias, ModuleType
from typing import Any, get_args, get_origin, get_type_hints

import azure.functions as func
from azure.functions import meta

from lab.emulators.functions_host.library_context import InvocationContext
from lab.emulators.functions_host.worker import (
    AppLoadError,
    Binding,
    Failure,
    FunctionMetadata,
    HttpRequestMessage,
    HttpResponseMessage,
    Input,
    Invocation,
    InvocationResult,
    JsonText,
    Output,
    RetryPolicy,
)

SCRIPT = "function_app.py"
_invocation_id: ContextVar[str | None] = ContextVar("library_invocation_id", default=None)
_thread_storage = threading.local()


@dataclass(frozen=True)
class _Parameter:
    """How a bound parameter is converted: the binding type, or "generic" for bare str and bytes."""

    binding_type: str
    python_type: type | None


@dataclass(frozen=True)
class _Loaded:
    """A function ready to be called."""

    call: Any
    directory: str
    is_async: bool
    wants_context: bool
    inputs: Mapping[str, _Parameter]
    outputs: Mapping[str, _Parameter]
    returned: _Parameter | None


class _Out:
    """What a function sets an output binding with."""

    def __init__(self) -> None:
        self._value: Any = None

    def set(self, value: Any) -> None:
        self._value = value

    def get(self) -> Any:
        return self._value


class LibraryWorker:
    """`Worker` on azure-functions alone."""

    def __init__(self) -> None:
        self._functions: dict[str, _Loaded] = {}
        self._pool: ThreadPoolExecutor | None = None

    async def load(self, app_directory: Path) -> Sequence[FunctionMetadata]:
        script = app_directory / os.environ.get("PYTHON_SCRIPT_FILE_NAME", SCRIPT)
        if not script.is_file():
            return []
        try:
            found = _app_of(importlib.import_module(script.stem)).get_functions()
            functions = [self._index(each) for each in found]
        except Exception as error:
            raise AppLoadError(f"{type(error).__name__}: {error}", traceback.format_exc()) from error
        self._pool = ThreadPoolExecutor(max_workers=_thread_count(), thread_name_prefix="function")
        return functions

    def _index(self, found: Any) -> FunctionMetadata:
        bindings = [
            Binding(each.name, each.type, each.direction == 1, json.loads(raw))
            for each, raw in zip(found.get_bindings(), found.get_raw_bindings(), strict=True)
        ]
        metadata = FunctionMetadata(
            found.get_function_name(),
            str(uuid.uuid5(uuid.NAMESPACE_OID, found.get_function_name())),
            bindings,
            _retry(found.get_settings_dict("retry_policy")),
        )
        self._functions[metadata.function_id] = _loaded(metadata, found.get_user_function())
        return metadata

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        # A task of its own, so that the noted invocation ends with it.
        return await asyncio.create_task(self._run(invocation))

    async def _run(self, invocation: Invocation) -> InvocationResult:
        _invocation_id.set(invocation.invocation_id)
        loaded = self._functions[invocation.function.function_id]
        try:
            arguments = _arguments(loaded, invocation)
            if loaded.is_async:
                returned = await loaded.call(**arguments)
            else:
                context = contextvars.copy_context()
                returned = await asyncio.get_running_loop().run_in_executor(
                    self._pool, lambda: context.run(_call_in_thread, invocation.invocation_id, loaded.call, arguments)
                )
            result = _result(loaded, arguments, returned)
        except Exception as error:  # noqa: BLE001 - the app's failure is this invocation's result
            return InvocationResult(Failure(f"{type(error).__name__}: {error}", _stack_trace(error)))
        finally:
            sys.stdout.flush()
        return result

    def invocation_id(self) -> str | None:
        return _invocation_id.get()

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False)


def _stack_trace(error: Exception) -> str:
    """The traceback without the frames of the host that lead to the app."""
    trace = error.__traceback__
    own = (__file__, futures_thread.__file__)
    while trace and trace.tb_next and trace.tb_frame.f_code.co_filename in own:
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))


def _call_in_thread(invocation_id: str, call: Any, arguments: Mapping[str, Any]) -> Any:
    _thread_storage.invocation_id = invocation_id
    try:
        return call(**arguments)
    finally:
        _thread_storage.invocation_id = None


def _app_of(module: ModuleType) -> Any:
    apps = [value for value in vars(module).values() if isinstance(value, func.FunctionRegister)]
    if not apps:
        raise ValueError(f"Could not find top level function app instances in {SCRIPT}.")
    if len(apps) > 1:
        raise ValueError(
            f"More than one {type(apps[0]).__name__} or other top level function app instances are defined."
        )
    return apps[0]


def _thread_count() -> int | None:
    """As the runtime: PYTHON_THREADPOOL_THREAD_COUNT, or Python's own default."""
    text = os.environ.get("PYTHON_THREADPOOL_THREAD_COUNT", "")
    return int(text) if text.isdecimal() and int(text) > 0 else None


def _retry(policy: Mapping[str, Any] | None) -> RetryPolicy | None:
    if not policy:
        return None
    count = int(policy["max_retry_count"])
    if policy["strategy"] == "fixed_delay":
        return RetryPolicy(count, fixed_delay=_seconds(policy["delay_interval"]))
    return RetryPolicy(
        count,
        minimum_delay=_seconds(policy["minimum_interval"] or "00:00:00"),
        maximum_delay=_seconds(policy["maximum_interval"]) if policy["maximum_interval"] else 2147483647.0,
    )


def _seconds(text: str) -> float:
    hours, minutes, seconds = (int(part) for part in text.split(":"))
    return timedelta(hours=hours, minutes=minutes, seconds=seconds).total_seconds()


def _loaded(metadata: FunctionMetadata, call: Any) -> _Loaded:
    parameters = list(inspect.signature(call).parameters)
    annotations = get_type_hints(call)
    bound = {each.name: each for each in metadata.bindings if each.name != "$return"}
    wants_context = "context" in parameters and "context" not in bound
    if wants_context:
        parameters.remove("context")
    if unbound := set(parameters) - set(bound):
        raise _cannot_load(
            metadata,
            "the following parameters are declared in Python but not in the function definition "
            f"(function.json or function decorators): {unbound!r}",
        )
    if missing := set(bound) - set(parameters):
        raise _cannot_load(
            metadata,
            "the following parameters are declared as bindings but are not present in Python: " + repr(missing),
        )
    converted = {name: _parameter(metadata, bound[name], annotations.get(name)) for name in parameters}
    returned = next((each for each in metadata.bindings if each.name == "$return"), None)
    if returned and "return" in annotations:
        _check_return(metadata, returned, annotations["return"])
    return _Loaded(
        call,
        str(Path(inspect.getfile(call)).parent),
        inspect.iscoroutinefunction(call),
        wants_context,
        {name: each for name, each in converted.items() if not bound[name].is_output},
        {name: each for name, each in converted.items() if bound[name].is_output},
        _Parameter(returned.type, _plain_type(annotations.get("return"))) if returned else None,
    )


def _cannot_load(metadata: FunctionMetadata, reason: str) -> RuntimeError:
    return RuntimeError(f"cannot load the {metadata.name} function: {reason}")


def _parameter(metadata: FunctionMetadata, binding: Binding, annotation: Any) -> _Parameter:
    is_out = getattr(get_origin(annotation) or annotation, "__name__", "") == "Out"
    if annotation is not None and is_out != binding.is_output:
        raise _cannot_load(
            metadata,
            f'binding {binding.name} has the direction "{"out" if binding.is_output else "in"}", '
            f"but its annotation in Python is {annotation!r}",
        )
    inner = (get_args(annotation) or (None,))[0] if is_out else annotation
    # Microsoft's worker takes typing.List[str] and refuses list[str]; an app must fail here as it would in Azure.
    if isinstance(inner, GenericAlias) or (is_out and inner is None):
        raise _cannot_load(metadata, f"binding {binding.name} has invalid non-type annotation {annotation!r}")
    binding_type = "generic" if inner in (str, bytes) else binding.type
    converter = _converter(binding_type)
    if annotation is not None and converter is not None:
        check = converter.check_output_type_annotation if is_out else converter.check_input_type_annotation
        if not check(inner):
            raise _cannot_load(
                metadata,
                f'type of {binding.name} binding in the binding decorator "{binding.type}" '
                f"does not match its Python annotation {inner!r}",
            )
    return _Parameter(binding_type, inner)


def _check_return(metadata: FunctionMetadata, binding: Binding, annotation: Any) -> None:
    if not isinstance(annotation, type):
        raise _cannot_load(metadata, f"has invalid non-type return annotation {annotation!r}")
    converter = _converter(binding.type)
    if converter is not None and not converter.check_output_type_annotation(annotation):
        raise _cannot_load(
            metadata, f'Python return annotation "{annotation.__name__}" does not match binding type "{binding.type}"'
        )


def _plain_type(annotation: Any) -> type | None:
    return annotation if isinstance(annotation, type) else None


def _converter(binding_type: str) -> Any:
    # The registry is the library's metaclass; its `get` is what Microsoft's worker uses too.
    registry: Any = func.get_binding_registry()
    return registry.get(binding_type)


def _arguments(loaded: _Loaded, invocation: Invocation) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for name, parameter in loaded.inputs.items():
        converter = _converter(parameter.binding_type)
        if converter is None:
            arguments[name] = _plain(invocation.trigger_value)
            continue
        trigger_metadata = {key: _datum(value) for key, value in invocation.trigger_metadata.items()}
        arguments[name] = converter.decode(_datum(invocation.trigger_value), trigger_metadata=trigger_metadata)
    if loaded.wants_context:
        arguments["context"] = InvocationContext(invocation, loaded.directory, _thread_storage)
    arguments |= {name: _Out() for name in loaded.outputs}
    return arguments


def _plain(value: Input) -> str | bytes:
    match value:
        case str() | bytes():
            return value
        case JsonText():
            return value.text
        case HttpRequestMessage():
            raise ValueError("unexpected type of data received for the generic binding 'http'")


def _datum(value: Input) -> meta.Datum:
    match value:
        case str():
            return meta.Datum(value, "string")
        case bytes():
            return meta.Datum(value, "bytes")
        case JsonText():
            return meta.Datum(value.text, "json")
        case HttpRequestMessage():
            return meta.Datum(
                {
                    "method": meta.Datum(value.method, "string"),
                    "url": meta.Datum(value.url, "string"),
                    "headers": {name: meta.Datum(each, "string") for name, each in value.headers.items()},
                    "query": {name: meta.Datum(each, "string") for name, each in value.query.items()},
                    "params": {name: meta.Datum(each, "string") for name, each in value.route_parameters.items()},
                    "body": meta.Datum(value.body, "bytes"),
                },
                "http",
            )


def _result(loaded: _Loaded, arguments: Mapping[str, Any], returned: Any) -> InvocationResult:
    if returned is not None and loaded.returned is None:
        raise RuntimeError("function without a $return binding returned a non-None value")
    outputs = {
        name: encoded
        for name, parameter in loaded.outputs.items()
        if (value := arguments[name].get()) is not None and (encoded := _encode(parameter, value)) is not None
    }
    return InvocationResult(
        return_value=None if loaded.returned is None else _encode(loaded.returned, returned), outputs=outputs
    )


def _encode(parameter: _Parameter, value: Any) -> Output | None:
    converter = _converter(parameter.binding_type)
    if converter is None:
        return _encode_plain(value)
    try:
        datum = converter.encode(value, expected_type=parameter.python_type)
    except NotImplementedError as error:
        raise TypeError(
            f'unable to encode outgoing TypedData: unsupported type "{parameter.binding_type}" '
            f'for Python type "{type(value).__name__}"'
        ) from error
    match datum.type:
        case "string":
            return str(datum.value)
        case "bytes":
            return bytes(datum.value)
        case "json":
            return JsonText(datum.value)
        case "http":
            return _http_response(datum.value)
        case None:
            return None
        case other:
            raise NotImplementedError(f"unexpected Datum type: {other}")


def _encode_plain(value: Any) -> Output | None:
    match value:
        case None:
            return None
        case str():
            return value
        case bytes() | bytearray():
            return bytes(value)
        case dict() | list() | int() | float():
            return JsonText(json.dumps(value))
        case _:
            raise TypeError(f'unable to encode outgoing TypedData: Python type "{type(value).__name__}"')


def _http_response(value: Mapping[str, Any]) -> HttpResponseMessage:
    return HttpResponseMessage(
        int(value["status_code"].value),
        [(name, each.value) for name, each in value["headers"].items()],
        [morsel.OutputString() for cookie in value["cookies"] or () for morsel in cookie.values()],
        value["body"].value,
    )
