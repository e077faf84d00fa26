"""The AuthRocket v2 API over the realms that the lab holds: keys, paging, expansion, refusals. Read only."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lab.emulators.authrocket.exchange import Received, Reply, ResetError
from lab.emulators.authrocket.faults import Faults, Kind, Script
from lab.emulators.authrocket.realms import ApiKey, Realm, Realms

MAX_RESULTS = 1_000
DEFAULT_RESULTS = 100


class ApiError(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, *messages: str, retry_after: str | None = None) -> None:
        super().__init__(*messages)
        self.status = status
        self.messages = messages
        self.retry_after = retry_after


@dataclass(frozen=True)
class Request:
    """One line of the journal. `page` counts within a read of a list, from 1."""

    at: datetime
    method: str
    path: str
    query: dict[str, str]
    realm_id: str | None
    key: str
    key_header: str
    page: int | None
    fault: Kind | None
    status: int | None


class Api:
    """The routes, the journal, and the page that each request reads."""

    def __init__(self, realms: Realms, faults: Faults) -> None:
        self._realms = realms
        self._faults = faults
        self._pages: dict[tuple[str, str | None, str], int] = {}
        self.journal: list[Request] = []

    def answer(self, request: Received) -> Reply:
        """One request below /v2/; never raises for what a client sent."""
        collection, slash, item = request.path.removeprefix("/v2/").partition("/")
        if not collection or (slash and not item):
            return _failed(ApiError(404, "Not Found"))
        if request.method not in _METHODS[bool(item)]:
            return _failed(ApiError(405, "Method Not Allowed"))
        return self._serve(request, collection, item or None)

    def _serve(self, request: Received, collection: str, item: str | None) -> Reply:
        after = request.query.get("after")
        named = request.headers.get("authrocket-realm") or request.query.get("realm_id")
        page = None
        if item is None:
            page = self._pages.get((collection, named, after), 1) if after else 1
        script = self._faults.take(request.path, page)
        status = None
        try:
            response = self._answer(request, collection, item, page, named, script)
            status = response.status
        except ApiError as error:
            status = error.status
            response = _failed(error)
        finally:
            self._note(request, page, named, script, status)
        return response

    def _note(
        self, request: Received, page: int | None, named: str | None, script: Script | None, status: int | None
    ) -> None:
        secret, header = _secret(request)
        self.journal.append(
            Request(
                datetime.now(UTC),
                request.method,
                request.path,
                dict(request.query),
                named,
                secret[:12],  # enough to tell keys apart; the secret is in no journal
                header,
                page,
                script.kind if script else None,
                status,
            )
        )

    def _answer(
        self,
        request: Received,
        collection: str,
        item: str | None,
        page: int | None,
        named: str | None,
        script: Script | None,
    ) -> Reply:
        if script:
            match script.kind:
                case "status":
                    raise ApiError(script.status, *script.errors, retry_after=script.retry_after)
                case "malformed":
                    return Reply(200, b"<!doctype html><title>Sign in to the network</title>", "text/html")
                case "reset":
                    raise ResetError
                case "hang":
                    self._faults.cleared.wait(script.seconds)
                case "call" if script.action:
                    script.action()
        key = self._key(request)
        if request.method != "GET":
            self._require(key, "write")
            raise ApiError(405, "the lab's AuthRocket is read only: change its users through AuthRocketLab")
        self._require(key, "read")
        with self._realms.lock:
            if item is None:
                body = self._list(request, key, collection, page or 1, named, script)
            else:
                body = self._get(request, key, collection, item)
        data = json.dumps(body, ensure_ascii=False).encode()
        if script and script.kind == "truncated":
            return Reply(200, data, is_truncated=True)
        return Reply(200, data)

    def _key(self, request: Received) -> ApiKey:
        if "application/json" not in request.headers.get("accept", ""):
            raise ApiError(406, "Not acceptable: send Accept: application/json")
        secret, _ = _secret(request)
        key = self._realms.keys.get(secret)
        if key is None:
            raise ApiError(403, "API authentication failed")
        if not key.subscribed:
            raise ApiError(402, "AuthRocket subscription is not active")
        return key

    @staticmethod
    def _require(key: ApiKey, permission: str) -> None:
        if permission not in key.permissions and "admin" not in key.permissions:
            raise ApiError(403, f"API key lacks the {permission} permission")

    def _realm(self, request: Received, key: ApiKey) -> Realm:
        """The realm of a request. One that the key may not see answers as one that is not there."""
        realm_id = request.query.get("realm_id") or request.headers.get("authrocket-realm") or key.realm_id
        if not realm_id:
            raise ApiError(422, "Realm can't be blank")
        realm = self._realms.realms.get(realm_id)
        if realm is None or key.realm_id not in {None, realm_id}:
            raise ApiError(404, "Not found")
        return realm

    def _list(
        self, request: Received, key: ApiKey, collection: str, page: int, named: str | None, script: Script | None
    ) -> dict[str, Any]:
        if collection == "realms":
            found = [realm.document() for realm in self._realms.realms.values() if key.realm_id in {None, realm.id}]
        else:
            found = self._select(request, self._realm(request, key), collection)
        limit = _limit(request)
        descending = request.query.get("direction") == "desc"
        found.sort(key=lambda one: one["id"], reverse=descending)
        after = request.query.get("after")
        if script and script.kind == "repeat_page":
            after = self._before(collection, named, after)
        if after:
            # By order and not by place: the user named by `after` may have been deleted since.
            found = [one for one in found if (one["id"] < after if descending else one["id"] > after)]
        shown, more = found[:limit], len(found) > limit
        if script and script.kind == "stuck_page":
            return {"collection": [], "more_results": True}
        if shown and not (script and script.kind == "repeat_page"):
            self._pages[collection, named, shown[-1]["id"]] = page + 1
        return {"collection": [self._expanded(request, one) for one in shown], "more_results": more}

    def _before(self, collection: str, named: str | None, after: str | None) -> str | None:
        page = self._pages.get((collection, named, after or ""), 1)
        earlier = [
            key[2] for key, number in self._pages.items() if key[:2] == (collection, named) and number == page - 1
        ]
        return earlier[-1] if earlier else None

    def _select(self, request: Received, realm: Realm, collection: str) -> list[dict[str, Any]]:
        match collection:
            case "users":
                found = [*realm.users.values()]
            case "orgs":
                found = [*realm.orgs.values()]
            case "events":
                found = [*realm.events.values()]
            case "memberships":
                return self._memberships(request, realm)
            case _:
                raise ApiError(404, "Not found")
        if (state := request.query.get("state")) is not None:
            if state not in {"active", "inactive"}:
                raise ApiError(422, "State is not included in the list")
            found = [one for one in found if one["state"] == state]
        return found

    @staticmethod
    def _memberships(request: Received, realm: Realm) -> list[dict[str, Any]]:
        by_user, by_org = request.query.get("user_id"), request.query.get("org_id")
        if not by_user and not by_org:
            raise ApiError(422, "Either org_id or user_id is required")
        found = [
            dict(one)
            for one in realm.memberships.values()
            if by_user in {None, one["user_id"]} and by_org in {None, one["org_id"]}
        ]
        for one in found:
            if not by_org:
                one["org"] = realm.orgs[one["org_id"]]
            elif not by_user:
                one["user"] = {name: value for name, value in realm.users[one["user_id"]].items() if name != "custom"}
        return found

    def _get(self, request: Received, key: ApiKey, collection: str, item: str) -> dict[str, Any]:
        if collection == "realms":
            realm = self._realms.realms.get(item)
            if realm is None or key.realm_id not in {None, realm.id}:
                raise ApiError(404, "Not found")
            return realm.document()
        for realm in self._realms.realms.values():
            if key.realm_id not in {None, realm.id}:
                continue
            held: dict[str, dict[str, Any]] = getattr(realm, collection, {}) if collection in _HELD else {}
            found = held.get(item)
            if collection == "users" and found is None and "@" in item:  # the address is an alternate key
                found = next((one for one in held.values() if (one["email"] or "").lower() == item.lower()), None)
            if found is not None:
                return self._expanded(request, found)
        raise ApiError(404, "Not found")

    def _expanded(self, request: Received, document: dict[str, Any]) -> dict[str, Any]:
        wanted = {name.strip() for name in request.query.get("expand", "").split(",")}
        shown = {name: value for name, value in document.items() if name != "custom" or "custom" in wanted}
        if "memberships" in wanted and document["id"].startswith("usr_"):
            realm = self._realms.realms[document["realm_id"]]
            shown["memberships"] = [
                {**one, "org": realm.orgs[one["org_id"]]}
                for one in realm.memberships.values()
                if one["user_id"] == document["id"]
            ]
        return shown


# Without and with an item.
_METHODS = ({"GET", "POST"}, {"GET", "POST", "PUT", "DELETE"})
_HELD = {"users", "orgs", "memberships", "events"}


def _secret(request: Received) -> tuple[str, str]:
    """The key of a request, and the header that carried it."""
    if key := request.headers.get("authrocket-api-key"):
        return key, "Authrocket-Api-Key"
    kind, _, key = request.headers.get("authorization", "").partition(" ")
    return (key, "Authorization") if kind == "Bearer" else ("", "")


def _limit(request: Received) -> int:
    text = request.query.get("max_results", str(DEFAULT_RESULTS))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MAX_RESULTS:
        raise ApiError(422, f"Max results must be between 1 and {MAX_RESULTS}")
    return int(text)


def _failed(error: ApiError) -> Reply:
    messages = list(error.messages)
    body: dict[str, Any] = {"errors": messages} if error.status == 422 else {"error": "; ".join(messages)}
    headers = {"Retry-After": error.retry_after} if error.retry_after else {}
    return Reply(error.status, json.dumps(body).encode(), headers=headers)
