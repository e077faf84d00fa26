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
functions = {}
for function in function_app.app.get_functions():
    trigger = function.get_trigger().get_dict_repr()
    outputs = [b.get_dict_repr() for b in function.get_bindings() if b.get_dict_repr()["direction"] == 1 or str(b.get_dict_repr()["direction"]).endswith("OUT")]
    functions[function.get_function_name()] = {
        "type": trigger["type"],
        "route": trigger.get("route"),
        "methods": sorted(str(getattr(m, "value", m)) for m in trigger.get("methods") or []),
        "auth": str(getattr(trigger.get("authLevel"), "value", trigger.get("authLevel") or "")).lower(),
        "schedule": trigger.get("schedule"),
        "queue": trigger.get("queueName"),
        "sends_to": sorted(b["queueName"] for b in outputs if b.get("type") == "queue"),
    }
print(json.dumps({"functions": functions, "modules": sorted(sys.modules)}))
"""


@pytest.fixture(scope="module")
def cold_start() -> Any:
    """What a fresh process with an empty environment sees."""
    answer = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, env={"PATH": os.defpath}, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def test_importing_the_app_loads_no_sdk(cold_start: Any) -> None:
    loaded = set(cold_start["modules"])
    assert not {heavy for heavy in HEAVY if heavy in loaded}
    assert not {module for module in loaded if module.split(".")[0] in {"lab", "tests"}}
