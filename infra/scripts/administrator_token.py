"""Makes an administrator's token of a deployed desk: the first one, and the way back in.

    python3 infra/scripts/administrator_token.py --resource-group rg-desk --app desk-func --name ann --out token

A key of the Functions host opens the one endpoint that makes it. Needs the Azure CLI, signed in with the right to list
the keys of the function app (Website Contributor).
"""

# ruff: noqa: S310, S603, S607, T201 - it starts `az`, calls the desk that its operator names, and speaks at a terminal

import argparse
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path


def az(*arguments: str) -> str:
    """What `az` answers; raises RuntimeError with what it said."""
    done = subprocess.run(["az", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"az {' '.join(arguments[:3])} failed: {done.stderr.strip()}")
    return done.stdout


def make_token(url: str, host_key: str, name: str) -> str:
    """A new administrator's token; raises RuntimeError with what the desk refused."""
    request = urllib.request.Request(
        f"{url}/api/v1/tokens/administrator",
        data=json.dumps({"name": name}).encode(),
        method="POST",
        headers={"x-functions-key": host_key, "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return str(json.loads(answer.read())["token"])
    except urllib.error.HTTPError as error:
        said = error.read().decode("utf-8", "replace")
        raise RuntimeError(f"the desk answered {error.code}: {said or 'its host refused the key'}") from None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resource-group", required=True)
    parser.add_argument("--app", required=True, help="name of the function app")
    parser.add_argument("--name", required=True, help="the token's name, as histories show it: ann, or pipeline")
    parser.add_argument("--out", type=Path, required=True, help="new file for the token, readable by you alone")
    parser.add_argument("--url", help="address of the desk; default: the app's own host name")
    given = parser.parse_args()
    where = ["--resource-group", given.resource_group, "--name", given.app]
    try:
        # Before the token is made: it is shown once, so there must be a place for it.
        handle = os.open(given.out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            url = given.url or "https://" + json.loads(az("functionapp", "show", *where))["defaultHostName"]
            host_key = json.loads(az("functionapp", "keys", "list", *where))["functionKeys"]["default"]
            file.write(make_token(url.rstrip("/"), host_key, given.name) + "\n")
    except (RuntimeError, OSError, KeyError, ValueError) as error:
        if not isinstance(error, FileExistsError):
            given.out.unlink(missing_ok=True)
        print(f"administrator_token: {error}", file=sys.stderr)
        return 1
    print(f"The token is in {given.out}. Keep it in a password store, and remove the file.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
