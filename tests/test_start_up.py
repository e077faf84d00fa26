"""A cold worker: what it registers, and what it does not load."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]

HEAVY = {
    "azure.core",
    "azure.data",
    "azure.identity",
    "azure.keyvault",
    "azure.storage",
    "boto3",
    "botocore",
    "cryptography",
    "jmespath",
    "msal",
    "pydantic",
    "requests",
    "yaml",
}

SCRIPT = """
import json, sys
import azure.functions
import function_app
lines = []
for function in function_app.app.get_functions():
    name = function.get_function_name()
    bindings = [binding.get_dict_repr() for binding in function.get_bindings()]
    for binding in bindings:
        if binding["type"] == "httpTrigger":
            methods = sorted(str(getattr(method, "value", method)) for method in binding.get("methods") or [])
            level = str(getattr(binding["authLevel"], "value", binding["authLevel"])).lower()
            lines.append(f"{name}: {','.join(methods)} {binding['route']} ({level})")
        elif binding["type"] == "timerTrigger":
            lines.append(f"{name}: timer {binding['schedule']}")
        elif binding["type"] == "queueTrigger":
            lines.append(f"{name}: queue {binding['queueName']}")
        elif binding["type"] == "queue":
            lines.append(f"{name}: sends to {binding['queueName']}")
        elif binding["type"] != "http":
            lines.append(f"{name}: {binding}")
ours = [module for name, module in sys.modules.items() if name.split(".")[0] in ("functions", "shared")]
made = {str(thing) for module in ours for thing in vars(module).values() if hasattr(thing, "__dataclass_fields__")}
print(json.dumps({"functions": sorted(lines), "modules": sorted(sys.modules), "dataclasses": sorted(made)}))
"""

FUNCTIONS = ROOT / "tests" / "functions.txt"


def fresh_process(script: str) -> Any:
    """What a script prints in a process of its own, with an empty environment."""
    answer = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env={"PATH": os.defpath}, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


@pytest.fixture(scope="module")
def cold_start() -> Any:
    """What a worker sees of the app."""
    return fresh_process(SCRIPT)


def test_importing_the_app_loads_no_sdk(cold_start: Any) -> None:
    loaded = set(cold_start["modules"])
    assert not {heavy for heavy in HEAVY if heavy in loaded}
    assert not {module for module in loaded if module.split(".")[0] in {"lab", "tests"}}


def test_the_app_has_exactly_these_functions_and_triggers(cold_start: Any) -> None:  # KV-03 AR-02 AR-03
    assert cold_start["functions"] == FUNCTIONS.read_text("utf-8").splitlines()


def test_the_start_loads_nothing_of_pythons_that_azure_functions_does_not_load_anyway(cold_start: Any) -> None:
    bare = fresh_process("import azure.functions, json, sys; print(json.dumps(sorted(sys.modules)))")
    more = {module.split(".")[0] for module in {*cold_start["modules"]} - {*bare}}
    # Parts of the interpreter, which whatever is imported next loads.
    assert more - {"gc"} == {"function_app", "functions", "shared"}


def test_the_start_makes_no_dataclass_each_of_which_costs_as_much_as_several_modules(cold_start: Any) -> None:
    assert cold_start["dataclasses"] == []
