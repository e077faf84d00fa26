"""What the clients of `lab.api_load` write of tickets and events."""

from datetime import UTC, datetime, timedelta
from typing import Any

from lab.api_accepted import counted, subject_of
from lab.api_client import Client
from lab.desk import WEBHOOK_PASSWORD, WEBHOOK_USER
from lab.emulators.event_grid import Schema, basic_authorization, make_event
from lab.emulators.event_grid.dead_letters import blob_name

ALLOWED, STRANGE, LATER = "acorn-vault", "stranger-vault", "later-vault"
WEBHOOK = {"Authorization": basic_authorization(WEBHOOK_USER, WEBHOOK_PASSWORD)}
# Quarantined events of a vault that is never allowed: these can be removed.
_STRAYS = "strays"
_DAY = timedelta(days=1)


def event(vault: str, name: str) -> dict[str, Any]:
    """A secret that expires soon."""
    now = datetime.now(UTC)
    made = make_event("SecretNearExpiry", vault=vault, name=name, occurred_at=now, expires_at=now + 20 * _DAY)
    return made.to_json(Schema.EVENT_GRID)


class TicketWrites(Client):
    """Notes, changes, deliveries, and events that are taken up again."""

    def add_note(self) -> None:
        ticket = self._known.any_of("/api/v1/tickets", self._random)
        text = self.name("note")
        reply = self._caller.call("add_ticket_note", f"/api/v1/tickets/{ticket}/notes", {"text": text})
        if reply.ok:
            self._remember_note(str(ticket), text)

    def change_ticket(self) -> None:
        """All clients count up the assignee of one ticket, each with a note."""
        address = f"/api/v1/tickets/{self._stage.ticket}"
        read = self._caller.call("show_ticket", address)
        if not read.ok:
            return
        text, number = self.name("change"), counted(read.json) + 1
        body = {"assignee": str(number), "note": text}
        reply = self._caller.call("change_ticket", address, body, {"If-Match": read.etag})
        if reply.ok:
            self._remember_note(self._stage.ticket, text)
            self._count(address)
            if counted(reply.json) != number or text not in {note["text"] for note in reply.json["notes"]}:
                self._caller.fault(f"the answer to a change of {address} shows another's")

    def deliver(self) -> None:
        """One or two new objects, at times one of them twice, and at times one of a vault that is not allowed."""
        names = [self.name("object") for _ in range(self._random.randrange(1, 3))]
        events = [event(ALLOWED, name) for name in names]
        if self._random.random() < 0.3:
            events.append(events[0])
        strays = [self.name("stray")] if self._random.random() < 0.15 else []
        events += [event(STRANGE, name) for name in strays]
        reply = self._caller.call("receive_key_vault_events_post", None, events, WEBHOOK)
        if reply.ok:
            with self._accepted.lock:
                self._accepted.objects.update(names)
                self._accepted.strays.update(strays)

    def shake_hands(self) -> None:
        self._caller.call(
            "receive_key_vault_events_options", None, None, {"WebHook-Request-Origin": "eventgrid.azure.net"}
        )

    def replay(self) -> None:
        """What was recorded has a ticket from then on."""
        event_id, shown = self._quarantined()
        if shown is None:
            return
        reply = self._caller.call("replay_quarantined", f"/api/v1/quarantine/{event_id}/replay")
        if reply.ok and reply.json["recorded"]:
            with self._accepted.lock:
                self._accepted.objects.add(subject_of(shown))

    def remove_quarantined(self) -> None:
        event_id, shown = self._quarantined(_STRAYS)
        if shown is None:
            return
        if self._caller.call("remove_quarantined", f"/api/v1/quarantine/{event_id}").ok:
            self._known.drop(_STRAYS, event_id)
            with self._accepted.lock:
                self._accepted.strays_removed.add(subject_of(shown))

    def _quarantined(self, pool: str = "/api/v1/quarantine") -> tuple[str, Any]:
        event_id = self._known.any_of(pool, self._random) or ""
        reply = self._caller.call("show_quarantined", f"/api/v1/quarantine/{event_id}") if event_id else None
        if reply is None or not reply.ok:
            self._known.drop(pool, event_id)
            return event_id, None
        if subject_of(reply.json).startswith("stray-"):
            self._known.put(_STRAYS, event_id)
        return event_id, reply.json

    def replay_dead_letters(self) -> None:
        """With a new one before it."""
        names = [self.name("dead"), self.name("dead")]
        self._stage.blobs.put(blob_name("load", datetime.now(UTC)), [event(ALLOWED, name) for name in names])
        with self._accepted.lock:
            self._accepted.objects.update(names)
        self._caller.call("replay_dead_letters")

    def sweep(self) -> None:
        reply = self._caller.call(
            "sweep_vaults_now", None, self._random.choice(({"vaults": "all"}, {"vaults": [ALLOWED]}))
        )
        if reply.ok:
            with self._accepted.lock:
                self._accepted.sweeps.add(reply.json["id"])
