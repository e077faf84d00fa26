"""The app's functions as azure-functions declares them, checked and refused as Microsoft's worker does."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import GenericAlias
from typing import Any, get_args, get_origin, get_type_hints

import azure.functions as func

from lab.emulators.functions_host.worker import Binding, FunctionMetadata, RetryPolicy


@dataclass(frozen=True)
class Parameter:
    """How a bound parameter is converted: the binding type, or "generic" for bare str and bytes."""

    binding_type: str
    python_type: type | None


@dataclass(frozen=True)
class LoadedFunction:
    """A function ready to be called."""

    call: Any
    directory: str
    is_async: bool
    wants_context: bool
    inputs: Mapping[str, Parameter]
    outputs: Mapping[str, Parameter]
    returned: Parameter | None


def retry_policy(policy: Mapping[str, Any] | None) -> RetryPolicy | None:
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


def load_function(metadata: FunctionMetadata, call: Any) -> LoadedFunction:
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
    return LoadedFunction(
        call,
        str(Path(inspect.getfile(call)).parent),
        inspect.iscoroutinefunction(call),
        wants_context,
        {name: each for name, each in converted.items() if not bound[name].is_output},
        {name: each for name, each in converted.items() if bound[name].is_output},
        Parameter(returned.type, _plain_type(annotations.get("return"))) if returned else None,
    )


def _cannot_load(metadata: FunctionMetadata, reason: str) -> RuntimeError:
    return RuntimeError(f"cannot load the {metadata.name} function: {reason}")


def _parameter(metadata: FunctionMetadata, binding: Binding, annotation: Any) -> Parameter:
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
    converter = converter_of(binding_type)
    if annotation is not None and converter is not None:
        check = converter.check_output_type_annotation if is_out else converter.check_input_type_annotation
        if not check(inner):
            raise _cannot_load(
                metadata,
                f'type of {binding.name} binding in the binding decorator "{binding.type}" '
                f"does not match its Python annotation {inner!r}",
            )
    return Parameter(binding_type, inner)


def _check_return(metadata: FunctionMetadata, binding: Binding, annotation: Any) -> None:
    if not isinstance(annotation, type):
        raise _cannot_load(metadata, f"has invalid non-type return annotation {annotation!r}")
    converter = converter_of(binding.type)
    if converter is not None and not converter.check_output_type_annotation(annotation):
        raise _cannot_load(
            metadata, f'Python return annotation "{annotation.__name__}" does not match binding type "{binding.type}"'
        )


def _plain_type(annotation: Any) -> type | None:
    return annotation if isinstance(annotation, type) else None


def converter_of(binding_type: str) -> Any:
    # The registry is the library's metaclass; its `get` is what Microsoft's worker uses too.
    registry: Any = func.get_binding_registry()
    return registry.get(binding_type)
