"""Worker on azure-functions alone, for Pythons without azure-functions-runtime; behaves as that does."""

import asyncio
import contextvars
import importlib
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
from pathlib import Path
from types import ModuleType
from typing import Any

import azure.functions as func

from lab.emulators.functions_host.library_functions import LoadedFunction, load_function, retry_policy
from lab.emulators.functions_host.library_values import arguments_of, result_of
from lab.emulators.functions_host.worker import (
    AppLoadError,
    Binding,
    Failure,
    FunctionMetadata,
    Invocation,
    InvocationResult,
)

SCRIPT = "function_app.py"
_invocation_id: ContextVar[str | None] = ContextVar("library_invocation_id", default=None)
_thread_storage = threading.local()


class LibraryWorker:
    """`Worker` on azure-functions alone."""

    def __init__(self) -> None:
        self._functions: dict[str, LoadedFunction] = {}
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
            retry_policy(found.get_settings_dict("retry_policy")),
        )
        self._functions[metadata.function_id] = load_function(metadata, found.get_user_function())
        return metadata

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        # A task of its own, so that the noted invocation ends with it.
        return await asyncio.create_task(self._run(invocation))

    async def _run(self, invocation: Invocation) -> InvocationResult:
        _invocation_id.set(invocation.invocation_id)
        loaded = self._functions[invocation.function.function_id]
        try:
            arguments = arguments_of(loaded, invocation, _thread_storage)
            if loaded.is_async:
                returned = await loaded.call(**arguments)
            else:
                context = contextvars.copy_context()
                returned = await asyncio.get_running_loop().run_in_executor(
                    self._pool, lambda: context.run(_call_in_thread, invocation.invocation_id, loaded.call, arguments)
                )
            result = result_of(loaded, arguments, returned)
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
