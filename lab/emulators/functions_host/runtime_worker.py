"""Worker on Microsoft's own azure-functions-runtime (Python 3.13 and later), as in the cloud's worker process."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import azure_functions_runtime as runtime

from lab.emulators.functions_host import messages
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

# Set around async functions, which the runtime runs in the caller's task without noting their invocation.
_task_invocation_id: ContextVar[str | None] = ContextVar("task_invocation_id", default=None)


class RuntimeWorker:
    """`Worker` on azure-functions-runtime. The runtime keeps its state in module globals: one app per process."""

    async def load(self, app_directory: Path) -> Sequence[FunctionMetadata]:
        started = await runtime.worker_init_request(
            _request(
                worker_init_request=SimpleNamespace(
                    capabilities={}, function_app_directory=str(app_directory), host_version="4.0.0"
                )
            )
        )
        _require_success(started.result)
        if "HttpUri" in started.capabilities:
            raise AppLoadError(
                "the app uses HTTP streaming (azurefunctions-extensions-http), which the lab's host lacks"
            )
        listed = await runtime.functions_metadata_request(_request(functions_metadata_request=SimpleNamespace()))
        _require_success(listed.result)
        functions = [_metadata(each) for each in listed.function_metadata_results or ()]
        for function in functions:
            loaded = await runtime.function_load_request(
                _request(function_load_request=SimpleNamespace(function_id=function.function_id))
            )
            _require_success(loaded.result)
        runtime.start_threadpool_executor()
        return functions

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        retry = invocation.retry
        request = _request(
            invocation_request=SimpleNamespace(
                invocation_id=invocation.invocation_id,
                function_id=invocation.function.function_id,
                input_data=[messages.ParameterBinding(invocation.trigger_name, _typed(invocation.trigger_value))],
                trigger_metadata={name: _typed(value) for name, value in invocation.trigger_metadata.items()},
                trace_context=SimpleNamespace(
                    trace_parent=invocation.trace_parent, trace_state=invocation.trace_state, attributes={}
                ),
                retry_context=SimpleNamespace(
                    retry_count=retry.count if retry else 0,
                    max_retry_count=retry.max_count if retry else 0,
                    exception=messages.RpcException(retry.last_failure.message, retry.last_failure.stack_trace)
                    if retry
                    else None,
                ),
            )
        )
        # A task of its own, so that the noted invocation ends with it.
        return _result(await asyncio.create_task(_noting(invocation.invocation_id, request)))

    def invocation_id(self) -> str | None:
        noted: str | None = runtime.invocation_id_cv.get()
        return noted or _task_invocation_id.get()

    def close(self) -> None:
        pool = runtime.get_threadpool_executor()
        if pool is not None:
            pool.shutdown(wait=False)


async def _noting(invocation_id: str, request: Any) -> Any:
    _task_invocation_id.set(invocation_id)
    return await runtime.invocation_request(request)


def _request(**one: Any) -> SimpleNamespace:
    return SimpleNamespace(
        request=SimpleNamespace(**one), properties={"host": "127.0.0.1", "protos": messages}, request_id=""
    )


def _require_success(result: messages.StatusResult) -> None:
    if result.status != messages.StatusResult.Success:
        error = result.exception or messages.RpcException("no reason given")
        raise AppLoadError(error.message, error.stack_trace)


def _metadata(found: Any) -> FunctionMetadata:
    bindings = []
    for text in found.raw_bindings:
        settings: Mapping[str, Any] = json.loads(text)
        name = str(settings["name"])
        is_output = found.bindings[name].direction == messages.BindingInfo.out
        bindings.append(Binding(name, str(settings["type"]), is_output, settings))
    return FunctionMetadata(found.name, found.function_id, bindings, _retry(found.retry_options))


def _retry(options: messages.RpcRetryOptions | None) -> RetryPolicy | None:
    if options is None:
        return None
    return RetryPolicy(
        options.max_retry_count,
        fixed_delay=_seconds(options.delay_interval),
        minimum_delay=_seconds(options.minimum_interval) or 0.0,
        maximum_delay=_seconds(options.maximum_interval) or 0.0,
    )


def _seconds(interval: timedelta | None) -> float | None:
    return None if interval is None else interval.total_seconds()


def _typed(value: Input) -> messages.TypedData:
    match value:
        case str():
            return messages.TypedData(string=value)
        case bytes():
            return messages.TypedData(bytes=value)
        case JsonText():
            return messages.TypedData(json=value.text)
        case HttpRequestMessage():
            return messages.TypedData(
                http=messages.RpcHttp(
                    method=value.method,
                    url=value.url,
                    headers=value.headers,
                    params=value.route_parameters,
                    query=value.query,
                    # The real host leaves an empty body out, and the runtime makes b"" of that.
                    body=messages.TypedData(bytes=value.body) if value.body else messages.TypedData(),
                )
            )


def _result(response: Any) -> InvocationResult:
    if response.result.status != messages.StatusResult.Success:
        error = response.result.exception
        return InvocationResult(Failure(error.message, error.stack_trace))
    outputs = {each.name: value for each in response.output_data if (value := _output(each.data)) is not None}
    return InvocationResult(return_value=_output(response.return_value), outputs=outputs)


def _output(data: messages.TypedData | None) -> Output | None:
    if data is None:
        return None
    which, value = data.get()
    match which:
        case None:
            return None
        case "string":
            return str(value)
        case "bytes":
            return bytes(value)
        case "json":
            return JsonText(value)
        case "http":
            return _http_response(value)
        case _:
            return JsonText(json.dumps(value))


def _http_response(http: messages.RpcHttp) -> HttpResponseMessage:
    body = _output(http.body)
    return HttpResponseMessage(
        int(http.status_code),
        list(http.headers.items()),
        [_set_cookie(each) for each in http.cookies or ()],
        body if isinstance(body, bytes) else b"",
    )


def _set_cookie(cookie: messages.RpcHttpCookie) -> str:
    def attribute(name: str) -> Any:
        wrapped = cookie.attributes.get(name)
        return None if wrapped is None else wrapped.value

    parts = [f"{cookie.name}={cookie.value}"]
    if expires := attribute("expires"):
        parts.append(f"expires={format_datetime(datetime.fromtimestamp(expires.seconds, UTC), usegmt=True)}")
    if (max_age := attribute("max_age")) is not None:
        parts.append(f"max-age={max_age:.0f}")
    parts += [f"{name}={attribute(name)}" for name in ("domain", "path") if attribute(name)]
    same_site = cookie.attributes.get("same_site", messages.RpcHttpCookie.SameSite(0))
    if same_site:
        parts.append(f"samesite={('', 'lax', 'strict', 'none')[same_site]}")
    parts += [word for name, word in (("secure", "secure"), ("http_only", "httponly")) if attribute(name)]
    return "; ".join(parts)
