"""The console: what 10,000 loaded rows cost a browser. Its files and rows come from here, not from a desk."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page, Route, sync_playwright

from bench.figures import Figure, Results
from bench.measuring import Effort
from functions.console.manifest import manifest
from lab.browser import chromium

GROUP = "Console"
ROWS = 10_000
LONGEST_TASK = 200.0
_AT = "https://desk.example"
# A task of the page of over 50 ms is a long one to a browser, and told with its length.
_WATCH = """() => { window.longest = 0; new PerformanceObserver(list => { for (const one of list.getEntries())
  window.longest = Math.max(window.longest, one.duration); }).observe({ type: 'longtask', buffered: true }); }"""
_ROWS = "() => Number(document.querySelector('table.list')?.getAttribute('aria-rowcount') || 0)"
_SHOWN = "() => document.querySelector('.foot')?.innerText || ''"


def _ticket(number: int) -> Mapping[str, Any]:
    return {
        "id": f"KV-{number:05}-BENCH",
        "summary": f"Secret password-{number} in vault-{number % 97} expires on 2027-01-01",
        "priority": ("low", "medium", "high", "critical")[number % 4],
        "status": "open",
        "snoozed_until": None,
        "expires_at": "2027-01-01T00:00:00Z",
        "scope": f"vault-{number % 97}",
        "team": "Platform",
        "assignee": None,
        "opened_at": "2026-11-01T00:00:00Z",
    }


def _answer(route: Route) -> None:
    parts = urlsplit(route.request.url)
    found = manifest()
    name = parts.path.removeprefix(f"/api/console/{found.folder}/")
    if name in found.files:
        route.fulfill(body=found.files[name].content, content_type=found.files[name].media_type)
    elif parts.path == "/api/console/":
        route.fulfill(body=found.page.content, content_type=found.page.media_type)
    elif parts.path == "/api/v1/me":
        route.fulfill(json={"name": "bench", "kind": "token", "role": "operator", "customers": None})
    else:
        begin = int(parse_qs(parts.query).get("after", ["0"])[0])
        end = min(ROWS, begin + 200)
        page = {"items": [_ticket(number) for number in range(begin, end)], "as_of": "2026-11-01T00:00:00Z"}
        body = json.dumps({**page, "next": None if end == ROWS else str(end)})
        route.fulfill(body=body, content_type="application/json")


def _longest_task(page: Page) -> float:
    page.route("**/*", _answer)
    page.goto(f"{_AT}/api/console/#/tickets")
    page.evaluate(_WATCH)
    page.wait_for_selector("tr[data-row]")
    while page.evaluate(_ROWS) != ROWS + 1:
        page.evaluate("() => scrollTo(0, document.body.scrollHeight)")
        page.wait_for_timeout(10)
    # Then as a reader goes through them: to the top, and down again in steps.
    for step in range(20):
        page.evaluate(f"() => scrollTo(0, document.body.scrollHeight * {step} / 20)")
        page.wait_for_timeout(20)
    if f"{ROWS:,} shown." not in page.evaluate(_SHOWN):
        raise RuntimeError("the list does not show all rows")
    return float(page.evaluate("() => window.longest"))


def measure(effort: Effort, results: Results) -> None:
    with sync_playwright() as playwright, chromium(playwright) as browser:
        rounds = 1 if effort.rounds < 3 else 3
        longest = []
        for _ in range(rounds):
            page = browser.new_page()
            longest.append(_longest_task(page))
            page.close()
    results.add(
        Figure(
            GROUP,
            f"longest task with {ROWS:,} rows loaded",
            min(longest),
            "ms",
            budget=LONGEST_TASK,
            note="absolute: of this machine; a task under 50 ms counts as 0",
        )
    )
