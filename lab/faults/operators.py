"""Operators in a simulation: previews that are applied, the brake confirmed, events replayed, settings changed."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from lab.faults.clients import Clients
from lab.faults.flows import Flow
from lab.faults.host import Host, Outputs, request
from lab.faults.people import PASSING, PATIENCE
from lab.faults.scenario import REALM, TENANT, VAULTS, SettingsChange
from lab.faults.simulated_desk import allowed
from shared.storage.names import IMPORT_PARTS_QUEUE

_LOOKS = 60
_EVENTS = ("key-vault-events", "default")


@dataclass(frozen=True)
class Applied:
    """A preview that somebody read, and the run that was to write it."""

    plan: Mapping[str, Mapping[str, Any]]
    run: str


@dataclass
class Operators:
    """Whoever runs the desk. `applied` are the previews that were applied, with what they had shown."""

    clients: Clients
    applied: list[Applied] = field(default_factory=list[Applied])

    @property
    def _host(self) -> Host:
        return self.clients.host

    # Previews

    def preview_and_apply(self, kind: str = "aws-tenants") -> None:
        """Preview the import, wait for its end, read the plan, and have exactly that written."""
        run = self._start(kind, {"mode": "preview"})
        if run is not None:
            self._host.after(PATIENCE, lambda: self._apply(kind, run, 0))

    def _apply(self, kind: str, run: str, looks: int) -> None:
        state = (self._run(run) or {}).get("status")
        plan = self._plan(run) if state in {"succeeded", "withheld"} else None
        if plan is not None:
            started = self._start(kind, {"mode": "apply", "run_id": run})
            if started is not None:
                self.applied.append(Applied(plan, started))
        elif state in {None, "running", "succeeded", "withheld"} and looks < _LOOKS:
            self._host.after(PATIENCE, lambda: self._apply(kind, run, looks + 1))

    def _plan(self, run: str) -> dict[str, dict[str, Any]] | None:
        """The entries that would write, by part and id; None when they could not be read."""
        from functions.api_runs import list_run_plan

        found: dict[str, dict[str, Any]] = {}
        params = {"action": "create,update,deactivate"}
        while True:
            asked = request("GET", route={"id": run}, params=params)
            answer = self._ask(Flow.STARTING, "a plan", lambda: list_run_plan(req=asked))  # noqa: B023 - called at once
            if answer is None:
                return None
            found |= {f"{entry.get('part', '')}|{entry['id']}": entry for entry in answer["items"]}
            if answer["next"] is None:
                return found
            params = {**params, "after": answer["next"]}

    # The brake

    def confirm(self, kind: str) -> None:
        """Look at the last scheduled import, and have deactivated what its brake held."""
        from functions.api_runs import list_runs

        asked = request("GET", params={"kind": kind, "limit": "20"})
        listed = self._ask(Flow.STARTING, "the list of runs", lambda: list_runs(req=asked))
        if listed is None:
            self._host.after(PATIENCE, lambda: self.confirm(kind))
            return
        runs = [run for run in listed["items"] if run["mode"] == "import" and run["trigger"] == "scheduled"]
        if not runs or runs[0]["status"] == "running" or not runs[0]["counts"].get("held_back"):
            return
        if self._start(kind, {"mode": "confirm", "run_id": runs[0]["id"]}) is None:
            self._host.after(PATIENCE, lambda: self.confirm(kind))

    # Events

    def replay_quarantine(self, *, must: bool = False) -> None:
        """Have tried again what is in the quarantine. `must`: all is well now, and so must this be."""
        from functions.api_event_recovery import list_quarantine, replay_quarantined

        listed = self._ask(Flow.QUARANTINE, "the quarantine", lambda: list_quarantine(req=request("GET")))
        failed = listed is None
        for item in (listed or {"items": []})["items"]:
            asked = request("POST", route={"id": item["id"]})
            replayed = self._ask(Flow.QUARANTINE, "a replay", partial(replay_quarantined, req=asked), gone=404)
            failed |= replayed is None
        if failed and must:
            self.clients.complaints.append(f"What is quarantined cannot be replayed: {self.clients.answers[-1][:300]}")
        elif failed:
            self._host.after(PATIENCE, self.replay_quarantine)

    def replay_dead_letters(self) -> None:
        """Have recorded what Event Grid gave up on, where no timer does it."""
        from functions.api_event_recovery import list_dead_letters, replay_dead_letters

        listed = self._ask(Flow.DEAD_LETTERS, "the dead letters", lambda: list_dead_letters(req=request("GET")))
        if listed is None or listed["items"]:
            asked = request("POST")
            done = self._ask(Flow.DEAD_LETTERS, "the replay of dead letters", lambda: replay_dead_letters(req=asked))
            if done is None:
                self._host.after(PATIENCE, self.replay_dead_letters)

    # Settings

    def change_settings(self, change: SettingsChange) -> None:
        """Change members of a document as it is now, and again until they stand there."""
        self._put(change.kind, change.name, change.members)

    def allow_the_late_vault(self) -> None:
        """From now on events of the second vault are taken; those that came before are replayed until none is left."""
        entries = allowed(self.clients.scenario, VAULTS)
        self._put(*_EVENTS, {"allowed_vaults": entries})

    def _put(self, kind: str, name: str, members: Mapping[str, Any]) -> None:
        from functions.api_settings import put_setting, show_setting

        again = partial(self._host.after, PATIENCE / 10, partial(self._put, kind, name, members))
        route = {"kind": kind, "name": name}
        asked = request("GET", route=route)
        shown = self._ask(Flow.SETTINGS, "a document", lambda: show_setting(req=asked))
        if shown is None:
            again()
            return
        present = shown["document"]
        if all(_is(present.get(name), wanted) for name, wanted in members.items()):
            return
        sent = request("PUT", route=route, body={**present, **members}, headers={"If-Match": str(shown["version"])})
        if self._ask(Flow.SETTINGS, "a change of a document", lambda: put_setting(req=sent)) is None:
            again()

    # Within

    def _start(self, kind: str, body: dict[str, Any]) -> str | None:
        from functions.api_runs import STARTS

        start, name = STARTS[kind], {"aws-tenants": TENANT, "authrocket-realms": REALM}[kind]
        outputs = Outputs()
        asked = request("POST", route={"name": name}, body=body)
        called = self._host.call(Flow.STARTING, "the start of a run", lambda: start(req=asked, messages=outputs))
        status = self.clients.status(called)
        if called.killed or called.error is not None:
            return None
        self._host.flush(Flow.STARTING, outputs, IMPORT_PARTS_QUEUE)
        if status not in PASSING | {202, 409}:
            self.clients.complaints.append(f"A run {body} was answered {status}: {self.clients.answers[-1][:300]}")
        return str(json.loads(called.answer.get_body())["id"]) if status == 202 else None

    def _run(self, run: str) -> dict[str, Any] | None:
        from functions.api_runs import show_run

        asked = request("GET", route={"id": run})
        return self._ask(Flow.STARTING, "a run", lambda: show_run(req=asked))

    def _ask(self, flow: Flow, where: str, call: Callable[[], Any], *, gone: int = 0) -> dict[str, Any] | None:
        """The answer; None when there was none, or it says to come again. Any other refusal is a complaint."""
        called = self._host.call(flow, where, call)
        status = self.clients.status(called)
        if status in {200, 201}:
            answer: dict[str, Any] = json.loads(called.answer.get_body())
            return answer
        if status is not None and gone and status == gone:
            return {}
        if status is not None and status not in PASSING:
            self.clients.complaints.append(f"{where} was answered {status}: {self.clients.answers[-1][:300]}")
        return None


def _is(present: Any, wanted: Any) -> bool:
    """Whether the desk has it so: lists of entries by their length, because an entry may be written in another way."""
    return len(present or ()) == len(wanted) if isinstance(wanted, list) else bool(present == wanted)
