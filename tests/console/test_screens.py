"""Every screen: axe finds nothing, in both themes; nothing overflows at a phone's width; nothing foreign is asked."""

import json

import pytest
from playwright.sync_api import Browser

from lab.desk import ROOT, Desk
from shared.tickets.domain.model import TicketKind
from tests.console.conftest import Watched, watching

SCREENS = (
    "overview",
    "timeline",
    "objects",
    "tickets",
    "assets",
    "users",
    "imports",
    "sweeps",
    "quarantine",
    "audit",
    "health",
)
# Elements that make the page wider than the window; what scrolls in itself does not.
_OVERFLOWS = """() => document.documentElement.scrollWidth <= document.documentElement.clientWidth ? [] :
  [...document.querySelectorAll('main *, header *')].filter(one => !one.closest('.scroller') &&
    one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map(one => one.outerHTML.slice(0, 120))"""


def first(desk: Desk, many: str) -> str:
    return str(desk.call("GET", f"/api/v1/{many}?limit=1")["items"][0]["id"])


def places(desk: Desk) -> list[str]:
    """The address of every screen, with one thing of each kind."""
    one = {"object": "objects", "ticket": "tickets", "asset": "assets", "user": "users", "run": "runs"}
    return [*SCREENS, *(f"{name}/{first(desk, many)}" for name, many in one.items()), "nowhere"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_on_any_screen(browser: Browser, desk: Desk, theme: str) -> None:
    with watching(browser, desk, color_scheme=theme) as screen:
        for place in places(desk):
            screen.open(place)
            assert screen.violations() == [], place


def test_the_page_of_somebody_who_is_not_signed_in_is_as_good(screen: Watched) -> None:
    screen.page.goto(f"{screen.desk.url}/api/console/")
    screen.page.wait_for_selector("input[name=token]")
    assert screen.violations() == []


@pytest.mark.parametrize("forced", ["none", "active"])
def test_nothing_overflows_at_400_percent_or_on_a_phone(browser: Browser, desk: Desk, forced: str) -> None:
    with watching(browser, desk, forced_colors=forced) as screen:
        screen.page.set_viewport_size({"width": 320, "height": 640})
        for place in places(desk):
            screen.open(place)
            assert screen.page.evaluate(_OVERFLOWS) == [], place
            assert screen.page.locator("h1").first.inner_text().strip()


def test_each_screen_has_its_title_and_says_where_one_is(screen: Watched) -> None:
    for place in SCREENS:
        screen.open(place)
        heading = screen.page.locator("main h1").inner_text()
        assert screen.page.title() == f"{heading} – Deskbridge"
        assert screen.page.locator("nav a[aria-current=page]").inner_text() == heading


def test_a_first_load_is_small(screen: Watched) -> None:
    sizes: dict[str, int] = {}
    screen.page.on(
        "response",
        lambda answer: sizes.update(
            {answer.url: int(answer.headers.get("content-length") or len(answer.body()))}
            if "/api/console" in answer.url and answer.status == 200
            else {}
        ),
    )
    screen.open("overview")
    from functions.console.manifest import manifest

    found = manifest()
    names = {url.split("#")[0].rpartition(f"/{found.folder}/")[2] for url in sizes}
    sent = len(found.page.compressed) + sum(len(found.files[name].compressed) for name in names & found.files.keys())
    assert {"main.js", "console.css", "vendor/preact-htm.js", "screens/overview.js"} <= names
    assert sent <= 60 * 1024


def test_every_screen_of_the_console_is_looked_at_here() -> None:
    text = (ROOT / "functions" / "console" / "web" / "screens.js").read_text("utf-8")
    names = {line.split(":")[0].strip() for line in text.splitlines() if "load: () => import(" in line}
    assert names == {*SCREENS, "object", "ticket", "asset", "user", "run", "sweep"}, json.dumps(sorted(names))


def test_every_kind_of_ticket_can_be_filtered_by() -> None:
    text = (ROOT / "functions" / "console" / "web" / "screens" / "tickets.js").read_text("utf-8")
    assert [kind for kind in TicketKind if f'"{kind}"' not in text] == []
