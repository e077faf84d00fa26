"""What a lab keeps in its folder, `.lab`: emptied, read and named."""

import secrets
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


def kept_secret(path: Path) -> str:
    """A random text that is the same at every start of this folder."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32), "utf-8")
    return path.read_text("utf-8").strip()


def short(path: Path) -> str:
    """As a person would type it here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
