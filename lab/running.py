"""Which lab runs in a folder: one at a time, and where it answers."""

import fcntl
import json
import os
from pathlib import Path
from typing import IO, Any

NAME = "running.json"


class AlreadyUpError(RuntimeError):
    """Another process runs the lab of this folder. `url` is None while it is starting."""

    def __init__(self, process_id: int | None, url: str | None) -> None:
        self.process_id = process_id
        self.url = url
        super().__init__(f"the desk is up already at {url}" if url else "another start is under way in this folder")


class Running:
    """The claim on a folder. It ends with the process, however that ends; what it published then counts no more."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / NAME
        self._file: IO[str] | None = None
        self._known: dict[str, Any] = {}

    def claim(self) -> None:
        """Raises AlreadyUpError with what the other one published."""
        self._path.touch(mode=0o600)
        file = self._path.open("r+", encoding="utf-8")
        if not _locked(file):
            known = _read(file)
            file.close()
            raise AlreadyUpError(known.get("process_id"), known.get("url"))
        self._file = file
        self.publish(process_id=os.getpid())

    def publish(self, **known: Any) -> None:
        """Add to what others may know: `url`, and how to reach `./lab/do`."""
        assert self._file is not None
        self._known |= known
        self._file.seek(0)
        self._file.truncate()
        json.dump(self._known, self._file)
        self._file.flush()

    def release(self) -> None:
        file, self._file = self._file, None
        if file:
            file.truncate(0)
            file.close()


def running_in(folder: Path) -> dict[str, Any]:
    """What the lab that runs in a folder published; empty when none runs."""
    try:
        file = (folder / NAME).open("r+", encoding="utf-8")
    except OSError:
        return {}
    with file:
        return {} if _locked(file) else _read(file)


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _read(file: IO[str]) -> dict[str, Any]:
    try:
        known: dict[str, Any] = json.load(file)
    except ValueError:
        # It is being written at this moment.
        return {}
    return known
