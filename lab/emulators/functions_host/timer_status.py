"""What is remembered of a timer between two starts of the host: one small file each."""

import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True)
class TimerStatus:
    """Aware moments; `last` is None until the first run."""

    last: datetime | None
    next: datetime
    last_updated: datetime


class TimerStatuses:
    """The files of all timers, in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def find(self, function_name: str) -> TimerStatus | None:
        """None when it never ran, or its file is damaged: then it starts anew, as after a first deployment."""
        try:
            document = json.loads(self._path(function_name).read_text(encoding="utf-8"))
            last = document["Last"]
            return TimerStatus(
                datetime.fromisoformat(last) if last else None,
                datetime.fromisoformat(document["Next"]),
                datetime.fromisoformat(document["LastUpdated"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def save(self, function_name: str, status: TimerStatus) -> None:
        path = self._path(function_name)
        new = path.with_suffix(".new")
        document = {
            "Last": status.last.isoformat() if status.last else None,
            "Next": status.next.isoformat(),
            "LastUpdated": status.last_updated.isoformat(),
        }
        new.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        os.replace(new, path)  # noqa: PTH105 - a kill leaves the old file or the new one, never half

    def _path(self, function_name: str) -> Path:
        return self._folder / f"{function_name}.json"
