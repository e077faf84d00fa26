"""What the clients of `lab.api_load` do with access tokens, each with throwaway ones of its own."""

import secrets
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from lab.api_client import FAILED_ENTRY, Client
from shared.outbox.model import PENDING, OutboxMessage, OutboxState, pending_row
from shared.storage.names import OUTBOX_TABLE, SETTINGS_TABLE
from shared.storage.rest_tables import RestTables
from shared.storage.rows import Create
from shared.text import ascending

_ADDRESSES = "addresses of calendars"


def failed_entry(connection_string: str) -> str:
    """The id of a new entry of the outbox that failed, and has nothing left to carry out."""
    now = datetime.now(UTC)
    message = OutboxMessage(SETTINGS_TABLE, "sites", f"{ascending(now)}-{secrets.token_hex(4)}")
    row = pending_row(message, now, ("audit",))
    failed = replace(row, values={**row.values, "state": str(OutboxState.FAILED), "attempts": 5})
    RestTables.from_connection_string(connection_string).table(OUTBOX_TABLE).transact(PENDING, [Create(failed)])
    return message.id


class TokenWrites(Client):
    """Tokens made, used and revoked; a calendar opened by its token; the outbox hurried."""

    def make_token(self) -> None:
        """It opens something at once."""
        name, value = self._make("make_token", role="reader", customers=["acorn"])
        if value:
            self._tokens[name] = value
            me = self._caller.call("show_me", None, None, {"X-Api-Key": value})
            if not me.ok or me.json["name"] != name:
                self._caller.fault(f"the new token {name} is answered {me.status}")

    def make_administrator_token(self) -> None:
        self._make("make_administrator_token")

    def make_calendar_token(self) -> None:
        _, value = self._make("make_calendar_token", customer="acorn")
        if value:
            self._known.put(_ADDRESSES, value)

    def show_calendar(self) -> None:
        value = self._known.any_of(_ADDRESSES, self._random)
        if value is None:
            self.make_calendar_token()
        else:
            self._caller.call("show_calendar", None, query=f"?{urlencode({'token': value})}")

    def revoke_token(self) -> None:
        """One that this client made. From then on it opens nothing."""
        if not self._tokens:
            self.make_token()
            return
        name, value = self._tokens.popitem()
        reply = self._caller.call("revoke_token", f"/api/v1/tokens/{name}")
        with self._accepted.lock:
            if reply.ok:
                self._accepted.revoked.add(name)
            else:
                # It may be revoked or not: its use was noted all the time.
                self._accepted.tokens.discard(name)
        if reply.ok and self._caller.call("show_me", None, None, {"X-Api-Key": value}).ok:
            self._caller.fault(f"the token {name} is revoked and opens")

    def retry_outbox_entry(self) -> None:
        """What waits is mostly gone a moment later. What failed stays until an operator comes."""
        entry = self._known.any_of(FAILED_ENTRY, self._random)
        self._caller.call("retry_outbox_entry", f"/api/v1/outbox/{entry}/retry")

    def _make(self, operation: str, **body: Any) -> tuple[str, str]:
        """Its name and its value; empty when it was not made."""
        name = self.name("token")
        reply = self._caller.call(operation, None, {"name": name, **body})
        if not reply.ok:
            return name, ""
        with self._accepted.lock:
            self._accepted.tokens.add(name)
        return name, str(reply.json["token"])
