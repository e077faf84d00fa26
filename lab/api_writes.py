"""What the clients of `lab.api_load` write: bodies that mean something, and what of each is remembered.

An operation that has no entry in `WRITES` is called with the example of the OpenAPI document.
"""

from collections.abc import Callable, Mapping
from typing import Any

from lab.api_accepted import counted
from lab.api_client import FREE_SECRET
from lab.api_ticket_writes import WEBHOOK, TicketWrites
from lab.api_token_writes import TokenWrites

_SHARED_DOCUMENTS = 10


class Writer(TicketWrites, TokenWrites):
    """One client's writes."""

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
            self._known.put(f"/api/v1/{what}", reply.json["id"])
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
        self._start("start_ec2_import", "/api/v1/aws-tenants/acorn/imports")

    def start_realm_import(self) -> None:
        self._start("start_authrocket_import", "/api/v1/authrocket-realms/customers/imports")

    def _start(self, operation: str, address: str) -> None:
        done = self._known.any_of(f"finished {address}", self._random)
        previewed = self._known.any_of(f"previewed {address}", self._random)
        bodies = [{"mode": "import"}, {"mode": "preview"}, {"mode": "preview", "as_scheduled": True}]
        bodies += [{"mode": "apply", "run_id": previewed}] * 2 if previewed else []
        bodies += [{"mode": "confirm", "run_id": done}] if done else []
        reply = self._caller.call(operation, address, self._random.choice(bodies))
        if reply.ok:
            with self._accepted.lock:
                self._accepted.runs.add(reply.json["id"])
        listed = self._caller.call("list_runs", None, query=f"?limit=50&kind={address.split('/')[3]}")
        for run in listed.json["items"] if listed.ok else ():
            if run["status"] in {"succeeded", "withheld"}:
                self._known.put(f"{'previewed' if run['mode'] == 'preview' else 'finished'} {address}", run["id"])

    # Checks

    def check_store(self) -> None:
        body = self._random.choice(({"check": "store"}, {"check": "secret", "secret": FREE_SECRET}))
        self._check("check_credential_store", "/api/v1/credential-stores/deskbridge-vault/check", body)

    def check_credential(self) -> None:
        self._check("check_credential", "/api/v1/credentials/aws-acorn/check")

    def check_tenant(self) -> None:
        self._check("check_aws_tenant", "/api/v1/aws-tenants/acorn/check")

    def check_realm(self) -> None:
        self._check("check_authrocket_realm", "/api/v1/authrocket-realms/customers/check")

    def _check(self, operation: str, address: str, body: Any = None) -> None:
        reply = self._caller.call(operation, address, body)
        if reply.ok and not reply.json["ok"]:
            self._caller.fault(f"{operation} finds a fault where there is none: {reply.json}")

    # Settings

    def put_setting(self) -> None:
        """A document that a few clients share: of two writers one is told that it moved, and the other wins."""
        name, title = self._shared(), self.name("title")
        address = f"/api/v1/settings/sites/{name}"
        read = self._caller.call("show_setting", address)
        headers = {"If-Match": read.etag} if read.ok else {}
        reply = self._caller.call("put_setting", address, {"title": title, "customer": "acorn"}, headers)
        self._remember_titles(reply, {name: title})
        if reply.ok and reply.json["document"]["title"] != title:
            self._caller.fault(f"the answer to a write of {address} shows another's")

    def delete_setting(self) -> None:
        name = self._shared()
        read = self._caller.call("show_setting", f"/api/v1/settings/sites/{name}")
        if not read.ok:
            return
        reply = self._caller.call("delete_setting", f"/api/v1/settings/sites/{name}", None, {"If-Match": read.etag})
        if reply.ok:
            with self._accepted.lock:
                self._accepted.removals[name] += 1

    def apply_settings(self) -> None:
        """One or two documents; or a dry run, of which nothing may be there afterwards."""
        dry_run = self._random.random() < 0.3
        titles = {self._shared(): self.name("title") for _ in range(self._random.randrange(1, 3))}
        documents = [
            {"kind": "sites", "name": name, "document": {"title": title, "customer": "acorn"}}
            for name, title in titles.items()
        ]
        reply = self._caller.call(
            "apply_settings", None, {"documents": documents}, query="?dry_run=true" if dry_run else ""
        )
        if len(titles) > 1:
            with self._accepted.lock:
                self._accepted.of_sets.update(titles.values())
        # What moved while it was applied ends it in between: which of several were written is then not told.
        if dry_run or reply.ok or len(titles) == 1:
            self._remember_titles(None if dry_run else reply, titles)

    def _shared(self) -> str:
        return f"load-{self._random.randrange(_SHARED_DOCUMENTS)}"


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
    "make_administrator_token": Writer.make_administrator_token,
    "make_calendar_token": Writer.make_calendar_token,
    "make_token": Writer.make_token,
    "put_setting": Writer.put_setting,
    "receive_authrocket_event": Writer.follow,
    "receive_key_vault_events_options": Writer.shake_hands,
    "receive_key_vault_events_post": Writer.deliver,
    "remove_quarantined": Writer.remove_quarantined,
    "replay_dead_letters": Writer.replay_dead_letters,
    "replay_quarantined": Writer.replay,
    "retry_outbox_entry": Writer.retry_outbox_entry,
    "revoke_token": Writer.revoke_token,
    "show_calendar": Writer.show_calendar,
    "start_authrocket_import": Writer.start_realm_import,
    "start_ec2_import": Writer.start_import,
    "sweep_vaults_now": Writer.sweep,
}
