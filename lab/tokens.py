"""The lab's access tokens, one of each role and a calendar's: made by the host's key, and kept in a file."""

import json
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from shared.access.roles import Role

NAME = "tokens.json"
# Method, path, body, headers; answers with the JSON, and raises RuntimeError when it is refused.
Call = Callable[[str, str, bytes | None, Mapping[str, str]], Any]


def lab_tokens(call: Call, host_key: str, folder: Path) -> dict[str, str]:
    """A token of each role, by role, and `calendar`: those of the folder while they open the desk, else new ones."""
    path = folder / NAME
    if path.is_file():
        kept: dict[str, str] = json.loads(path.read_text("utf-8"))
        if _opens(call, kept.get(Role.ADMINISTRATOR, "")):
            return kept
    # A name stands for one token for ever, and the desk's tables may remember those of a file that is gone.
    suffix = secrets.token_hex(4)
    made = _make(call, "/administrator", {"name": f"lab-administrator-{suffix}"}, {"x-functions-key": host_key})
    first = {"X-Api-Key": made}
    tokens = {str(Role.ADMINISTRATOR): made}
    for role in (Role.READER, Role.OPERATOR):
        tokens[str(role)] = _make(call, "", {"name": f"lab-{role}-{suffix}", "role": str(role)}, first)
    tokens["calendar"] = _make(call, "/calendar", {"name": f"lab-calendar-{suffix}"}, first)
    path.touch(mode=0o600)
    path.write_text(json.dumps(tokens, indent=2) + "\n", "utf-8")
    return tokens


def _opens(call: Call, token: str) -> bool:
    try:
        call("GET", "/api/v1/me", None, {"X-Api-Key": token})
    except RuntimeError:
        return False
    return True


def _make(call: Call, which: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> str:
    return str(call("POST", f"/api/v1/tokens{which}", json.dumps(body).encode(), headers)["token"])
