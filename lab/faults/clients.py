"""Who calls the desk by itself in a simulation: Event Grid, which tries for a day, and AuthRocket, for two."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from lab.emulators.event_grid.subscription import basic_authorization
from lab.fakes.tables import MemoryTables
from lab.faults.concurrent_changes import ConcurrentChanges
from lab.faults.flows import Flow
from lab.faults.host import Called, Host, request
from lab.faults.scenario import REALM, REALM_ID, Event, Scenario, UserEvent
from lab.faults.secret_rotation import WEBHOOK_USER, sent
from lab.faults.simulated_services import SimulatedContainer
from shared.storage.names import EVENTS_QUEUE, USERS_TABLE

# As Event Grid's documentation has them, in seconds; then every hour or so.
_RETRIES = (10, 30, 60, 300, 600, 1800, 3600)
# AuthRocket tells no times, but that it tries for two days.
_AUTHROCKET_RETRIES = (60, 300, 900, 3600)
_AUTHROCKET_TRIES_FOR = timedelta(days=2)
# Seconds after which an import that ran beside a delivery has surely written.
_LATER = 1800.0
_CERTAIN = frozenset({"written", "unchanged"})


@dataclass
class Clients:
    """`answers` is all that the desk answered; `complaints` is what no client should ever meet.

    `tables` are looked at without faults, `following` holds when deliveries of a user's event that are under way began.
    """

    host: Host
    scenario: Scenario
    tables: MemoryTables
    container: SimulatedContainer
    changes: ConcurrentChanges
    answers: list[str] = field(default_factory=list[str])
    complaints: list[str] = field(default_factory=list[str])
    deliveries_under_way: defaultdict[str, list[datetime]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self.changes.deliver_user_event = lambda event: self.host.after(0, lambda: self.deliver_user_event(event))

    # Event Grid

    def deliver(self, batch: Sequence[Event], channel: str, tries: int = 0) -> None:
        """Through the webhook until it is taken or becomes a dead letter, or into the queue."""
        if channel == "queue":
            self.host.send(EVENTS_QUEUE, [json.dumps(event) for event in batch])
            return
        from functions.key_vault_events import receive_key_vault_events

        password = sent(self.scenario, "webhook", self.host.simulation.at)
        headers = {"aeg-event-type": "Notification", "Authorization": basic_authorization(WEBHOOK_USER, password)}
        asked = request("POST", body=list(batch), headers=headers)
        status = self.status(
            self.host.call(Flow.DELIVERY, "the webhook of Event Grid", lambda: receive_key_vault_events(req=asked))
        )
        if status == 200:
            return
        if status is not None and status < 500:
            self.complaints.append(f"Event Grid drops a delivery that was answered {status}: {batch}")
            return
        most = self.scenario.steps.gives_up_after
        if most and tries + 1 >= most:
            content = [{**event, "deadLetterReason": "MaxDeliveryAttemptsExceeded"} for event in batch]
            name = f"kv/given-up-{len(self.answers)}-{batch[0]['id']}.json"
            self.container.put(name, json.dumps(content).encode())
            return
        wait = _RETRIES[min(tries, len(_RETRIES) - 1)]
        self.host.after(wait, lambda: self.deliver(batch, channel, tries + 1))

    # AuthRocket

    def deliver_user_event(self, event: UserEvent, since: datetime | None = None, tries: int = 0) -> None:
        """An event, until it is answered with 200 or two days are over."""
        from functions.authrocket_webhook import receive_authrocket_event

        began = self.host.simulation.at
        password = sent(self.scenario, "authrocket-webhook", began)
        # What a body says beside its id may be anything: the product must not believe it.
        body = {"id": event.id, "event_type": "user.deleted", "user_id": "usr_forged"}
        asked = request(
            "POST",
            route={"realm": REALM},
            body=body,
            headers={"Authorization": basic_authorization(WEBHOOK_USER, password)},
        )
        self.deliveries_under_way[event.id].append(began)
        called = self.host.call(
            Flow.USER_EVENT, "the webhook of AuthRocket", lambda: receive_authrocket_event(req=asked)
        )
        self.deliveries_under_way[event.id].remove(began)
        status = self.status(called)
        if status == 200:
            if json.loads(called.answer.get_body())["outcome"] in _CERTAIN:
                self._check_delivered(event, began)
                self.host.after(_LATER, lambda: self._check_delivered(event, began))
            return
        if status is not None and status < 500 and status != 401:
            self.complaints.append(f"The event {event.id} was answered {status}: {self.answers[-1][:300]}")
        since = since or began
        if self.host.simulation.at - since < _AUTHROCKET_TRIES_FOR:
            wait = _AUTHROCKET_RETRIES[min(tries, len(_AUTHROCKET_RETRIES) - 1)]
            self.host.after(wait, lambda: self.deliver_user_event(event, since, tries + 1))

    def _check_delivered(self, event: UserEvent, began: datetime) -> None:
        """What is answered as done is written, as AuthRocket had it at some time since the delivery began; and it stays
        so, whatever an import read before."""
        now = self.host.simulation.at
        states = [self.changes.users_at(at).get(event.user) for at in (began, now)]
        row = self.tables.table(USERS_TABLE).find(f"authrocket:{REALM_ID}", event.user)
        if row is None or row.text("alias_of") or any(edit.record == event.user for edit in self.scenario.edits):
            return
        if not row.values.get("active", True):
            return
        names = {record.name for record in states if record is not None and not record.gone}
        if names and all(states) and row.text("f_name") not in names:
            self.complaints.append(
                f"The event {event.id} was answered as done, and {event.user} is {row.text('f_name')!r}, not {names}"
            )

    def status(self, called: Called) -> int | None:
        """The status, or None when no answer came."""
        if called.killed or called.error is not None:
            return None
        self.answers.append(f"{dict(called.answer.headers)} {called.answer.get_body().decode('utf-8', 'replace')}")
        return int(called.answer.status_code)
