"""The console in a real Chromium, on a whole desk of the lab. Whatever a page does is watched."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from lab.api_tester import desk_at_work
from lab.browser import chromium
from lab.desk import ROOT, Desk
from tests.api.calling import find

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
# A refusal that a test provokes is a line in the browser's console, and no fault of the page.
_REFUSED = "Failed to load resource"
_SETTLED = """() => !document.querySelector('[aria-busy=true]') &&
    !/(Reading|Opening) …/.test(document.body.innerText)"""


@dataclass
class Watched:
    """A page, and what it did that no page of the console may do; and each call of the API, as method and path."""

    page: Page
    desk: Desk
    faults: list[str] = field(default_factory=list)
    calls: set[tuple[str, str]] = field(default_factory=set)

    def open(self, place: str, role: str = "administrator", *, token: str = "") -> None:
        """Sign in by the one-click link and go to a screen."""
        # A page that is open already would show what it showed for a moment longer.
        self.page.goto("about:blank")
        value = token or self.desk.tokens[role]
        self.page.goto(f"{self.desk.url}/api/console/#token={value}&to={place.removeprefix('#/')}")
        self.page.wait_for_selector("h1")
        self.settled()

    def api(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """One call of the API as an administrator; `path` is what follows /api/v1/."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(  # noqa: S310 - the address is the lab's
            f"{self.desk.url}/api/v1/{path}",
            method=method,
            headers={"X-Api-Key": self.desk.tokens["administrator"], "Content-Type": "application/json", **given},
            data=None if body is None else json.dumps(body).encode(),
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - the address is the lab's
            return json.loads(answer.read() or "null")

    def settled(self) -> None:
        """Nothing is read any more."""
        self.page.wait_for_function(
            "() => !document.querySelector('[aria-busy=true]') && !/(Reading|Opening) …/.test(document.body.innerText)"
        )

    def violations(self) -> list[str]:
        """What axe finds wrong by WCAG 2.2 AA."""
        self.page.evaluate(AXE.read_text("utf-8"))
        found = self.page.evaluate("tags => axe.run({runOnly: tags})", WCAG)
        return [f"{one['id']}: {node['html'][:160]}" for one in found["violations"] for node in one["nodes"]]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = chromium(playwright)
        yield started
        started.close()


@pytest.fixture(scope="package")
def desk() -> Iterator[Desk]:
    with desk_at_work() as at_work:
        yield at_work


@contextmanager
def watching(browser: Browser, desk: Desk, **context: Any) -> Iterator[Watched]:
    """A page of its own, which must not have done anything wrong at its end."""
    with browser.new_context(viewport={"width": 1280, "height": 900}, **context) as opened:
        page = opened.new_page()
        page.set_default_timeout(20_000)
        watched = Watched(page, desk)
        own = urlsplit(desk.url).netloc

        def requested(request: Any) -> None:
            parts = urlsplit(request.url)
            if parts.scheme in {"http", "https"} and parts.netloc != own:
                watched.faults.append(f"asked {request.url}")
            if parts.path.startswith("/api/") and not parts.path.startswith("/api/console"):
                watched.calls.add((request.method, parts.path))

        page.on("request", requested)
        page.on("pageerror", lambda error: watched.faults.append(f"failed: {error}"))
        page.on(
            "console",
            lambda line: (
                watched.faults.append(f"wrote: {line.text}")
                if line.type in {"error", "warning"} and _REFUSED not in line.text
                else None
            ),
        )
        yield watched
        assert watched.faults == []
        # Nothing but the documented API, of which tests/access tries every endpoint with every role.
        for method, path in watched.calls:
            find(method, path.removeprefix("/api/"))


@pytest.fixture
def screen(browser: Browser, desk: Desk) -> Iterator[Watched]:
    with watching(browser, desk) as watched:
        yield watched
