"""People in a simulation: they look before they do, and look again when an answer does not come."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from lab.faults.clients import Clients
from lab.faults.flows import Flow
from lab.faults.host import Called, Host, request
from lab.faults.scenario import REALM_ID, ConcurrentEdit, Edit
from shared.storage.names import ASSETS_TABLE, TICKETS_TABLE, USERS_TABLE

# What a person does when an answer is late or wrong: looks again after this long, in seconds.
PATIENCE = 600.0
# What passes: somebody else was faster, or a bad day.
PASSING = frozenset({412, 429, 500, 502, 503, 504})
# Where two people count: a field of text that an import sets too, and a ticket's assignee.
COUNTED = {"assets": "notes", "users": "last-name"}
_FEATURES = {ASSETS_TABLE: "assets", USERS_TABLE: "users"}
_IMPORTING = frozenset({Flow.ASSETS, Flow.USERS, Flow.USER_EVENT})
_WISHES: Sequence[dict[str, str]] = (
    {"status": "resolved"},
    {"assignee": "kim"},
    {"status": "in_progress", "assignee": "jim"},
    {"priority": "critical", "team": "Platform"},
)
_WHILE_BUSY: Sequence[dict[str, str]] = ({"status": "resolved"}, {"status": "closed"}, {"priority": "high"})
_WITHDRAWN = {"status": None, "priority": None, "team": None, "assignee": None}


@dataclass
class People:
    """Everybody who works with the desk. `notes` are the texts that somebody saw written, or means to."""

    clients: Clients
    notes: list[str] = field(default_factory=list[str])
    _won: dict[tuple[str, int], str] = field(default_factory=dict[tuple[str, int], str])
    _held: set[str] = field(default_factory=set[str])

    @property
    def _host(self) -> Host:
        return self.clients.host

    # Records

    def edit(self, edit: Edit) -> None:
        """Look at the record, change it as it is now, and again until the desk has it so."""
        record = (
            f"aws:{edit.part}:{edit.record}" if edit.feature == "assets" else f"authrocket:{REALM_ID}:{edit.record}"
        )
        steps: list[dict[str, Any]] = [{"fields": dict(edit.fields)}]
        if edit.releases:
            steps.append({"release": list(edit.fields)})
        self._step(*_desk(edit.feature), record, steps)

    def edit_concurrently(self, contest: ConcurrentEdit) -> None:
        """Two people count one field up, both at once."""
        for person in ("jim", "kim"):
            self._host.after(0, partial(self._count_up, contest, person))

    def interfere(self, table: str, partition_key: str, row_key: str) -> None:
        """Perhaps count in a record just when an import has read it and is about to write it."""
        host, disturbances = self._host, self._host.disturbances
        if host.simulation.doing not in _IMPORTING or table not in _FEATURES or ":" not in partition_key:
            return
        if disturbances.happens("people", disturbances.rates.interference, ("count meanwhile",)):
            self.edit_concurrently(ConcurrentEdit(host.simulation.at, _FEATURES[table], f"{partition_key}:{row_key}"))
            host.simulation.sleep(0.05)

    def release_fields(self, contest: ConcurrentEdit) -> None:
        """What they counted is the import's again."""
        self._step(*_desk(contest.feature), contest.record, [{"release": [COUNTED[contest.feature]]}])

    def _count_up(self, contest: ConcurrentEdit, person: str) -> None:
        show, change = _desk(contest.feature)
        name, route = COUNTED[contest.feature], {"id": contest.record}
        shown = self._call(show, request("GET", route=route))
        if self.clients.status(shown) != 200:
            return
        number = _number_in(json.loads(shown.answer.get_body())["fields"].get(name)) + 1
        headers = {"If-Match": shown.answer.headers["ETag"], "X-MS-CLIENT-PRINCIPAL-NAME": person}
        body = {"fields": {name: f"count {number} by {person}"}}
        if contest.record not in self._held:
            self._held.add(contest.record)
            self._host.at(self.clients.scenario.calm_from + timedelta(hours=6), partial(self.release_fields, contest))
        changed = self._call(change, request("PATCH", route=route, body=body, headers=headers))
        self._counted(contest.record, number, person, self.clients.status(changed))

    def _counted(self, what: str, number: int, person: str, status: int | None) -> None:
        """Of those who counted on from the same number, one at most was told that it is written."""
        if status == 200:
            first = self._won.setdefault((what, number), person)
            if first != person:
                self.clients.complaints.append(f"A change was lost: {first} and {person} both made {what} {number}")
        elif status is not None and status not in PASSING:
            self.clients.complaints.append(f"{person}'s change of {what} was answered {status}")

    def _step(
        self, show: Callable[..., Any], change: Callable[..., Any], record: str, steps: list[dict[str, Any]]
    ) -> None:
        def later() -> None:
            self._host.after(PATIENCE, lambda: self._step(show, change, record, steps))

        route = {"id": record}
        shown = self._call(show, request("GET", route=route))
        if self.clients.status(shown) != 200:
            later()
            return
        content, etag = json.loads(shown.answer.get_body()), shown.answer.headers["ETag"]
        step = steps[0]
        held = set(content["locked_fields"])
        step = {**step, "release": [name for name in step.get("release", ()) if name in held]}
        if not step.get("fields") and not step["release"]:
            return
        headers = {"If-Match": etag, "X-MS-CLIENT-PRINCIPAL-NAME": "jim"}
        changed = self._call(change, request("PATCH", route=route, body=step, headers=headers))
        status = self.clients.status(changed)
        if status is None or status in PASSING:
            later()
        elif status != 200:
            answer = self.clients.answers[-1][:300]
            self.clients.complaints.append(f"An edit of {record} was answered {status}: {answer}")
        elif len(steps) > 1:
            self._host.after(PATIENCE, lambda: self._step(show, change, record, steps[1:]))

    def _call(self, function: Callable[..., Any], asked: Any) -> Called:
        return self._host.call(Flow.RECORDS, "an edit", lambda: function(req=asked))

    # Tickets

    def work_on_tickets(self) -> None:
        """Look at the list, and have every ticket as its id says."""
        for ticket_id in self._listed(self.work_on_tickets):
            self._have(ticket_id, _WISHES[sum(map(ord, ticket_id)) % len(_WISHES)])

    def be_busy(self, number: int) -> None:
        """While events arrive: two people count in one ticket, one writes a note, one finishes another ticket."""
        listed = self._listed(lambda: None)
        if not listed:
            return
        first, second = (listed[place % len(listed)] for place in (number, number * 3 + 1))
        for person in ("jim", "kim"):
            self._host.after(0, partial(self._take_on, first, person))
        self._host.after(0, partial(self._note, second, f"note {number}: the supplier was asked"))
        self._host.after(0, lambda: self._finish(second, number))

    def withdraw_overrides(self) -> None:
        """Let all tickets stand as the events alone have them."""
        for ticket_id in self._listed(self.withdraw_overrides):
            self._have(ticket_id, _WITHDRAWN, blindly=True)

    def lost_notes(self) -> list[str]:
        """Notes that are not there as often as they were written: once."""
        texts = [row.text("text") for row in self.clients.tables.table(TICKETS_TABLE).rows.values()]
        counts = {note: texts.count(note) for note in self.notes}
        return [f"a note is there {count} times: {note!r}" for note, count in counts.items() if count != 1]

    def _finish(self, ticket_id: str, number: int) -> None:
        self._patch(ticket_id, _WHILE_BUSY[number % len(_WHILE_BUSY)], "kim")

    def _listed(self, again: Callable[[], None]) -> list[str]:
        from functions.api_tickets import list_tickets

        asked = request("GET", params={"limit": "200", "state": "all"})
        listed = self._host.call(Flow.TICKETS, "the list of tickets", lambda: list_tickets(req=asked))
        if self.clients.status(listed) != 200:
            self._host.after(PATIENCE, again)
            return []
        return sorted(str(item["id"]) for item in json.loads(listed.answer.get_body())["items"])

    def _shown(self, ticket_id: str) -> tuple[dict[str, Any], str] | None:
        from functions.api_tickets import show_ticket

        asked = request("GET", route={"id": ticket_id})
        shown = self._host.call(Flow.TICKETS, "a ticket", lambda: show_ticket(req=asked))
        if self.clients.status(shown) != 200:
            return None
        return json.loads(shown.answer.get_body()), shown.answer.headers["ETag"]

    def _patch(self, ticket_id: str, wanted: Mapping[str, Any], person: str, if_match: str = "*") -> int | None:
        from functions.api_tickets import change_ticket

        headers = {"If-Match": if_match, "X-MS-CLIENT-PRINCIPAL-NAME": person}
        asked = request("PATCH", route={"id": ticket_id}, body=dict(wanted), headers=headers)
        changed = self._host.call(Flow.TICKETS, "a change of a ticket", lambda: change_ticket(req=asked))
        status = self.clients.status(changed)
        if status not in PASSING | {200, None}:
            answer = self.clients.answers[-1][:300]
            self.clients.complaints.append(f"A change of {ticket_id} was answered {status}: {answer}")
        return status

    def _have(self, ticket_id: str, wanted: Mapping[str, Any], *, blindly: bool = False) -> None:
        again = partial(self._host.after, PATIENCE, partial(self._have, ticket_id, wanted, blindly=blindly))
        shown = self._shown(ticket_id)
        if shown is None:
            again()
            return
        present, etag = shown
        if not blindly and all(present.get(name) == value for name, value in wanted.items()):
            return
        status = self._patch(ticket_id, wanted, "operator", etag)
        if status is None or status in PASSING:
            again()

    def _take_on(self, ticket_id: str, person: str) -> None:
        shown = self._shown(ticket_id)
        if shown is None:
            return
        present, etag = shown
        number = _number_in(present.get("assignee")) + 1
        status = self._patch(ticket_id, {"assignee": f"count {number} by {person}"}, person, etag)
        self._counted(ticket_id, number, person, status)

    def _note(self, ticket_id: str, text: str, tries: int = 0) -> None:
        """A note, once: whoever hears nothing looks whether it is there."""
        from functions.api_tickets import add_ticket_note

        if text not in self.notes:
            self.notes.append(text)
        again = partial(self._host.after, PATIENCE, partial(self._note, ticket_id, text, tries + 1))
        shown = self._shown(ticket_id)
        if shown is None:
            again()
            return
        if any(note["text"] == text for note in shown[0]["notes"]):
            return
        asked = request("POST", route={"id": ticket_id}, body={"text": text})
        noted = self._host.call(Flow.TICKETS, "a note", lambda: add_ticket_note(req=asked))
        status = self.clients.status(noted)
        if status is None or status in PASSING:
            again()
        elif status != 201:
            answer = self.clients.answers[-1][:300]
            self.clients.complaints.append(f"A note to {ticket_id} was answered {status}: {answer}")


def _desk(feature: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    if feature == "assets":
        from functions.api_assets import edit_asset, show_asset

        return show_asset, edit_asset
    from functions.api_users import edit_user, show_user

    return show_user, edit_user


def _number_in(text: object) -> int:
    words = str(text or "").split()
    return int(words[1]) if len(words) > 1 and words[0] == "count" and words[1].isdigit() else 0
