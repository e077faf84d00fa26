"""Who calls the desk in a simulation: Event Grid, which tries again for a day, and people, who look before they do."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from lab.event_grid.subscription import basic_authorization
from lab.faults.far_sides import SECRETS, WEBHOOK_USER
from lab.faults.host import Called, Host, Outputs, request
from lab.faults.story import REALM_ID, TENANT, Edit, Event
from shared.storage.names import EVENTS_QUEUE, IMPORT_PARTS_QUEUE

# As Event Grid's documentation has them, in seconds; then every hour or so.
_RETRIES = (10, 30, 60, 300, 600, 1800, 3600)
# What a person does when an answer is late or wrong: looks again after this long.
_PATIENCE = 600.0
_WISHES: Sequence[dict[str, str]] = (
    {"status": "resolved"},
    {"assignee": "kim"},
    {"status": "in_progress", "assignee": "jim"},
    {"priority": "critical", "team": "Platform"},
)
_PASSING = frozenset({412, 429, 500, 502, 503, 504})


@dataclass
class Clients:
    """`answers` is all that the desk answered; `complaints` is what no client should ever meet."""

    host: Host
    answers: list[str] = field(default_factory=list[str])
    complaints: list[str] = field(default_factory=list[str])
    applied: list[str] = field(default_factory=list[str])

    def deliver(self, batch: Sequence[Event], door: str, tries: int = 0) -> None:
        """Event Grid: through the webhook until it is taken, or into the queue."""
        if door == "queue":
            self.host.send(EVENTS_QUEUE, [json.dumps(event) for event in batch])
            return
        from functions.key_vault_events import receive_key_vault_events

        headers = {
            "aeg-event-type": "Notification",
            "Authorization": basic_authorization(WEBHOOK_USER, SECRETS["webhook"]),
        }
        sent = request("POST", body=list(batch), headers=headers)
        status = self._status(self.host.call("webhook", lambda: receive_key_vault_events(req=sent)))
        if status == 200:
            return
        if status is not None and status < 500:
            self.complaints.append(f"Event Grid drops a delivery that was answered {status}: {batch}")
            return
        wait = _RETRIES[min(tries, len(_RETRIES) - 1)]
        self.host.after(wait, lambda: self.deliver(batch, door, tries + 1))

    def edit(self, edit: Edit) -> None:
        """A person: look at the record, change it as it is now, and again until the desk has it so."""
        if edit.feature == "assets":
            from functions.api_assets import edit_asset as change
            from functions.api_assets import show_asset as show

            record = f"aws:{edit.part}:{edit.thing}"
        else:
            from functions.api_users import edit_user as change
            from functions.api_users import show_user as show

            record = f"authrocket:{REALM_ID}:{edit.thing}"
        steps: list[dict[str, Any]] = [{"fields": dict(edit.fields)}]
        if edit.releases:
            steps.append({"release": list(edit.fields)})
        self._step(show, change, record, steps)

    def preview_and_apply(self) -> None:
        """A person: preview the import, wait for its end, and have exactly that written."""
        run = self._start({"preview": True})
        if run is not None:
            self.host.after(_PATIENCE, lambda: self._apply(run, 0))

    def work_on_tickets(self) -> None:
        """People: look at the list, and have every ticket as its id says."""
        from functions.api_tickets import list_tickets

        sent = request("GET", params={"limit": "200"})
        listed = self.host.call("tickets", lambda: list_tickets(req=sent))
        if self._status(listed) != 200:
            self.host.after(_PATIENCE, self.work_on_tickets)
            return
        for item in json.loads(listed.answer.get_body())["items"]:
            self._change_ticket(str(item["id"]))

    def _change_ticket(self, ticket_id: str) -> None:
        from functions.api_tickets import change_ticket, show_ticket

        wanted = _WISHES[sum(map(ord, ticket_id)) % len(_WISHES)]
        again = partial(self.host.after, _PATIENCE, partial(self._change_ticket, ticket_id))
        route = {"id": ticket_id}
        shown = self.host.call("ticket", lambda: show_ticket(req=request("GET", route=route)))
        if self._status(shown) != 200:
            again()
            return
        present = json.loads(shown.answer.get_body())
        if all(present.get(name) == value for name, value in wanted.items()):
            return
        headers = {"If-Match": shown.answer.headers["ETag"]}
        changed = self.host.call(
            "ticket", lambda: change_ticket(req=request("PATCH", route=route, body=wanted, headers=headers))
        )
        status = self._status(changed)
        if status is None or status in _PASSING:
            again()
        elif status != 200:
            self.complaints.append(f"A change of {ticket_id} was answered {status}: {self.answers[-1][:300]}")

    def replay_quarantine(self) -> None:
        """An operator: have what the queue gave up on recorded, now that all is well."""
        from functions.api_event_care import list_quarantine, replay_quarantined

        listed = self.host.call("quarantine", lambda: list_quarantine(req=request("GET")))
        if self._status(listed) != 200:
            self.complaints.append(f"The quarantine cannot be listed: {self.answers[-1][:300]}")
            return
        for item in json.loads(listed.answer.get_body())["items"]:
            sent = request("POST", route={"id": item["id"]})
            replayed = self.host.call("replay", partial(replay_quarantined, req=sent))
            if self._status(replayed) != 200:
                self.complaints.append(f"A quarantined event cannot be replayed: {self.answers[-1][:300]}")

    # Within

    def _step(
        self, show: Callable[..., Any], change: Callable[..., Any], record: str, steps: list[dict[str, Any]]
    ) -> None:
        def later() -> None:
            self.host.after(_PATIENCE, lambda: self._step(show, change, record, steps))

        route = {"id": record}
        shown = self.host.call("edit", lambda: show(req=request("GET", route=route)))
        if self._status(shown) != 200:
            later()
            return
        content, etag = json.loads(shown.answer.get_body()), shown.answer.headers["ETag"]
        step = steps[0]
        held = set(content["held_by_a_person"])
        step = {**step, "release": [name for name in step.get("release", ()) if name in held]}
        if not step.get("fields") and not step["release"]:
            return
        headers = {"If-Match": etag, "X-MS-CLIENT-PRINCIPAL-NAME": "jim"}
        changed = self.host.call("edit", lambda: change(req=request("PATCH", route=route, body=step, headers=headers)))
        status = self._status(changed)
        if status is None or status in _PASSING:
            later()
        elif status != 200:
            self.complaints.append(f"An edit of {record} was answered {status}: {self.answers[-1][:300]}")
        elif len(steps) > 1:
            self.host.after(_PATIENCE, lambda: self._step(show, change, record, steps[1:]))

    def _start(self, body: dict[str, Any]) -> str | None:
        from functions.api_runs import start_ec2_import

        outputs = Outputs()
        sent = request("POST", route={"name": TENANT}, body=body)
        called = self.host.call("start", lambda: start_ec2_import(req=sent, messages=outputs))
        status = self._status(called)
        if called.killed or called.error is not None:
            return None
        self.host.flush(outputs, IMPORT_PARTS_QUEUE)
        return str(json.loads(called.answer.get_body())["id"]) if status == 202 else None

    def _apply(self, run: str, looks: int) -> None:
        from functions.api_runs import show_run

        shown = self.host.call("look", lambda: show_run(req=request("GET", route={"id": run})))
        state = json.loads(shown.answer.get_body()).get("state") if self._status(shown) == 200 else None
        if state == "succeeded":
            started = self._start({"apply": run})
            if started is not None:
                self.applied.append(started)
        elif state in {None, "running"} and looks < 60:
            self.host.after(_PATIENCE, lambda: self._apply(run, looks + 1))

    def _status(self, called: Called) -> int | None:
        """The status, or None when no answer came."""
        if called.killed or called.error is not None:
            return None
        self.answers.append(f"{dict(called.answer.headers)} {called.answer.get_body().decode('utf-8', 'replace')}")
        return int(called.answer.status_code)
