"""Values between the host and the app: what a function is called with, and what came of it."""

import json
import threading
from collections.abc import Mapping
from typing import Any

from azure.functions import meta

from lab.emulators.functions_host.library_context import InvocationContext
from lab.emulators.functions_host.library_functions import LoadedFunction, Parameter, converter_of
from lab.emulators.functions_host.worker import (
    HttpRequestMessage,
    HttpResponseMessage,
    Input,
    Invocation,
    InvocationResult,
    JsonText,
    Output,
)


class _Out:
    """What a function sets an output binding with."""

    def __init__(self) -> None:
        self._value: Any = None

    def set(self, value: Any) -> None:
        self._value = value

    def get(self) -> Any:
        return self._value


def arguments_of(loaded: LoadedFunction, invocation: Invocation, thread_storage: threading.local) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for name, parameter in loaded.inputs.items():
        converter = converter_of(parameter.binding_type)
        if converter is None:
            arguments[name] = _plain(invocation.trigger_value)
            continue
        trigger_metadata = {key: _datum(value) for key, value in invocation.trigger_metadata.items()}
        arguments[name] = converter.decode(_datum(invocation.trigger_value), trigger_metadata=trigger_metadata)
    if loaded.wants_context:
        arguments["context"] = InvocationContext(invocation, loaded.directory, thread_storage)
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


def result_of(loaded: LoadedFunction, arguments: Mapping[str, Any], returned: Any) -> InvocationResult:
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


def _encode(parameter: Parameter, value: Any) -> Output | None:
    converter = converter_of(parameter.binding_type)
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
