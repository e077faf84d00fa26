"""Names from outside stay text, whatever they hold, how long they are and in which direction they run."""

import json
from typing import Any

import pytest
from playwright.sync_api import Route

from tests.console.conftest import Watched

_FITS = "() => document.documentElement.scrollWidth <= document.documentElement.clientWidth"
NAMES = (
    "<img src=x onerror=\"document.title='broken'\">",
    "<script>document.title='broken'</script>",
    "javascript:document.title='broken'",
    '"><svg onload="document.title=\'broken\'">',
    "${document.title='broken'} {{7*7}}",
    "\u202egnp.eciovni\u202c \u2067שלום\u2069",
    "مرحبا بالعالم",
    "W" * 4000,
    "한국어 🧑‍🚀 e\u0301\u0323" * 20,
)


@pytest.mark.parametrize(("many", "field"), [("assets", "name"), ("users", "name"), ("tickets", "summary")])
def test_hostile_names_in_lists_are_text(screen: Watched, many: str, field: str) -> None:
    def hostile(route: Route) -> None:
        page: Any = route.fetch().json()
        like = page["items"][0]
        page["items"] = [
            {**like, "id": f"{number}:{name[:60]}", field: name, "scope": name, "site": name, "partition": name}
            for number, name in enumerate(NAMES)
        ]
        route.fulfill(json={**page, "next": None})

    screen.page.route(f"**/api/v1/{many}?*", hostile)
    screen.open(many)
    shown = screen.page.locator("tbody tr[data-row] th bdi").all_text_contents()
    assert shown == list(NAMES)
    assert screen.page.title() != "broken"
    assert screen.page.locator("main img, main script, tbody svg").count() == 0
    assert screen.page.evaluate(_FITS)
    assert screen.violations() == []
    # A link leads to a screen of the console, whatever the id.
    assert all(
        link.startswith("#/")
        for link in screen.page.locator("tbody a").evaluate_all("all => all.map(a => a.getAttribute('href'))")
    )


def test_hostile_texts_of_one_asset_stay_text_and_lead_back(screen: Watched) -> None:
    for number, name in enumerate(NAMES):
        made = {"id": f"HOSTILE-{number}", "fields": {"name": name[:900]}}
        screen.api("POST", "assets", made)
        screen.open(f"asset/manual:HOSTILE-{number}")
        assert screen.page.locator("main h1 bdi").text_content() == name[:900].strip()
        assert screen.page.locator("main img, main script").count() == 0
        assert screen.page.evaluate(_FITS)
    assert "broken" not in screen.page.title()


def test_hostile_refusals_stay_text(screen: Watched) -> None:
    for name in NAMES:
        problem = {
            "type": "x",
            "status": 400,
            "reason": "parameter_invalid",
            "detail": name,
            "remedy": name,
            "faults": [{"path": name, "message": name}],
        }

        def refuse(route: Route, *, problem: dict[str, Any] = problem) -> None:
            route.fulfill(status=400, content_type="application/problem+json", body=json.dumps(problem))

        screen.page.route("**/api/v1/audit?*", refuse)
        screen.open("overview")
        screen.open("audit")
        assert name in (screen.page.locator(".problem").text_content() or "")
        assert screen.page.locator(".problem img, .problem script, .problem svg").count() == 0
        screen.page.unroute("**/api/v1/audit?*")


def test_the_policy_refuses_markup_from_text_even_if_a_module_tried(screen: Watched) -> None:
    screen.open("overview")
    tried = "() => { try { document.body.innerHTML = '<p>x</p>'; return 'done' } catch (error) { return error.name } }"
    assert screen.page.evaluate(tried) == "TypeError"
    screen.faults.clear()
