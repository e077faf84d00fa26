"""What the clients of `lab.api_load` do with access tokens, each with throwaway ones of its own."""

from typing import Any
from urllib.parse import urlencode

from lab.api_client import Client

_ADDRESSES = "addresses of calendars"


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
        """What waits there is often gone a moment later."""
        listed = self._caller.call("list_outbox", None, query="?limit=200")
        for entry in listed.json["items"][-3:] if listed.ok else ():
            if self._caller.call("retry_outbox_entry", f"/api/v1/outbox/{entry['id']}").ok:
                return

    def _make(self, operation: str, **body: Any) -> tuple[str, str]:
        """Its name and its value; empty when it was not made."""
        name = self.name("token")
        reply = self._caller.call(operation, None, {"name": name, **body})
        if not reply.ok:
            return name, ""
        with self._accepted.lock:
            self._accepted.tokens.add(name)
        return name, str(reply.json["token"])
