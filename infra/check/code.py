"""What the code says that the infrastructure must fit: variables, names, functions. Read, never copied."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Function:
    """A registered function: its trigger's binding, as the Functions host sees it.

    `signs_in_alone` says that its callers prove themselves by other means than sign-in, or need not.
    """

    name: str
    trigger: Mapping[str, Any]
    signs_in_alone: bool = False

    @property
    def route(self) -> str | None:
        """The path of an HTTP trigger, such as `/api/health`."""
        return f"/api/{self.trigger['route']}" if self.trigger["type"].casefold() == "httptrigger" else None

    @property
    def anonymous(self) -> bool:
        return self.signs_in_alone

    @property
    def queue(self) -> str | None:
        return str(self.trigger["queueName"]) if self.trigger["type"].casefold() == "queuetrigger" else None


@dataclass(frozen=True)
class Code:
    """The product, as far as the infrastructure must fit it. `defaults` is by variable; None has none."""

    defaults: Mapping[str, str | None]
    tables: tuple[str, ...]
    queues: tuple[str, ...]
    containers: tuple[str, ...]
    dead_letters: str
    events_queue: str
    functions: tuple[Function, ...]
    conditions: tuple[str, ...]
    source: str


_LIST = """
import json, function_app
from functions.http.access import Door
from functions.http.endpoints import declared_endpoints
built = function_app.app.get_functions()
named = {item.get_function_name(): item for item in built}
guarded = {name for name, each in declared_endpoints().items() if each.access not in (Door.OPEN, Door.CALENDAR_TOKEN)}
# What is no endpoint of the API is a file of the console, which anybody can have.
alone = named.keys() - guarded
print(json.dumps([[name, json.loads(item.get_function_json()), name in alone] for name, item in named.items()]))
"""


def read_code() -> Code:
    """The code of this checkout."""
    from shared.conditions import ConditionKind
    from shared.environment import VARIABLES
    from shared.storage import names

    folders = (ROOT / "functions", ROOT / "shared")
    sources = [path.read_text("utf-8") for folder in folders for path in sorted(folder.rglob("*.py"))]
    return Code(
        defaults={variable.name: variable.default for variable in VARIABLES},
        tables=names.TABLES,
        queues=names.QUEUES,
        containers=names.CONTAINERS,
        dead_letters=names.DEAD_LETTERS_CONTAINER,
        events_queue=names.EVENTS_QUEUE,
        functions=tuple(_functions()),
        conditions=tuple(map(str, ConditionKind)),
        source="\n".join(sources),
    )


def _functions() -> Iterator[Function]:
    # Apart, because an app lists its functions once only, and whoever imports this may need that once.
    listed = subprocess.run(  # noqa: S603 - this very interpreter
        [sys.executable, "-c", _LIST], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name, described, alone in json.loads(listed.stdout):
        trigger = next(item for item in described["bindings"] if item["type"].casefold().endswith("trigger"))
        yield Function(name, trigger, alone)
