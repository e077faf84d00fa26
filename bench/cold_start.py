"""Cold start: the app against an app without functions, until it is indexed and until each trigger's first answer."""

import json
import subprocess
import sys
from statistics import median
from typing import Any

from bench.figures import Figure, Results
from bench.measuring import ROOT, Effort
from bench.table_service import TableProcess

GROUP = "Cold start"
# So many times the rounds of the others, for what takes a fifth of a second.
_MANY = 12
_HEAVY = ("boto3", "botocore", "msal", "requests", "cryptography", "azure.identity", "azure.data.tables")
_BARE = """
import azure.functions as func
app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
@app.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def health(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("{}")
"""
_APP = "from function_app import app"
_MEASURE = """
import json, sys, time
{imports}
functions = {{function.get_function_name(): function.get_user_function() for function in app.get_functions()}}
indexed = time.process_time()
{first}
print(json.dumps({{"indexed": indexed, "answered": time.process_time(), "modules": sorted(sys.modules)}}))
"""
_HTTP = "import azure.functions as func\nfunctions[{name!r}](func.HttpRequest({method!r}, {url!r}, body=b'[]', {more}))"
_TRIGGERS = {
    "HTTP, anonymous (health)": _HTTP.format(name="show_health", method="GET", url="/api/health", more=""),
    "HTTP, a list (assets)": _HTTP.format(name="list_assets", method="GET", url="/api/v1/assets", more="params={}"),
    "webhook (a delivery)": _HTTP.format(
        name="receive_key_vault_events", method="POST", url="/api/events/key-vault", more="headers={}"
    ),
    "queue (a part)": """
class Message:
    dequeue_count = 1
    def get_body(self): return b'{"run_id": "none", "part": "none"}'
    def get_json(self): return {"run_id": "none", "part": "none"}
class Out:
    def set(self, value): pass
functions["import_part"](Message(), Out())
""",
    "timer (an import)": """
class Out:
    def set(self, value): pass
functions["import_ec2_assets"](None, Out())
""",
}


_BUDGETS = {"webhook (a delivery)": 4.5}


def measure(effort: Effort, results: Results) -> None:
    with TableProcess() as service:
        # As the deployment sets them.
        environment = {"AzureWebJobsStorage": service.connection_string, "PYDANTIC_DISABLE_PLUGINS": "__all__"}
        subjects = {"bare": (_BARE, ""), **{name: (_APP, first) for name, first in _TRIGGERS.items()}}
        warm = _alternately(subjects, effort.rounds, environment)
        # One round in two is off by some hundredths, and the budget may be as near.
        indexing = _alternately({"bare": (_BARE, ""), "indexed": (_APP, "")}, effort.rounds * _MANY, environment)
    bare = [one["indexed"] for one in warm["bare"]]
    bare_indexing = [one["indexed"] for one in indexing["bare"]]
    modules = indexing["indexed"][0]["modules"]
    bare_modules = len(warm["bare"][0]["modules"])
    heavy = [name for name in _HEAVY if name in modules]
    results.add(
        Figure(
            GROUP,
            "indexing the app",
            _ratio(indexing["indexed"], "indexed", bare_indexing),
            "×",
            f"an app with one function ({median(bare_indexing) * 1e3:.0f} ms CPU)",
            f"{median(one['indexed'] for one in indexing['indexed']) * 1e3:.0f} ms CPU; {len(bare_indexing)} rounds",
            budget=1.45,
        ),
        Figure(
            GROUP,
            "SDKs loaded by indexing",
            len(heavy),
            "modules",
            absolute=", ".join(heavy) or f"none; {len(modules)} modules in all, {bare_modules} in the bare app",
            budget=0,
        ),
    )
    for name in _TRIGGERS:
        results.add(
            Figure(
                GROUP,
                f"first answer: {name}",
                _ratio(warm[name], "answered", bare),
                "×",
                "indexing an app with one function",
                f"{median(one['answered'] for one in warm[name]) * 1e3:.0f} ms CPU; "
                f"{len(warm[name][0]['modules'])} modules",
                budget=_BUDGETS.get(name),
            )
        )


def _alternately(
    subjects: dict[str, tuple[str, str]], rounds: int, environment: dict[str, str]
) -> dict[str, list[dict[str, Any]]]:
    """What each subject found, by round: all of them once, then all again, each second time from the last to the
    first, so that what one leaves in the machine's caches serves all alike."""
    taken: dict[str, list[dict[str, Any]]] = {name: [] for name in subjects}
    for number in range(rounds + 1):
        for name in list(subjects) if number % 2 else reversed(subjects):
            taken[name].append(_run(*subjects[name], environment))
    # The first round fills the disk's and Python's caches.
    return {name: found[1:] for name, found in taken.items()}


def _ratio(found: list[dict[str, Any]], moment: str, bare: list[float]) -> float:
    return float(median(one[moment] / floor for one, floor in zip(found, bare, strict=True)))


def _run(imports: str, first: str, environment: dict[str, str]) -> dict[str, Any]:
    script = _MEASURE.format(imports=imports, first=first)
    process = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if process.returncode:
        raise RuntimeError(process.stderr[-3000:])
    found: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return found
