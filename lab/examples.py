"""The example settings: given to a desk once, and from then on the person's own.

A document that somebody changed or deleted stays so at the next start. One that is still as the lab wrote it follows
its file, because addresses in it move with the ports.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab.desk import LAB, Desk, DeskError

FOLDER = LAB / "settings"
_PLACEHOLDER = re.compile(r"\$\{([A-Z0-9_]+)\}")
_ENDINGS = frozenset({".yaml", ".yml", ".json"})


@dataclass(frozen=True)
class Applied:
    """What one start did with the examples. `kept` are those that a person changed or deleted."""

    actions: tuple[str, ...]
    kept: tuple[str, ...]
    refused: tuple[str, ...]


def settings_texts(desk: Desk, folder: Path = FOLDER) -> Iterator[tuple[str, str]]:
    """The example settings with this desk's addresses in them, file by file."""
    values = {_placeholder(name): address for name, address in desk.addresses.items()}
    for path in sorted(folder.iterdir()):
        if path.suffix in _ENDINGS:
            # A `${…}` that is no address of the lab is the person's own text.
            yield path.name, _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), path.read_text("utf-8"))


def apply_examples(desk: Desk, folder: Path = FOLDER) -> Applied:
    """Give the desk what it has not seen. One bad file does not keep back the others."""
    seen_file = desk.folder / "examples.json"
    seen: dict[str, int] = json.loads(seen_file.read_text("utf-8")) if seen_file.exists() else {}
    kept: list[str] = []
    refused: list[str] = []
    wanted: dict[str, list[dict[str, Any]]] = {}
    for name, text in settings_texts(desk, folder):
        try:
            documents = _documents(text)
        except ValueError as error:
            refused.append(f"lab/settings/{name} was not applied: {error}")
            continue
        ours = [document for document in documents if _is_ours(desk, document, seen)]
        kept += [_key(document) for document in documents if document not in ours]
        wanted[name] = ours
    applied, faults = _apply_files(desk, wanted)
    seen |= {_key(item): _version(desk, item) or 0 for item in applied}
    seen_file.write_text(json.dumps(seen, indent=2) + "\n", "utf-8")
    return Applied(tuple(item["action"] for item in applied), tuple(kept), (*refused, *faults))


def _apply_files(desk: Desk, wanted: Mapping[str, list[dict[str, Any]]]) -> tuple[list[dict[str, Any]], list[str]]:
    """All files as one set, since documents name each other. If that is refused, each file that is good alone."""
    try:
        return _apply(desk, [document for documents in wanted.values() for document in documents]), []
    except DeskError:
        left = dict(wanted)
    applied: list[dict[str, Any]] = []
    faults: dict[str, str] = {}
    # A file that names a document of a later one is accepted in the next round.
    for _ in wanted:
        for name in list(left):
            try:
                applied += _apply(desk, left[name])
                del left[name]
                faults.pop(name, None)
            except DeskError as error:
                faults[name] = f"lab/settings/{name} was not applied: {error}"
    return applied, list(faults.values())


def _documents(text: str) -> list[dict[str, Any]]:
    try:
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" (line {mark.line + 1})" if mark else ""
        raise ValueError(f"it is neither YAML nor JSON{place}.") from None
    for document in documents:
        if not isinstance(document, dict) or not {"kind", "name", "document"} <= document.keys():
            raise ValueError("each document needs a kind, a name and a document.")
    return documents


def _is_ours(desk: Desk, document: Mapping[str, Any], seen: Mapping[str, int]) -> bool:
    """Whether the lab may write it: nobody else has made, changed or deleted it."""
    version = _version(desk, document)
    known = seen.get(_key(document))
    return version == known


def _version(desk: Desk, document: Mapping[str, Any]) -> int | None:
    try:
        found = desk.call("GET", f"/api/v1/settings/{document['kind']}/{document['name']}")
    except DeskError as error:
        if error.status == 404:
            return None
        raise
    version: int = found["version"]
    return version


def _apply(desk: Desk, documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if not documents:
        return []
    body = json.dumps({"documents": documents}, default=str).encode()
    items: list[dict[str, Any]] = desk.call("POST", "/api/v1/settings", body)["items"]
    return items


def _key(document: Mapping[str, Any]) -> str:
    return f"{document['kind']}/{document['name']}"


def _placeholder(name: str) -> str:
    return name.upper().replace(" ", "_").replace("-", "_")
