"""The screen after a start: what went wrong, what is most urgent, where to look, and what to try. At most 40 lines."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from lab.desk import Desk
from lab.first_run import Figures

MOST_URGENT = 6
MOST_TROUBLES = 4
_WIDTH = 110
_PRIORITIES = ("critical", "high", "medium", "low")
_COLOURS = {"critical": "1;31", "high": "31", "medium": "33", "trouble": "1;31", "title": "1"}
_TO_TRY = (
    ("expire-secret backup-token", "a ticket is raised, as when Azure says that a secret has expired"),
    ("terminate-instance ACORN-LDN-WEB-01", "the next import deactivates its asset"),
    ("aws-fails", "an import fails in part, and says why and what to do"),
)


class Paint:
    """Colours, on a terminal only. NO_COLOR (https://no-color.org) turns them off."""

    def __init__(self, wanted: bool | None = None) -> None:
        at_terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")
        self._wanted = at_terminal if wanted is None else wanted

    def __call__(self, what: str, text: str) -> str:
        code = _COLOURS.get(what)
        return f"\x1b[{code}m{text}\x1b[0m" if code and self._wanted else text


def describe(desk: Desk, figures: Figures, paint: Paint) -> Iterator[str]:
    """What came of the first pass, most urgent first."""
    yield ""
    for trouble in figures.troubles[:MOST_TROUBLES]:
        yield paint("trouble", f"! {_cut(trouble, 4 * _WIDTH)}")
    if len(figures.troubles) > MOST_TROUBLES:
        yield f"  … and {len(figures.troubles) - MOST_TROUBLES} more: {desk.log}"
    tickets = [ticket for ticket in items(desk, "/api/v1/tickets") if not ticket["finished_at"]]
    yield paint("title", f"{len(tickets)} open tickets, most urgent first:")
    for ticket in sorted(tickets, key=_urgency)[:MOST_URGENT]:
        priority = paint(ticket["priority"], f"{ticket['priority']:<8}")
        yield f"  {priority}  {_when(ticket):<18}  {_cut(ticket['summary'], 60):<60}  {ticket['id']}"
    if len(tickets) > MOST_URGENT:
        yield f"  … and {len(tickets) - MOST_URGENT} more"
    yield f"{figures.rows['assets']} assets, {figures.rows['users']} users. {_written(figures)}"


def where_to_look(desk: Desk, paint: Paint) -> Iterator[str]:
    """Addresses to open, and three things to try."""
    yield ""
    yield paint("title", f"The desk is up at {desk.url} (Ctrl-C stops it and everything it started).")
    yield f"  console   {desk.console_link}"
    yield f"  API       ./lab/do get tickets, or: {desk.curl('/api/v1/tickets')}"
    yield f"            {desk.token_hint}"
    yield f"  calendar  {desk.url}/api/calendar/expiries.ics?token=…, with the token `calendar` of the same file"
    yield f"  health    {desk.url}/api/health"
    yield f"  its log   {desk.log}"
    yield paint("title", "Try, in another terminal:")
    for command, outcome in _TO_TRY:
        yield f"  ./lab/do {command:<36}  {outcome}"
    yield "  ./lab/do" + " " * 39 + "everything that there is to do"


def items(desk: Desk, address: str) -> Iterator[Mapping[str, Any]]:
    """All items of a list of the API, page by page."""
    after = ""
    while True:
        page = desk.call("GET", f"{address}?limit=200{after}")
        yield from page["items"]
        if not page["next"]:
            return
        after = f"&after={page['next']}"


def _urgency(ticket: Mapping[str, Any]) -> tuple[int, str]:
    return _PRIORITIES.index(ticket["priority"]), ticket["expires_at"] or "9999"


def _when(ticket: Mapping[str, Any]) -> str:
    if not ticket["expires_at"]:
        return f"since {ticket['opened_at'][:10]}"
    expired = datetime.fromisoformat(ticket["expires_at"]) <= datetime.now(UTC)
    return f"{'expired' if expired else 'expires'} {ticket['expires_at'][:10]}"


def _written(figures: Figures) -> str:
    if figures.changed_nothing:
        return "Nothing changed: every row is as the last run left it."
    written: Sequence[str] = [f"{count} in {table}" for table, count in figures.written.items() if count]
    return f"Rows written: {', '.join(written)}."


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
