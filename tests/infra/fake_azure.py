"""Stand-ins for `az`, `azd`, `curl` and `sleep` on PATH: they keep state in a file, and a clock that `sleep` moves.

Called as one of them by its name. `FAKE_STATE` names the file; `FAKE_FAIL` is `before:N` or `after:N`: the N-th call of
az dies before, or after, it did something.
"""

import base64
import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

COMMANDS = ("az", "azd", "curl", "sleep")


def install(folder: Path, state: dict[str, Any] | None = None) -> Path:
    """Put the commands into `folder`; answers with the state file."""
    folder.mkdir()
    file = folder / "state.json"
    start: dict[str, Any] = {
        "clock": 0,
        "secrets": {},
        "headers": [],
        "calls": [],
        "posted": [],
        "health": 0,
        **(state or {}),
    }
    file.write_text(json.dumps(start), "utf-8")
    for name in COMMANDS:
        command = folder / name
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {Path(__file__)} {name} "$@"\n', "utf-8")
        command.chmod(command.stat().st_mode | stat.S_IXUSR)
    return file


def _option(arguments: list[str], name: str) -> str:
    return arguments[arguments.index(name) + 1]


class RefusedError(Exception):
    """What the command says before it ends with 1."""


class _Fake:
    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state

    def latest(self, name: str) -> dict[str, Any]:
        versions = self.state["secrets"].get(name)
        if not versions:
            raise RefusedError(f"(SecretNotFound) A secret with name {name} was not found in this key vault.")
        found: dict[str, Any] = versions[-1]
        return found

    def do(self, name: str, arguments: list[str]) -> None:
        if name == "sleep":
            self.state["clock"] += int(arguments[0])
        elif name != "azd":
            said = self.az(arguments) if name == "az" else self.curl(arguments)
            sys.stdout.write(f"{said}\n" if said else "")

    def az(self, arguments: list[str]) -> str:
        verb = " ".join(arguments[:3])
        if verb.startswith("keyvault") and self.state.get("forbidden", 0) > 0:
            self.state["forbidden"] -= 1
            raise RefusedError("(Forbidden) Caller is not authorized to perform action on resource.")
        if verb == "keyvault secret set":
            name = _option(arguments, "--name")
            value = Path(_option(arguments, "--file")).read_text("utf-8")
            mode = Path(_option(arguments, "--file")).stat().st_mode
            assert not mode & (stat.S_IRWXG | stat.S_IRWXO), "others can read the file with the password"
            rotation = _option(arguments, "--tags").removeprefix("rotation=")
            version = {"value": value, "rotation": rotation, "at": self.state["clock"]}
            self.state["secrets"].setdefault(name, []).append(version)
            return ""
        if verb == "keyvault secret set-attributes":
            tag = _option(arguments, "--tags").removeprefix("rotation=")
            self.latest(_option(arguments, "--name"))["rotation"] = tag
            return ""
        if verb == "keyvault secret show":
            secret = self.latest(_option(arguments, "--name"))
            return str(secret["value"] if _option(arguments, "--query") == "value" else secret["rotation"])
        if verb == "deployment sub create":
            assert Path(_option(arguments, "--template-file")).name == "event-subscriptions.bicep"
            assert Path(_option(arguments, "--template-file")).is_file()
            # What Resource Manager does: it reads the secret's present version itself.
            pair = json.loads(self.latest("key-vault-webhook")["value"])
            text = base64.b64encode(f"{pair['username']}:{pair['password']}".encode()).decode()
            self.state["headers"].append({"at": self.state["clock"], "value": f"Basic {text}"})
            return ""
        if verb == "functionapp keys list":
            return "the-function-key"
        raise RefusedError(f"the fake az knows no {verb}")

    def curl(self, arguments: list[str]) -> str:
        url = arguments[-1]
        if url.endswith("/api/health"):
            self.state["health"] -= 1
            if self.state["health"] >= 0:
                raise RefusedError("curl: (22) The requested URL returned error: 503")
            return ""
        config = Path(_option(arguments, "--config")).read_text("utf-8")
        if url.endswith("/api/v1/tokens/administrator"):
            assert config == 'header = "x-functions-key: the-function-key"\n'
            return '{"name": "deploy", "token": "desk_made-by-the-desk"}'
        assert config == 'header = "X-Api-Key: desk_made-by-the-desk"\n'
        if "DELETE" in arguments:
            self.state["revoked"] = url.rpartition("/")[2]
            return ""
        if "--write-out" in arguments:
            return str(self.state.get("settings_status", 404))
        self.state["posted"].append(Path(_option(arguments, "--data-binary")[1:]).read_text("utf-8"))
        return '{"dry_run": false, "items": []}'


def main(name: str, arguments: list[str]) -> int:
    file = Path(os.environ["FAKE_STATE"])
    fake = _Fake(json.loads(file.read_text("utf-8")))
    fake.state["calls"].append([name, *arguments])
    file.write_text(json.dumps(fake.state), "utf-8")
    moment, _, number = os.environ.get("FAKE_FAIL", "").partition(":")
    fails = name == "az" and number == str(sum(1 for call in fake.state["calls"] if call[0] == "az"))
    try:
        if not (fails and moment == "before"):
            fake.do(name, arguments)
    except RefusedError as refusal:
        sys.stderr.write(f"ERROR: {refusal}\n")
        return 1
    finally:
        file.write_text(json.dumps(fake.state), "utf-8")
    return 137 if fails else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
