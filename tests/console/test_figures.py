"""What the guides' figures do, done in the console by keyboard alone; docs/console.md counts the keys."""

import re
from collections.abc import Callable

import pytest

from lab.desk import ROOT
from tests.console.conftest import Watched

PAGE = ROOT / "docs" / "console.md"
# What scrolls can be focused too, and its text is that of all within.
_FOCUSED = """() => [document.activeElement.getAttribute('aria-label'), document.activeElement.name,
    document.activeElement.matches('a, button, summary') && document.activeElement.innerText,
    document.activeElement.id].filter(Boolean).join('|')"""


class Keys:
    """A keyboard, and how many times something was pressed or typed."""

    def __init__(self, screen: Watched) -> None:
        self.screen, self.pressed = screen, 0

    def press(self, key: str) -> None:
        self.screen.page.keyboard.press(key)
        self.pressed += 1

    def type(self, text: str) -> None:
        self.screen.page.keyboard.insert_text(text)
        self.pressed += 1

    def to(self, wanted: str, *, back: bool = False) -> None:
        """Tab until what is focused has this text or name, and see that it is: it counts as one."""
        for _ in range(120):
            self.screen.page.keyboard.press("Shift+Tab" if back else "Tab")
            found = self.screen.page.evaluate(_FOCUSED)
            if re.search(wanted, found):
                outline = self.screen.page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
                assert outline != "none", f"{wanted} is focused and nobody sees it"
                self.pressed += 1
                return
        raise AssertionError(f"no Tab leads to {wanted}")

    def wait(self, text: str) -> None:
        self.screen.page.get_by_text(text).first.wait_for()
        self.screen.settled()


def look_at_a_ticket_and_take_it(keys: Keys) -> None:
    # Key Vault, figure 4: the ticket that an event made, and somebody who works on it.
    keys.screen.open("overview")
    keys.to(r"^Tickets$")
    keys.press("Enter")
    keys.wait("shown")
    keys.to("expired on")
    keys.press("Enter")
    keys.wait("Why it is there")
    keys.to("assignee")
    keys.press("Control+a")
    keys.type("kim")
    keys.press("Enter")
    keys.wait("Saved.")


def snooze_a_ticket(keys: Keys) -> None:
    keys.screen.open("tickets?q=build-token&state=all")
    keys.to("build-token")
    keys.press("Enter")
    keys.wait("Why it is there")
    keys.to("^Snooze$")
    keys.press("Enter")
    keys.to("note")
    keys.type("The supplier comes on Monday.")
    keys.press("Enter")
    keys.wait("Snoozed until")


def resolve_many(keys: Keys) -> None:
    keys.screen.open("tickets?kind=access_policy")
    keys.to("Choose all")
    keys.press("Space")
    keys.to("^Resolve$", back=True)
    keys.press("Enter")
    keys.wait("Status")
    keys.to("^note")
    keys.type("As agreed.")
    keys.press("Enter")
    keys.wait("No ticket is so.")


def preview_and_start(keys: Keys) -> None:
    # AWS Figure 10: the preview, and the import of exactly that.
    keys.screen.open("imports")
    keys.to("Preview acorn")
    keys.press("Enter")
    keys.wait("Start exactly this plan")
    keys.to("Start exactly this plan")
    keys.press("Enter")
    keys.wait("What changed since the preview")
    keys.to("^Start$")
    keys.press("Enter")
    keys.wait("Import of acorn")


def try_a_tenant(keys: Keys) -> None:
    # AWS Figure 2: Test configuration.
    keys.screen.open("imports")
    keys.to("Test acorn")
    keys.press("Enter")
    keys.wait("All is well")
    keys.press("Enter")
    keys.screen.page.get_by_role("dialog").wait_for(state="detached")


def see_why_an_asset_is_so(keys: Keys) -> None:
    # AWS Figures 5 to 9b: which rule gave type and site.
    keys.screen.open("assets")
    keys.to("ACORN|STJ")
    keys.press("Enter")
    keys.wait("Why this type, why this site")
    keys.wait("matched")


def change_a_field_and_give_it_back(keys: Keys) -> None:
    keys.screen.open("assets")
    keys.to("ACORN|STJ")
    keys.press("Enter")
    keys.wait("Why this type")
    keys.to("Change Name")
    keys.press("Enter")
    keys.wait("Imports leave it alone")
    keys.press("Control+a")
    keys.type("Typed by hand")
    keys.press("Enter")
    keys.wait("a person")
    keys.to("Release Name")
    keys.press("Enter")
    keys.wait("Saved.")


def find_a_user(keys: Keys) -> None:
    # AuthRocket Figures 8 to 10: the users that came, with their state.
    keys.screen.open("users")
    keys.to(r"^q\|field")
    keys.type("lukasz")
    keys.press("Enter")
    keys.screen.settled()
    keys.to("Wiśniewski")
    keys.press("Enter")
    keys.wait("Where it stands")


def sweep_now(keys: Keys) -> None:
    keys.screen.open("sweeps")
    keys.to("Sweep now")
    keys.press("Enter")
    keys.wait("empty sweeps all")
    keys.press("Enter")
    keys.wait("Sweep of")


FIGURES: dict[str, Callable[[Keys], None]] = {
    "Look at a ticket and take it (Key Vault, figure 4)": look_at_a_ticket_and_take_it,
    "Snooze a ticket with a reason": snooze_a_ticket,
    "Resolve many tickets at once": resolve_many,
    "Test an AWS tenant (AWS, figures 2 and 3)": try_a_tenant,
    "Preview, and start exactly that plan (AWS, figure 10)": preview_and_start,
    "See why an asset has its type and site (AWS, figures 5 to 9b)": see_why_an_asset_is_so,
    "Change a field by hand and give it back": change_a_field_and_give_it_back,
    "Find a user and look at it (AuthRocket, figures 8 to 10)": find_a_user,
    "Sweep all vaults now": sweep_now,
}


def counted() -> dict[str, int]:
    """The table of docs/console.md."""
    rows = re.findall(r"^\| ([^|]+) \| (\d+) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    return {name.strip(): int(number) for name, number in rows}


@pytest.mark.parametrize("figure", FIGURES)
def test_a_figure_is_done_by_keyboard_in_as_many_steps_as_the_page_says(screen: Watched, figure: str) -> None:
    keys = Keys(screen)
    FIGURES[figure](keys)
    assert keys.pressed == counted()[figure]


def test_the_page_counts_every_figure_and_no_other() -> None:
    assert counted().keys() == FIGURES.keys()
