"""`make pictures`: the console's main screens as the lab shows them, into docs/images."""

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from lab.api_tester import desk_at_work
from lab.browser import chromium
from lab.desk import ROOT

FOLDER = ROOT / "docs" / "images"
SCREENS = {"overview": "overview", "timeline": "timeline"}

# Nothing is read any more.
_SETTLED = """() => document.querySelector('main h1') && !document.querySelector('[aria-busy=true]') &&
    !/(Reading|Opening) …/.test(document.body.innerText)"""


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    with desk_at_work() as desk, sync_playwright() as playwright, chromium(playwright) as browser:
        page = browser.new_page(viewport={"width": 1180, "height": 720}, timezone_id="Europe/London", locale="en-GB")
        page.goto(f"{desk.url}/api/console/#token={desk.tokens['administrator']}")
        page.wait_for_selector("nav")
        asset = desk.call("GET", "/api/v1/assets?limit=1")["items"][0]["id"]
        for name, place in {**SCREENS, "asset": f"asset/{asset}"}.items():
            page.goto(f"{desk.url}/api/console/#/{place}")
            page.wait_for_function(_SETTLED)
            path: Path = FOLDER / f"console-{name}.png"
            page.screenshot(path=path)
            print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
