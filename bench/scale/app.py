"""The functions of the app that queues and timers start, as the host calls them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import azure.functions as func

from functions import blueprints


class _Outputs:
    """What a function hands to its queue output."""

    def __init__(self) -> None:
        self.messages: Sequence[str] = ()

    def set(self, messages: Sequence[str]) -> None:
        self.messages = messages


@dataclass(frozen=True)
class Function:
    """A function with its trigger and its queue outputs, each by the name of its parameter."""

    name: str
    call: Any
    trigger: str
    queue: str
    outputs: Mapping[str, str] = field(default_factory=dict[str, str])

    def run(self, message: str, number: int, deliveries: int) -> list[tuple[str, str]]:
        """The messages that it sends, each with its queue."""
        given: dict[str, Any] = {name: _Outputs() for name in self.outputs}
        given[self.trigger] = _Delivered(message, number, deliveries) if self.queue else None
        self.call(**given)
        return [(queue, text) for name, queue in self.outputs.items() for text in given[name].messages]


class _Delivered:
    """A queue message as the worker gives it."""

    def __init__(self, text: str, number: int, deliveries: int) -> None:
        self.id, self._text, self.dequeue_count = str(number), text, deliveries

    def get_body(self) -> bytes:
        return self._text.encode()

    def get_json(self) -> Any:
        return json.loads(self._text)


@cache
def functions() -> Mapping[str, Function]:
    """By the queue that starts it, or by its own name if a timer does."""
    app = func.FunctionApp()
    for blueprint in blueprints():
        app.register_functions(blueprint)
    found: dict[str, Function] = {}
    for one in app.get_functions():
        trigger: Any = one.get_trigger()
        described = trigger.get_dict_repr()
        if described["type"] not in {"queueTrigger", "timerTrigger"}:
            continue
        outputs = {
            binding["name"]: binding["queueName"]
            for binding in (each.get_dict_repr() for each in one.get_bindings())
            if binding["type"] == "queue"
        }
        queue = described.get("queueName", "")
        name = str(one.get_function_name())
        found[str(queue or name)] = Function(name, one.get_user_function(), described["name"], queue, outputs)
    return found
