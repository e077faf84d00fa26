"""What a reader sees when something goes wrong: offline, slow, throttled, forbidden, overtaken, no longer signed in."""

import json
from typing import Any

from playwright.sync_api import Browser, Route

from lab.desk import Desk
from tests.console.conftest import Watched, watching


def answer(route: Route, status: int, body: dict[str, Any], **headers: str) -> None:
    route.fulfill(
        status=status,
        headers={"Content-Type": "application/problem+json", **{n.replace("_", "-"): v for n, v in headers.items()}},
        body=json.dumps({"type": "urn:deskbridge:reason:x", "status": status, **body}),
    )


def test_offline_is_said_and_what_was_read_stays(screen: Watched) -> None:
    screen.open("tickets")
    rows = screen.page.locator("tbody tr[data-row]").count()
    assert rows > 5
    screen.page.context.set_offline(True)
    screen.page.wait_for_selector(".offline[role=alert]")
    screen.page.get_by_role("button", name="Read again").click()
    problem = screen.page.locator(".problem")
    problem.wait_for()
    assert "cannot be reached" in problem.inner_text()
    assert screen.page.locator("tbody tr[data-row]").count() == rows
    screen.page.context.set_offline(False)
    problem.wait_for(state="detached")
    assert not screen.page.locator(".offline").is_visible()


def test_a_screen_that_was_never_opened_says_so_offline(screen: Watched) -> None:
    screen.open("overview")
    screen.page.context.set_offline(True)
    screen.page.get_by_role("link", name="Audit trail").click()
    screen.page.get_by_text("The screen could not be loaded").wait_for()
    screen.page.context.set_offline(False)
    # The lost request of the module is what was provoked.
    screen.faults.clear()


def test_what_is_throttled_or_down_is_told_with_its_remedy_and_tried_again_by_itself(screen: Watched) -> None:
    for status, headers in ((429, {}), (503, {"Retry_After": "1"})):
        screen.open("overview")
        failing = [True]

        def refuse(
            route: Route, *, status: int = status, headers: dict[str, str] = headers, on: list[bool] = failing
        ) -> None:
            if on:
                on.clear()
                if status == 429:
                    # The host's own answer has no body.
                    route.fulfill(status=429, body="")
                    return
                body = {"reason": "storage_unavailable", "title": "It may succeed later", "remedy": "Wait a moment."}
                answer(route, status, body, **headers)
            else:
                route.continue_()

        screen.page.route("**/api/v1/assets?*", refuse)
        screen.page.get_by_role("link", name="Assets", exact=True).click()
        screen.page.locator(".problem").wait_for()
        assert "What to do:" in screen.page.locator(".problem").inner_text()
        assert "tried again by itself" in screen.page.locator(".problem").inner_text()
        screen.page.locator("tbody tr[data-row]").first.wait_for(timeout=15_000)
        assert screen.page.locator(".problem").count() == 0
        screen.page.unroute("**/api/v1/assets?*")


def test_a_slow_network_shows_that_it_reads(screen: Watched) -> None:
    screen.open("overview")
    waiting: list[Route] = []
    screen.page.route("**/api/v1/users?*", lambda route, *_: waiting.append(route))
    screen.page.get_by_role("link", name="Users", exact=True).click()
    screen.page.get_by_text("Reading …").wait_for()
    assert screen.page.locator("main h1").inner_text() == "Users"
    waiting[0].continue_()
    screen.page.locator("tbody tr[data-row]").first.wait_for()
    assert screen.page.get_by_text("Reading …").count() == 0


def test_a_token_that_was_revoked_leads_to_the_sign_in_with_the_reason(screen: Watched) -> None:
    token = screen.api("POST", "tokens", {"name": "leaves", "role": "reader"})["token"]
    screen.open("overview", token=token)
    screen.page.route(
        "**/api/v1/tickets?*", lambda route: answer(route, 401, {"reason": "access_token_revoked", "title": "Revoked"})
    )
    screen.page.get_by_role("link", name="Tickets", exact=True).click()
    screen.page.get_by_text("no longer accepts this sign-in").wait_for()
    assert screen.page.locator("input[name=token]").is_visible()
    assert screen.page.evaluate("() => sessionStorage.length") == 0


