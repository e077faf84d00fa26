"""What the clients of `lab.api_load` write: bodies that mean something, and what of each is remembered.

An operation that has no entry in `WRITES` is called with the example of the OpenAPI document.
"""

import itertools
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from lab.api_accepted import Accepted, counted, subject_of
from lab.api_operations import Known
from lab.desk import WEBHOOK_PASSWORD, WEBHOOK_USER, Desk
from lab.emulators.authrocket import AuthRocketLab
from lab.emulators.event_grid import DeadLetterBlobs, Schema, basic_authorization, make_event
from lab.emulators.event_grid.dead_letters import blob_name

ALLOWED, STRANGE, LATER = "acorn-vault", "stranger-vault", "later-vault"
WEBHOOK = {"Authorization": basic_authorization(WEBHOOK_USER, WEBHOOK_PASSWORD)}
# Quarantined events of a vault that is never allowed: these can be removed.
_STRAYS = "strays"
_SHARED_DOCUMENTS = 10
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Reply:
    """An answer: its JSON, or None for another type."""

    status: int
    json: Any
    etag: str

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


class Caller(Protocol):
    """Who calls: see `lab.api_load`."""

    def call(
        self,
        operation: str,
        address: str | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        query: str = "",
    ) -> Reply: ...

    def fault(self, sentence: str) -> None: ...


@dataclass(frozen=True)
class Stage:
    """What all clients share."""

    desk: Desk
    known: Known
    accepted: Accepted
    blobs: DeadLetterBlobs
    counted: Mapping[str, str]
    ticket: str

    @property
    def authrocket(self) -> AuthRocketLab:
        assert self.desk.authrocket is not None
        return self.desk.authrocket


def event(vault: str, name: str) -> dict[str, Any]:
    """A secret that expires soon."""
    now = datetime.now(UTC)
    made = make_event("SecretNearExpiry", vault=vault, name=name, occurred_at=now, expires_at=now + 20 * _DAY)
    return made.to_json(Schema.EVENT_GRID)


