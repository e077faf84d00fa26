"""Function keys: who may call what. Made once per lab and kept in a file."""

import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.emulators.functions_host.errors import StartError


@dataclass(frozen=True)
class Keys:
    """`master` opens everything; a host key every function-level route; a function's own keys that function alone."""

    master: str
    host_keys: Mapping[str, str]
    function_keys: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def allows(self, auth_level: str, function_name: str, given: str | None) -> bool:
        """Whether this key opens a route of that level (anonymous, function or admin)."""
        if auth_level == "anonymous":
            return True
        accepted = [self.master]
        if auth_level == "function":
            accepted += [*self.host_keys.values(), *self.function_keys.get(function_name.casefold(), {}).values()]
        return _is_one_of(given, accepted)

    def level(self, given: str | None) -> str:
        """What a key is good for at the host's own addresses: "admin", "function" or "anonymous"."""
        if _is_one_of(given, [self.master]):
            return "admin"
        return "function" if _is_one_of(given, list(self.host_keys.values())) else "anonymous"


def _is_one_of(given: str | None, accepted: Sequence[str]) -> bool:
    # Every key is compared, so that the time taken does not tell which came near.
    matches = [hmac.compare_digest(_raw(given or ""), _raw(each)) for each in accepted]
    return any(matches)


def _raw(key: str) -> bytes:
    # A header's bytes that are no UTF-8 come as half surrogates.
    return key.encode("utf-8", "surrogateescape")


def load_keys(path: Path | None) -> Keys:
    """Read the keys, or make and keep new ones when the file is missing. Raises StartError naming the fault.

    The file: {"master": "…", "default": "…", "functions": {"<function>": {"<key name>": "…"}}}; every further string
    at the top is one more host key, as "default" is.
    """
    if path is None:
        return _keys(_new())
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(json.dumps(_new(), indent=2) + "\n", encoding="utf-8")
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StartError(f"{path} is not valid JSON: {error}") from error
    try:
        return _keys(document)
    except ValueError as error:
        raise StartError(f"{path}: {error}") from error


def _new() -> dict[str, Any]:
    return {"master": secrets.token_urlsafe(32), "default": secrets.token_urlsafe(32), "functions": {}}


def _keys(document: Any) -> Keys:
    if not isinstance(document, dict):
        raise ValueError("must be a JSON object")  # noqa: TRY004 - a fault of the file
    functions = document.get("functions", {})
    at_the_top = {name: value for name, value in document.items() if name != "functions"}
    if not isinstance(functions, dict) or not all(isinstance(each, dict) for each in functions.values()):
        raise ValueError('"functions" must hold an object of keys for each function')
    for where, keys in [("the top", at_the_top), *functions.items()]:
        for name, value in keys.items():
            # An empty key would be matched by a caller without any.
            if not isinstance(value, str) or not value:
                raise ValueError(f"the key {name} (of {where}) must be a string that is not empty")
    if "master" not in at_the_top:
        raise ValueError('there is no "master" key')
    return Keys(at_the_top.pop("master"), at_the_top, {name.casefold(): dict(keys) for name, keys in functions.items()})
