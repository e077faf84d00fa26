"""Out of the tables into a folder, and back. Both can be interrupted and started again."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableClient, TableEntity, TableServiceClient, UpdateMode

from infra.backup.folder import BackupError, Manifest, TableFile, read_lines, read_manifest, write_lines, write_manifest
from infra.backup.rows import UnreadableError, from_line, to_line

ROWS_PER_TRANSACTION = 100
# Of the 4 MiB that a transaction may have; envelopes need their share. A line is as long as what the SDK sends, which
# writes everything beyond ASCII as six characters or twelve.
CHARACTERS_PER_TRANSACTION = 3_600_000
Say = Callable[[str], object]


def save(service: TableServiceClient, tables: Sequence[str], folder: Path, say: Say) -> Manifest:
    """Write all rows of the tables into a new folder. Until it is complete the folder is called `….partial`."""
    if folder.exists():
        raise BackupError(f"{folder} is there already: name another folder.")
    partial = folder.with_name(f"{folder.name}.partial")
    partial.mkdir(mode=0o700, parents=True, exist_ok=True)
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    found: dict[str, TableFile | None] = {}
    for table in tables:
        try:
            found[table] = entry = write_lines(partial, table, map(to_line, _rows(service.get_table_client(table))))
            say(f"{table}: {entry.rows} rows")
        except ResourceNotFoundError:
            (partial / f"{table}.jsonl.gz").unlink()
            found[table] = None
            say(f"{table}: not there")
    manifest = Manifest(made_at, service.url, found)
    write_manifest(partial, manifest)
    partial.rename(folder)
    return manifest


def restore(service: TableServiceClient, folder: Path, say: Say, *, over: bool = False) -> Manifest:
    """Write a backup's rows. Every row is as in the backup afterwards; repeating it does no harm.

    Raises BackupError before the first row is written when a file is damaged, or when a table holds rows and `over`
    is not given. With `over`, rows of the table that the backup does not have stay.
    """
    manifest = read_manifest(folder)
    wanted = {table: entry for table, entry in manifest.tables.items() if entry is not None}
    if not over:
        taken = [table for table in wanted if _holds_rows(service.get_table_client(table))]
        if taken:
            raise BackupError(
                f"These tables hold rows already: {', '.join(taken)}. Restore into an empty account, or add --over: "
                "then rows of the backup replace those of the same keys, and all others stay. After an interrupted "
                "restore that is what to do."
            )
    for table, entry in wanted.items():
        client = service.create_table_if_not_exists(table)
        rows = 0
        for operations in _transactions(folder, table):
            client.submit_transaction([("upsert", row, {"mode": UpdateMode.REPLACE}) for row in operations])
            rows += len(operations)
            if rows % 10_000 < len(operations):
                say(f"{table}: {rows} of {entry.rows} rows")
        say(f"{table}: {rows} rows restored")
    return manifest


def _rows(client: TableClient) -> Iterator[TableEntity]:
    for page in client.list_entities(results_per_page=1000).by_page():
        yield from page


def _holds_rows(client: TableClient) -> bool:
    try:
        return next(iter(client.list_entities(results_per_page=1)), None) is not None
    except ResourceNotFoundError:
        return False


def _transactions(folder: Path, table: str) -> Iterator[list[TableEntity]]:
    """Rows of one partition, as many as a transaction takes. The files hold them in key order."""
    for _, rows in groupby(_entities(folder, table), key=lambda found: found[0]["PartitionKey"]):
        batch: list[TableEntity] = []
        weight = 0
        for entity, characters in rows:
            if batch and (len(batch) == ROWS_PER_TRANSACTION or weight + characters > CHARACTERS_PER_TRANSACTION):
                yield batch
                batch, weight = [], 0
            batch.append(entity)
            weight += characters
        yield batch


def _entities(folder: Path, table: str) -> Iterator[tuple[TableEntity, int]]:
    for number, line in enumerate(read_lines(folder, table), start=1):
        try:
            yield from_line(line), len(line)
        except UnreadableError as error:
            raise BackupError(f"Line {number} of {table} {error}") from error
