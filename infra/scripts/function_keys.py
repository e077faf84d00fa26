"""Makes the two classes of keys of a deployed desk, or replaces them: `reading` opens every function that only reads,
`writing` opens all of them. Which function is which, the desk's own OpenAPI document says.

    python3 infra/scripts/function_keys.py --resource-group rg-desk --app desk-func --out keys.json

Needs the Azure CLI, signed in with the right to write function keys (Website Contributor on the function app).
"""

# ruff: noqa: S310, S603, S607, T201 - it starts `az`, calls the desk that its operator names, and speaks at a terminal

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

API_VERSION = "2024-11-01"


def az(*arguments: str) -> str:
    """What `az` answers; raises RuntimeError with what it said."""
    done = subprocess.run(["az", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"az {' '.join(arguments[:3])} failed: {done.stderr.strip()}")
    return done.stdout


def access_of_functions(document: dict[str, Any]) -> dict[str, str]:
    """Function name to `reading` or `writing`; those that need no key are left out."""
    found = {}
    for item in document["paths"].values():
        for operation in item.values():
            found[operation["x-deskbridge-function"]] = operation["x-deskbridge-access"]
    return {name: access for name, access in found.items() if access in {"reading", "writing"}}


def set_key(app_id: str, function: str, name: str, value: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        # In a file: command lines are seen by every process of the machine.
        body = Path(folder) / "body.json"
        body.touch(mode=0o600)
        body.write_text(json.dumps({"properties": {"name": name, "value": value}}))
        url = f"https://management.azure.com{app_id}/functions/{function}/keys/{name}?api-version={API_VERSION}"
        az("rest", "--method", "put", "--url", url, "--body", f"@{body}", "--output", "none")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resource-group", required=True)
    parser.add_argument("--app", required=True, help="name of the function app")
    parser.add_argument("--out", type=Path, required=True, help="file for the two keys, readable by you alone")
    parser.add_argument("--url", help="address of the desk; default: the app's own host name")
    given = parser.parse_args()
    where = ["--resource-group", given.resource_group, "--name", given.app]
    try:
        app = json.loads(az("functionapp", "show", *where, "--query", "{id: id, host: defaultHostName}"))
        host_keys = json.loads(az("functionapp", "keys", "list", *where))
        request = urllib.request.Request(
            f"{given.url or 'https://' + app['host']}/api/v1/openapi.json",
            headers={"x-functions-key": host_keys["functionKeys"]["default"]},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            access = access_of_functions(json.loads(answer.read()))
        keys = {"reading": secrets.token_urlsafe(32), "writing": secrets.token_urlsafe(32)}
        handle = os.open(given.out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump(keys, file, indent=2)
        for function in sorted(access):
            # Who may write may read too.
            for name in ("reading", "writing") if access[function] == "reading" else ("writing",):
                set_key(app["id"], function, name, keys[name])
            print(f"{function}: {access[function]}")
    except (RuntimeError, OSError, KeyError, ValueError) as error:
        print(f"function_keys: {error}", file=sys.stderr)
        return 1
    print(f"Both keys are in {given.out}. Callers of the old ones are refused from now on.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
