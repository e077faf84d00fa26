"""The host's own HTTP addresses under /admin: its status, the functions, and firing one by hand."""

import asyncio
import json
import time
from typing import Any

from aiohttp import web

from lab.emulators.functions_host.functions import App, HostedFunction, HttpTrigger, QueueTrigger, TimerTrigger
from lab.emulators.functions_host.http_messages import body_of
from lab.emulators.functions_host.invoker import Invoker
from lab.emulators.functions_host.keys import Keys
from lab.emulators.functions_host.queues import queue_call_by_hand
from lab.emulators.functions_host.server import given_key
from lab.emulators.functions_host.timers import Timers

VERSION = "4.0 (lab)"


class Admin:
    """Answers requests below /admin."""

    def __init__(self, app: App, keys: Keys, invoker: Invoker, timers: Timers, base_url: str, prefix: str) -> None:
        self._app = app
        self._keys = keys
        self._invoker = invoker
        self._timers = timers
        self._base_url = base_url
        self._prefix = prefix
        self._started = time.monotonic()
        self._fired: set[asyncio.Task[Any]] = set()

    async def answer(self, request: web.BaseRequest, path: str) -> web.Response:
        """`path` is what follows /admin/."""
        section, *rest = path.strip("/").split("/")
        match section, rest, request.method:
            case "host", ["ping"], "GET" | "POST":
                return web.Response()
        level = self._keys.level(given_key(request))
        if level != "admin":
            # A host key is known, and not enough.
            return web.Response(status=403 if level == "function" else 401)
        match section, rest, request.method:
            case "host", ["status"], "GET":
                return web.json_response(self._status())
            case "functions", [], "GET":
                return web.json_response([self._described(each) for each in self._app.functions])
            case "functions", [name], "GET" if function := self._app.find(name):
                return web.json_response(self._described(function))
            case "functions", [name], "POST" if function := self._app.find(name):
                return await self._fire(function, request)
        return web.Response(status=404)

    def _status(self) -> dict[str, Any]:
        uptime = round((time.monotonic() - self._started) * 1000)
        return {"id": "lab", "state": "Running", "version": VERSION, "processUptime": uptime}

    def _described(self, function: HostedFunction) -> dict[str, Any]:
        trigger = function.trigger
        return {
            "name": function.name,
            "language": "python",
            "isDisabled": False,
            "href": f"{self._base_url}/admin/functions/{function.name}",
            "invoke_url_template": self._base_url + url_path(trigger, self._prefix)
            if isinstance(trigger, HttpTrigger)
            else None,
            "config": {"bindings": [dict(each.settings) for each in function.metadata.bindings]},
        }

    async def _fire(self, function: HostedFunction, request: web.BaseRequest) -> web.Response:
        if request.content_type.casefold() != "application/json":
            return web.Response(status=415)
        try:
            document = json.loads(await body_of(request))
        except ValueError:
            document = None
        given = document.get("input", "") if isinstance(document, dict) else None
        if not isinstance(given, str):
            return web.Response(status=400, text='The body must be a JSON object such as {"input": "…"}.\n')
        match function.trigger:
            case TimerTrigger():
                running = self._timers.fire_by_hand(function)
            case QueueTrigger():
                running = self._invoke(function, given)
            case HttpTrigger():
                return web.Response(status=400, text=f"{function.name} is an HTTP function: call its own address.\n")
        task = asyncio.create_task(running)
        self._fired.add(task)
        task.add_done_callback(self._fired.discard)
        return web.Response(status=202)

    async def _invoke(self, function: HostedFunction, text: str) -> None:
        await self._invoker.invoke(queue_call_by_hand(function, text))


def url_path(trigger: HttpTrigger, prefix: str) -> str:
    """Where a route is reached, from the root."""
    return "/" + "/".join(part for part in (prefix, trigger.route.template) if part)