def test_a_wrong_token_is_refused_in_words_and_a_good_one_opens(screen: Watched) -> None:
    screen.page.goto(f"{screen.desk.url}/api/console/")
    field = screen.page.get_by_label("Access token")
    field.fill("desk_wrong")
    field.press("Enter")
    screen.page.locator(".problem").first.wait_for()
    field.fill(screen.desk.tokens["reader"])
    field.press("Enter")
    screen.page.wait_for_selector("nav")
    screen.page.get_by_role("heading", name="Overview").wait_for()


def test_where_entra_signs_in_there_is_its_button_and_no_field_for_a_token(screen: Watched) -> None:
    for body in ("", json.dumps({"type": "x", "status": 401, "reason": "access_tokens_off"})):
        screen.page.route("**/api/v1/me", lambda route, *, body=body: route.fulfill(status=401, body=body))
        screen.page.goto("about:blank")
        screen.page.goto(f"{screen.desk.url}/api/console/")
        link = screen.page.get_by_role("link", name="Sign in with Microsoft")
        link.wait_for()
        assert link.get_attribute("href") == "/.auth/login/aad?post_login_redirect_uri=%2Fapi%2Fconsole%2F"
        assert screen.page.locator("input[name=token]").count() == 0
        screen.page.unroute("**/api/v1/me")


def test_the_tokens_link_leaves_no_token_in_the_address_or_the_history(screen: Watched) -> None:
    screen.open("tickets")
    assert screen.page.url.endswith("/api/console/#/tickets")
    assert "desk_" not in screen.page.evaluate("() => JSON.stringify(localStorage) + document.cookie")
    screen.page.go_back()
    assert screen.page.url == "about:blank"


def test_what_somebody_else_changed_meanwhile_is_shown_beside_mine(screen: Watched) -> None:
    ticket = screen.api("GET", "tickets?limit=1&state=open")["items"][0]["id"]
    screen.open(f"ticket/{ticket}")
    screen.api("PATCH", f"tickets/{ticket}", {"assignee": "kim"}, If_Match="*")
    screen.page.get_by_label("Assignee").fill("ann")
    screen.page.get_by_role("button", name="Save", exact=True).click()
    dialog = screen.page.get_by_role("dialog")
    dialog.wait_for()
    assert "Somebody changed it meanwhile" in dialog.inner_text()
    assert "kim" in dialog.inner_text()
    assert "ann" in dialog.inner_text()
    dialog.get_by_role("button", name="Save mine over it").click()
    dialog.wait_for(state="detached")
    assert screen.api("GET", f"tickets/{ticket}")["assignee"] == "ann"


def test_a_reader_sees_nothing_that_writes(screen: Watched) -> None:
    for place in ("tickets", "assets", "users", "imports", "sweeps", "quarantine"):
        screen.open(place, "reader")
        names = screen.page.locator("main button").all_inner_texts()
        assert set(names) <= {"Read again", "Read more", "Apply"}, place
    screen.open("overview", "reader")
    assert screen.page.get_by_role("link", name="Audit trail").count() == 0
    assert {method for method, _ in screen.calls} == {"GET"}


def test_who_is_limited_to_customers_has_the_screens_of_theirs_alone(browser: Browser, desk: Desk) -> None:
    with watching(browser, desk) as screen:
        screen.api("PUT", "settings/customers/console", {"title": "Console"})
        made = screen.api("POST", "tokens", {"name": "limited", "role": "operator", "customers": ["console"]})
        screen.open("overview", token=made["token"])
        assert screen.page.locator("nav a").all_inner_texts() == [
            "Overview",
            "Expiry timeline",
            "Objects",
            "Tickets",
            "Assets",
            "Users",
        ]
        assert "console" in screen.page.locator(".who").inner_text()
        for place in ("tickets", "assets", "users", "objects", "timeline"):
            screen.open(place, token=made["token"])
            assert screen.page.locator(".problem").count() == 0, place
            assert screen.page.locator("tbody tr[data-row]").count() == 0
