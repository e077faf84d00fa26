"""App settings: local.settings.json, `%NAME%` references and connection strings."""

import json
import os
import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.emulators.functions_host.errors import StartError

_REFERENCE = re.compile(r"%([^%]+)%")

# Microsoft publishes name and key of the emulator's account.
_DEVELOPMENT_STORAGE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;"
    "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;"
    "TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;"
)


@dataclass(frozen=True)
class LocalSettings:
    """What a local.settings.json says."""

    values: Mapping[str, str]
    http_port: int | None = None


def load_local_settings(path: Path) -> LocalSettings:
    """Read the file; a missing one is empty settings. Raises StartError naming the file and the fault."""
    if not path.is_file():
        return LocalSettings({})
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise StartError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("Values", {}), dict):
        raise StartError(f'{path} must be a JSON object with an object "Values"')
    if document.get("IsEncrypted") is True:
        raise StartError(f'{path} is encrypted: run "func settings decrypt", or set "IsEncrypted" to false')
    for name, value in document.get("Values", {}).items():
        if not isinstance(value, str):
            raise StartError(f'{path}: "Values" holds strings only, and {name} is {json.dumps(value)[:40]}')
    port = (document.get("Host") or {}).get("LocalHttpPort")
    if port is not None and not (isinstance(port, int) and 0 <= port <= 65535):
        raise StartError(f"{path}: Host.LocalHttpPort must be a port number")
    return LocalSettings(document.get("Values", {}), port)


def put_into(environment: MutableMapping[str, str], settings: LocalSettings) -> None:
    """Add the values that the environment does not set already, as the real tools do."""
    for name, value in settings.values.items():
        environment.setdefault(name, value)


def find_setting(name: str, environment: Mapping[str, str] | None = None) -> str | None:
    """An app setting; `:` in a name may stand as `__` in the environment."""
    environment = os.environ if environment is None else environment
    return environment.get(name) or environment.get(name.replace(":", "__"))


def resolve(text: str, where: str) -> str:
    """Replace each `%NAME%` by that app setting. Raises StartError naming `where` (the function and its property)."""

    def value(found: re.Match[str]) -> str:
        setting = find_setting(found[1])
        if not setting:
            raise StartError(f"{where}: %{found[1]}% refers to the app setting {found[1]}, which is not set")
        return setting

    return _REFERENCE.sub(value, text)


def connection_string(connection: str, where: str) -> str:
    """The connection string behind a binding's `connection`. Raises StartError naming `where`."""
    name = connection or "AzureWebJobsStorage"
    found = find_setting(f"AzureWebJobs{name}") or find_setting(name)
    if not found:
        by_identity = any(each.startswith(f"{name}__") for each in os.environ)
        raise StartError(
            f"{where}: the app setting {name} is not set"
            + (" (this host takes connection strings only, no identity-based connection)" if by_identity else "")
        )
    if re.fullmatch(r"\s*UseDevelopmentStorage=true;?\s*", found, re.IGNORECASE):
        return _DEVELOPMENT_STORAGE
    return found