class Writer:
    """One client's writes. Every name that it makes is its own."""

    def __init__(self, number: int, caller: Caller, stage: Stage) -> None:
        self._number = number
        self._caller = caller
        self._stage = stage
        self._accepted = stage.accepted
        self._known = stage.known
        self._random = random.Random(number)
        self._numbers = itertools.count()
        self._user = ""

    def name(self, what: str) -> str:
        """A new one."""
        return f"{what}-{self._number}-{next(self._numbers)}"

    # Tickets and events

    def add_note(self) -> None:
        ticket = self._known.any_of("/api/tickets", self._random)
        text = self.name("note")
        reply = self._caller.call("add_ticket_note", f"/api/tickets/{ticket}/notes", {"text": text})
        if reply.ok:
            self._remember_note(str(ticket), text)

    def change_ticket(self) -> None:
        """All clients count up the assignee of one ticket, each with a note."""
        address = f"/api/tickets/{self._stage.ticket}"
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
        reply = self._caller.call("replay_quarantined", f"/api/quarantine/{event_id}/replay")
        if reply.ok and reply.json["recorded"]:
            with self._accepted.lock:
                self._accepted.objects.add(subject_of(shown))

    def remove_quarantined(self) -> None:
        event_id, shown = self._quarantined(_STRAYS)
        if shown is None:
            return
        if self._caller.call("remove_quarantined", f"/api/quarantine/{event_id}").ok:
            self._known.drop(_STRAYS, event_id)
            with self._accepted.lock:
                self._accepted.strays_removed.add(subject_of(shown))

    def _quarantined(self, pool: str = "/api/quarantine") -> tuple[str, Any]:
        event_id = self._known.any_of(pool, self._random) or ""
        reply = self._caller.call("show_quarantined", f"/api/quarantine/{event_id}") if event_id else None
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
        reply = self._caller.call("sweep_vaults_now", None, self._random.choice((None, {}, {"vault": ALLOWED})))
        for swept in reply.json["items"] if reply.ok else ():
            if swept["reason"]:
                self._caller.fault(f"the sweep of {swept['vault']} failed: {swept['message']}")
            with self._accepted.lock:
                self._accepted.swept.add(swept["vault"])

    # Records

    def add_asset(self) -> None:
        self._add("add_asset", "assets")

    def add_user(self) -> None:
        self._add("add_user", "users")

    def edit_asset(self) -> None:
        self._edit("asset", self._random.choice(("asset", "imported asset")))

    def edit_user(self) -> None:
        self._edit("user", self._random.choice(("user", "imported user")))

    def _add(self, operation: str, what: str) -> None:
        name = self.name(what)
        reply = self._caller.call(operation, None, {"id": name, "fields": {"name": name}})
        if reply.ok:
            self._known.put(f"/api/{what}", reply.json["id"])
            with self._accepted.lock:
                self._accepted.records[reply.json["id"]] = name

    def _edit(self, what: str, which: str) -> None:
        """All clients count up one record; at times with the ETag of the answer before, without looking again."""
        address = self._stage.counted[which]
        read = self._caller.call(f"show_{what}", address)
        while read.ok:
            number = counted(read.json) + 1
            # Something else is held and let go in between.
            held = "description" in read.json["locked_fields"]
            fields = {"notes": str(number), **({"description": "held"} if what == "asset" and not held else {})}
            body = {"fields": fields, "release": ["description"] if held else []}
            read = self._caller.call(f"edit_{what}", address, body, {"If-Match": read.etag})
            if read.ok:
                self._count(address)
                if counted(read.json) != number:
                    self._caller.fault(f"the answer to an edit of {address} shows another's")
                if self._random.random() < 0.5:
                    return

    def follow(self) -> None:
        """AuthRocket tells of a user who was renamed; it tells again what was put off while an import ran."""
        realm = self._stage.authrocket
        if not self._user:
            self._user = realm.add_user(email=f"client-{self._number}@load.example", first_name="Load")["id"]
        name = self.name("user")
        realm.change_user(self._user, name=name, first_name=name, last_name=None)
        told = [one for one in list(realm.realm().events.values()) if one.get("user_id") == self._user][-1]
        reply = self._caller.call(
            "receive_authrocket_event", None, {"id": told["id"], "event_type": told["event_type"]}, WEBHOOK
        )
        with self._accepted.lock:
            if reply.ok:
                self._accepted.names[f"authrocket:{realm.realm_id}:{self._user}"] = name
            else:
                self._accepted.names.pop(f"authrocket:{realm.realm_id}:{self._user}", None)

    # Runs

    def start_import(self) -> None:
        self._start("start_ec2_import", "/api/aws-tenants/acorn/imports")

    def start_realm_import(self) -> None:
        self._start("start_authrocket_import", "/api/authrocket-realms/customers/imports")

    def _start(self, operation: str, address: str) -> None:
        done = self._known.any_of(f"finished {address}", self._random)
        previewed = self._known.any_of(f"previewed {address}", self._random)
        bodies: list[Any] = [None, {}, {"preview": True}, {"preview": True, "as_scheduled": True}]
        bodies += [{"apply": previewed}] * 2 if previewed else []
        bodies += [{"confirm": done}] if done else []
        reply = self._caller.call(operation, address, self._random.choice(bodies))
        if reply.ok:
            with self._accepted.lock:
                self._accepted.runs.add(reply.json["id"])
        listed = self._caller.call("list_runs", None, query=f"?limit=50&kind={address.split('/')[2]}")
        for run in listed.json["items"] if listed.ok else ():
            if run["status"] == "succeeded":
                self._known.put(f"{'previewed' if run['mode'] == 'preview' else 'finished'} {address}", run["id"])

    # Checks

    def check_store(self) -> None:
        body = self._random.choice((None, {"secret": "aws-acorn"}))
        self._check("check_credential_store", "/api/credential-stores/deskbridge-vault/check", body)

    def check_credential(self) -> None:
        self._check("check_credential", "/api/credentials/aws-acorn/check")

    def check_tenant(self) -> None:
        self._check("check_aws_tenant", "/api/aws-tenants/acorn/check")

    def check_realm(self) -> None:
        self._check("check_authrocket_realm", "/api/authrocket-realms/customers/check")

    def _check(self, operation: str, address: str, body: Any = None) -> None:
        reply = self._caller.call(operation, address, body)
        if reply.ok and not reply.json["ok"]:
            self._caller.fault(f"{operation} finds a fault where there is none: {reply.json}")

    # Settings

    def put_setting(self) -> None:
        """A document that a few clients share: of two writers one is told that it moved, and the other wins."""
        name, title = self._shared(), self.name("title")
        address = f"/api/settings/sites/{name}"
        read = self._caller.call("show_setting", address)
        headers = {"If-Match": read.etag} if read.ok else {}
        reply = self._caller.call("put_setting", address, {"title": title, "customer": "Acorn"}, headers)
        self._remember_titles(reply, {name: title})
        if reply.ok and reply.json["document"]["title"] != title:
            self._caller.fault(f"the answer to a write of {address} shows another's")

    def delete_setting(self) -> None:
        name = self._shared()
        read = self._caller.call("show_setting", f"/api/settings/sites/{name}")
        if not read.ok:
            return
        reply = self._caller.call("delete_setting", f"/api/settings/sites/{name}", None, {"If-Match": read.etag})
        if reply.ok:
            with self._accepted.lock:
                self._accepted.removals[name] += 1

    def apply_settings(self) -> None:
        """One or two documents; or a dry run, of which nothing may be there afterwards."""
        dry_run = self._random.random() < 0.3
        titles = {self._shared(): self.name("title") for _ in range(self._random.randrange(1, 3))}
        documents = [
            {"kind": "sites", "name": name, "document": {"title": title, "customer": "Acorn"}}
            for name, title in titles.items()
        ]
        reply = self._caller.call(
            "apply_settings", None, {"documents": documents}, query="?dry_run=true" if dry_run else ""
        )
        # What moved while it was applied ends it in between: which of several were written is then not told.
        if dry_run or reply.ok or len(titles) == 1:
            self._remember_titles(None if dry_run else reply, titles)

    def _shared(self) -> str:
        return f"load-{self._random.randrange(_SHARED_DOCUMENTS)}"

    # What is remembered

    def _remember_note(self, ticket: str, text: str) -> None:
        with self._accepted.lock:
            self._accepted.notes[ticket].add(text)

    def _remember_titles(self, reply: Reply | None, titles: Mapping[str, str]) -> None:
        with self._accepted.lock:
            for name, title in titles.items():
                if reply is not None and reply.ok:
                    self._accepted.titles[name].add(title)
                else:
                    self._accepted.refused.add(title)

    def _count(self, address: str) -> None:
        with self._accepted.lock:
            self._accepted.edits[address] += 1


WRITES: Mapping[str, Callable[[Writer], None]] = {
    "add_asset": Writer.add_asset,
    "add_ticket_note": Writer.add_note,
    "add_user": Writer.add_user,
    "apply_settings": Writer.apply_settings,
    "change_ticket": Writer.change_ticket,
    "check_authrocket_realm": Writer.check_realm,
    "check_aws_tenant": Writer.check_tenant,
    "check_credential": Writer.check_credential,
    "check_credential_store": Writer.check_store,
    "delete_setting": Writer.delete_setting,
    "edit_asset": Writer.edit_asset,
    "edit_user": Writer.edit_user,
    "put_setting": Writer.put_setting,
    "receive_authrocket_event": Writer.follow,
    "receive_key_vault_events_options": Writer.shake_hands,
    "receive_key_vault_events_post": Writer.deliver,
    "remove_quarantined": Writer.remove_quarantined,
    "replay_dead_letters": Writer.replay_dead_letters,
    "replay_quarantined": Writer.replay,
    "start_authrocket_import": Writer.start_realm_import,
    "start_ec2_import": Writer.start_import,
    "sweep_vaults_now": Writer.sweep,
}
