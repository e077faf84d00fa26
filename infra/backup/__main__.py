"""`python -m infra.backup save|restore FOLDER`: copy the desk's tables into a folder, and back.

The account is DESKBRIDGE_TABLE_ENDPOINT (an output of the deployment; sign in with `az login`, with the role Storage
Table Data Contributor), or AZURE_STORAGE_CONNECTION_STRING (Azurite).
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from azure.core.exceptions import AzureError
from azure.data.tables import TableServiceClient

from infra.backup.folder import BackupError
from infra.backup.tables import restore, save
from shared.storage.names import TABLES


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _service() -> TableServiceClient:
    endpoint = os.environ.get("DESKBRIDGE_TABLE_ENDPOINT")
    if endpoint:
        from azure.identity import AzureCliCredential

        return TableServiceClient(endpoint=endpoint, credential=AzureCliCredential())
    connection_string = os.environ.get("AZURE_STORAGE_CONNECTION_STRING")
    if connection_string:
        return TableServiceClient.from_connection_string(connection_string)
    raise BackupError("Set DESKBRIDGE_TABLE_ENDPOINT (and `az login`), or AZURE_STORAGE_CONNECTION_STRING.")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m infra.backup", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    saving = commands.add_parser("save", help="copy all tables into a new folder")
    saving.add_argument("folder", type=Path)
    restoring = commands.add_parser("restore", help="write a folder's rows into the tables")
    restoring.add_argument("folder", type=Path)
    restoring.add_argument("--over", action="store_true", help="also when the tables hold rows: same keys are replaced")
    given = parser.parse_args(arguments)
    try:
        with _service() as service:
            if given.command == "save":
                save(service, TABLES, given.folder, _say)
            else:
                restore(service, given.folder, _say, over=given.over)
    except BackupError as error:
        _say(f"backup: {error}")
        return 1
    except (AzureError, OSError) as error:
        _say(f"backup: {type(error).__name__}: {error}")
        _say("Nothing is half done: save again into the same folder, or restore again with --over.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
