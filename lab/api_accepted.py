"""What the API said yes to while many clients called it, and whether all of it is there afterwards, once."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from lab.desk import Desk, DeskError
from lab.following import follow_changes

# Parts wait in the queue behind those of other runs.
_LONGEST_WAIT_SECONDS = 300


@dataclass
class Accepted:
    """Acknowledged writes. `refused` are the titles of documents that were not to be written, dry runs among them."""

    notes: dict[str, set[str]] = field(default_factory=lambda: defaultdict[str, set[str]](set))
    records: dict[str, str] = field(default_factory=dict[str, str])
    edits: Counter[str] = field(default_factory=Counter[str])
    titles: dict[str, set[str]] = field(default_factory=lambda: defaultdict[str, set[str]](set))
    refused: set[str] = field(default_factory=set[str])
    # Of sets: when one document moved, applying begins again, and writes another anew that somebody changed meanwhile.
    of_sets: set[str] = field(default_factory=set[str])
    removals: Counter[str] = field(default_factory=Counter[str])
    runs: set[str] = field(default_factory=set[str])
    objects: set[str] = field(default_factory=set[str])
    strays: set[str] = field(default_factory=set[str])
    later: set[str] = field(default_factory=set[str])
    strays_removed: set[str] = field(default_factory=set[str])
    names: dict[str, str] = field(default_factory=dict[str, str])
    tokens: set[str] = field(default_factory=set[str])
    revoked: set[str] = field(default_factory=set[str])
    sweeps: set[str] = field(default_factory=set[str])
    lock: threading.Lock = field(default_factory=threading.Lock)

    def describe(self) -> str:
        """How much of each, for the report."""
        counts = {
            "notes": sum(map(len, self.notes.values())),
            "records by hand": len(self.records),
            "edits of counted things": self.edits.total(),
            "documents": sum(map(len, self.titles.values())),
            "removals of documents": self.removals.total(),
            "runs": len(self.runs),
            "events": len(self.objects) + len(self.strays),
            "quarantined events removed": len(self.strays_removed),
            "users followed": len(self.names),
            "tokens": len(self.tokens),
            "tokens revoked": len(self.revoked),
        }
        return ", ".join(f"{count} {what}" for what, count in counts.items())


class Aftermath:
    """Compares what was acknowledged with what is there. Each finding is a sentence."""

    def __init__(self, desk: Desk, accepted: Accepted) -> None:
        self._desk = desk
        self._accepted = accepted

    def missing(self) -> list[str]:
        """All findings; none when nothing was lost or doubled."""
        found: list[str] = []
        # Runs first: what they write is looked at afterwards.
        for look in (self._runs, self._dead_letters, self._notes, self._records, self._edits, self._documents):
            found += look()
        for look in (self._tickets, self._quarantine, self._users, self._sweeps, self._tokens):
            found += look()
        return found

    def _items(self, address: str) -> Iterator[dict[str, Any]]:
        join = "&" if "?" in address else "?"
        after = ""
        while True:
            page = self._desk.call("GET", f"/api/v1/{address}{join}limit=200{after}")
            yield from page["items"]
            if page["next"] is None:
                return
            after = f"&after={quote(page['next'])}"

    def _runs(self) -> Iterator[str]:
        until = time.monotonic() + _LONGEST_WAIT_SECONDS
        left = set(self._accepted.runs)
        while left and time.monotonic() < until:
            listed = {run["id"]: run["status"] for run in self._items("runs")}
            for run in sorted(left):
                status = listed.get(run, "gone")
                if status == "running":
                    continue
                left.discard(run)
                if status not in {"succeeded", "withheld"}:
                    why = [one["message"] for one in self._items(f"runs/{run}/errors")] if status != "gone" else []
                    yield f"run {run}: {status} {why[:1]}"
            if left:
                time.sleep(0.5)
        yield from (f"run {run} did not end" for run in sorted(left))

    def _dead_letters(self) -> Iterator[str]:
        while self._desk.call("POST", "/api/v1/dead-letters/replay")["more"]:
            pass
        yield from (f"dead letter {one['name']} stays" for one in self._items("dead-letters"))

    def _notes(self) -> Iterator[str]:
        for ticket, wanted in self._accepted.notes.items():
            there = Counter(note["text"] for note in self._desk.call("GET", f"/api/v1/tickets/{ticket}")["notes"])
            yield from (f"note {text!r} of {ticket} stands {there[text]} times" for text in wanted if there[text] != 1)

    def _records(self) -> Iterator[str]:
        there = {record["id"]: record["name"] for what in ("assets", "users") for record in self._items(what)}
        for record, name in self._accepted.records.items():
            if there.get(record) != name:
                yield f"record {record}: {there.get(record)!r} instead of {name!r}"

    def _edits(self) -> Iterator[str]:
        """Every edit read a number and wrote the next one: so the number is how many were acknowledged."""
        for address, count in self._accepted.edits.items():
            present = counted(self._desk.call("GET", address))
            if present != count:
                yield f"{address} counts {present} after {count} acknowledged edits"

    def _documents(self) -> Iterator[str]:
        for name, titles in self._accepted.titles.items():
            entries = list(self._items(f"settings/sites/{name}/history"))
            written = Counter(entry["document"]["title"] for entry in entries if entry["action"] != "deleted")
            for title in titles:
                if written[title] != 1 and not (written[title] and title in self._accepted.of_sets):
                    yield f"document {title} stands {written[title]} times"
            yield from (f"document {title} was refused and is there" for title in self._accepted.refused & set(written))
            removed = sum(entry["action"] == "deleted" for entry in entries)
            if removed != self._accepted.removals[name]:
                yield f"document {name}: {removed} removals, {self._accepted.removals[name]} acknowledged"
            newest = entries[0]
            try:
                present = self._desk.call("GET", f"/api/v1/settings/sites/{name}")["document"]["title"]
            except DeskError:
                present = None
            if present != (None if newest["action"] == "deleted" else newest["document"]["title"]):
                yield f"document {name} is {present!r}, and its history ends with {newest}"

    def _tickets(self) -> Iterator[str]:
        follow_changes(self._desk.connection_string)
        tickets = Counter(
            ticket["object_name"]
            for ticket in self._items("tickets?state=all&snoozed=show")
            if ticket["kind"] == "expiry"
        )
        for name in sorted(self._accepted.objects):
            if tickets[name] != 1:
                yield f"event of {name}: {tickets[name]} tickets"

    def _quarantine(self) -> Iterator[str]:
        shown = (
            self._desk.call("GET", f"/api/v1/quarantine/{quote(item['id'])}") for item in self._items("quarantine")
        )
        there = Counter(map(subject_of, shown))
        for name in sorted(self._accepted.strays):
            wanted = 0 if name in self._accepted.strays_removed else 1
            if there[name] != wanted:
                yield f"refused event of {name} is in the quarantine {there[name]} times instead of {wanted}"
        for name in sorted(self._accepted.later - self._accepted.objects):
            # Recorded and not yet acknowledged when the time was over, or still to be replayed.
            if not there[name] and not list(self._items(f"tickets?state=all&snoozed=show&object_name={name}")):
                yield f"refused event of {name} is neither in the quarantine nor a ticket"

    def _users(self) -> Iterator[str]:
        for user, name in self._accepted.names.items():
            present = self._desk.call("GET", f"/api/v1/users/{quote(user)}")["name"]
            if present != name:
                yield f"user {user} is {present!r} after AuthRocket said {name!r}"

    def _tokens(self) -> Iterator[str]:
        revoked = {token["name"]: token["revoked_at"] is not None for token in self._items("tokens")}
        for name in sorted(self._accepted.tokens):
            if revoked.get(name) is not (name in self._accepted.revoked):
                yield f"token {name}: revoked is {revoked.get(name)}"

    def _sweeps(self) -> Iterator[str]:
        failed = {sweep["id"]: sweep["failed"] for sweep in self._items("sweeps")}
        for sweep_id in self._accepted.sweeps:
            if failed.get(sweep_id) != 0:
                yield f"the sweep {sweep_id} is not known, or vaults of it failed: {failed.get(sweep_id)}"


def subject_of(shown: dict[str, Any]) -> str:
    """What a quarantined event is about; empty for one that does not say so."""
    event = shown["event"]
    return str(event.get("subject", "")) if isinstance(event, dict) else ""


def counted(record: dict[str, Any]) -> int:
    """The number that clients count up in a record or a ticket."""
    value = record["fields"].get("notes") if "fields" in record else record["assignee"]
    return int(value) if value and str(value).isdigit() else 0
