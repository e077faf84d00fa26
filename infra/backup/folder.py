"""A backup on disk: one compressed file of lines for each table, and a manifest that says what belongs to it."""

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

MANIFEST = "manifest.json"
FORMAT = 1


class BackupError(Exception):
    """The backup cannot be made, or cannot be trusted; the message says what to do."""


@dataclass(frozen=True)
class TableFile:
    """One table's file: how many rows, and the SHA-256 of their lines."""

    rows: int
    digest: str


@dataclass(frozen=True)
class Manifest:
    """`tables` holds None for a table that was not there."""

    made_at: str
    source: str
    tables: dict[str, TableFile | None]


def write_lines(folder: Path, table: str, lines: Iterable[str]) -> TableFile:
    """The file of one table, from lines as they come; the memory of one line."""
    digest, rows = hashlib.sha256(), 0
    with gzip.open(folder / f"{table}.jsonl.gz", "wb", compresslevel=6) as file:
        for line in lines:
            content = line.encode() + b"\n"
            digest.update(content)
            file.write(content)
            rows += 1
    return TableFile(rows, digest.hexdigest())


def read_lines(folder: Path, table: str) -> Iterator[str]:
    """The lines of one table's file."""
    with gzip.open(folder / f"{table}.jsonl.gz", "rt", encoding="utf-8", newline="\n") as file:
        for line in file:
            yield line.rstrip("\n")


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Written last: a folder without it is no backup."""
    (folder / MANIFEST).write_text(json.dumps({"format": FORMAT, **asdict(manifest)}, indent=2) + "\n", "utf-8")


def read_manifest(folder: Path) -> Manifest:
    """The manifest, when every file is there and whole; raises BackupError. Reads every file once."""
    try:
        content = json.loads((folder / MANIFEST).read_text("utf-8"))
        if content["format"] != FORMAT:
            raise BackupError(f"{folder} has the format {content['format']}; this command reads {FORMAT}.")
        tables = {name: TableFile(**entry) if entry else None for name, entry in content["tables"].items()}
        manifest = Manifest(content["made_at"], content["source"], tables)
    except FileNotFoundError:
        raise BackupError(f"{folder} is no backup: it has no {MANIFEST}.") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BackupError(f"{folder / MANIFEST} cannot be read: {error}") from error
    for table, entry in tables.items():
        if entry is not None:
            _verify(folder, table, entry)
    return manifest


def _verify(folder: Path, table: str, entry: TableFile) -> None:
    digest, rows = hashlib.sha256(), 0
    try:
        for line in read_lines(folder, table):
            digest.update(line.encode() + b"\n")
            rows += 1
    except (OSError, EOFError, ValueError) as error:
        raise BackupError(f"The file of {table} is damaged: {error}. Nothing was restored.") from error
    if (rows, digest.hexdigest()) != (entry.rows, entry.digest):
        raise BackupError(f"The file of {table} is not the one that was written. Nothing was restored.")
