"""A Chromium of this machine for the console's tests and pictures: Debian's package, driven by Playwright."""

import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
# What a browser asks of the world by itself has no place in a test; and the sandbox needs rights that CI has not.
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
HOW_TO_INSTALL = (
    "The console is tested in a real Chromium, and there is none here. "
    "Install it (Debian, Ubuntu: apt-get install -y --no-install-recommends chromium) and try again."
)


def chromium(playwright: "Playwright") -> "Browser":
    """Start it. Raises RuntimeError that says how to install it."""
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        raise RuntimeError(HOW_TO_INSTALL)
    return playwright.chromium.launch(executable_path=path, args=list(_ARGUMENTS))
