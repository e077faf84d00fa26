"""What a lab keeps in its folder, `.lab`: emptied, read and named."""

import shutil
from pathlib import Path

from lab.running import NAME as RUNNING


def empty(folder: Path) -> None:
    """Remove all that a lab kept, but the claim on the folder."""
    for held in folder.iterdir():
        if held.is_dir():
            shutil.rmtree(held)
        elif held.name != RUNNING:
            held.unlink()


def short(path: Path) -> str:
    """As a person would type it here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
