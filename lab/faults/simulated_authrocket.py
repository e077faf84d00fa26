"""AuthRocket in a simulation: its API for one realm, and the same behind requests, as answers on the network.

So that the product's own calls, with their retries and their reading, are part of what is tried.
"""

import email.utils
import io
import json
from collections.abc import Collection
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
import requests.adapters
import urllib3

from lab.faults.concurrent_changes import ConcurrentChanges
from lab.faults.disturbances import Disturbances, PoorAnswers
from lab.faults.scenario import BEGINS, REALM_ID, Scenario, SimulatedRecord
from lab.faults.scenario_steps import ORGANISATIONS
from lab.faults.secret_rotation import accepted
from lab.faults.simulation import Simulation
from shared.outbound import Outbound

ENDPOINT = "https://simulated.authrocket.com/v2"

_FAULTS = (
    "429",
    "429 Retry-After",
    "503",
    "503 Retry-After",
    "403",
    "refused",
    "timed out",
    "reset",
    "truncated",
    "malformed",
    "html",
    "slow",
)
# Three times as likely as others: lists are asked for more seldom.
_FAULTS_OF_LISTS = (*_FAULTS, *("repeated page", "empty page") * 3)


class RealmApi:
    """The realm's API as a scenario has it: what it answers to an address, with a key."""

    def __init__(self, scenario: Scenario, simulation: Simulation, changes: ConcurrentChanges) -> None:
        self._scenario = scenario
        self._simulation = simulation
        self._changes = changes

    @staticmethod
    def is_list(path: str) -> bool:
        return len(_parts(path)) == 1

    def answer(self, url: str, key: str | None, fault: str | None) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers. `url` may be a path with its query alone."""
        asked = urlsplit(url)
        path = _parts(asked.path)
        if key not in accepted(self._scenario, "authrocket", self._simulation.at) or fault == "403":
            return 403, b'{"error": "API authentication failed"}', {}
        if fault is not None and fault[:3].isdigit():
            waits = {"Retry-After": "7"} if "Retry-After" in fault else {}
            date = email.utils.format_datetime(self._simulation.at)
            return int(fault[:3]), b'{"error": "later"}', {**waits, "Date": date}
        if fault == "malformed":
            return 200, b'{"collection": [{"id": "usr_', {}
        if fault == "html":
            return 200, b"<!doctype html><title>Sign in</title>", {}
        wanted = {name: values[0] for name, values in parse_qs(asked.query).items()}
        found = self._list(path[0], wanted, fault) if len(path) == 1 else self._find(path[0], path[1])
        return (404, b'{"error": "not found"}', {}) if found is None else (200, json.dumps(found).encode(), {})

    def _list(self, collection: str, asked: dict[str, str], fault: str | None) -> dict[str, Any]:
        items = {str(one["id"]): one for one in self._collection(collection, asked)}
        after = "" if fault == "repeated page" else asked.get("after", "")
        ids = [one for one in sorted(items) if one > after]
        shown = [] if fault == "empty page" else ids[: int(asked["max_results"])]
        return {"collection": [items[one] for one in shown], "more_results": len(ids) > len(shown)}

    def _collection(self, collection: str, asked: dict[str, str]) -> list[dict[str, Any]]:
        users = self._users
        if collection == "orgs":
            return [_organisation(one) for one in ORGANISATIONS]
        if collection == "memberships":
            of_org, of_user = asked.get("org_id"), asked.get("user_id")
            return [
                _membership(user, org, record)
                for user, record in users.items()
                for org in ORGANISATIONS
                if of_org in {None, org} and of_user in {None, user} and (org == "org_a" or org in record.owns)
            ]
        return [_user(one, record) for one, record in users.items()]

    def _find(self, collection: str, item: str) -> dict[str, Any] | None:
        if collection == "events":
            # Known from the moment on when it happened.
            found = (one for one in self._changes.events if one.id == item and one.at <= self._simulation.at)
            event = next(found, None)
            if event is None:
                return None
            told = {"id": event.id, "event_type": event.type, "user_id": event.user, "event_at": event.at.timestamp()}
            return {**told, "object": "event", "realm_id": REALM_ID}
        record = self._users.get(item)
        return None if record is None or collection != "users" else _user(item, record)

    @property
    def _users(self) -> dict[str, SimulatedRecord]:
        return dict(self._changes.users_at(self._simulation.at))


class SimulatedNetwork(Outbound):
    """Sessions without a check of addresses: `SimulatedAuthRocket` stands below them, and no network."""

    def session(self, known_hosts: Collection[str]) -> requests.Session:
        del known_hosts
        return requests.Session()


class SimulatedAuthRocket(requests.adapters.HTTPAdapter):
    """Answers what the product asks of AuthRocket, in place of the network."""

    def __init__(
        self,
        scenario: Scenario,
        simulation: Simulation,
        disturbances: Disturbances,
        changes: ConcurrentChanges,
    ) -> None:
        super().__init__()
        self._api = RealmApi(scenario, simulation, changes)
        self._changes = changes
        self._simulation = simulation
        self._disturbances = disturbances
        # Where somebody confirms whatever is withheld, a poor answer would be believed.
        since = scenario.ends_at if scenario.steps.confirms_brake else BEGINS + timedelta(days=1)
        self._poor_answers = PoorAnswers(disturbances, lambda: simulation.at, since)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        del args, kwargs
        self._simulation.pause()
        url = request.url or ""
        kinds = _FAULTS_OF_LISTS if self._api.is_list(urlsplit(url).path) else _FAULTS
        fault = self._disturbances.happens("authrocket", self._disturbances.rates.services, kinds)
        if fault == "slow":
            self._simulation.sleep(self._disturbances.slowness())
        if fault in {"refused", "reset"}:
            raise requests.exceptions.ConnectionError(f"simulated: {fault}")
        if fault == "timed out":
            raise requests.exceptions.ReadTimeout("simulated")
        status, body, headers = self._api.answer(url, request.headers.get("Authrocket-Api-Key"), fault)
        # The first page of all users; a webhook asks for one of them.
        is_first = status == 200 and _parts(urlsplit(url).path) == ["users"] and "after=" not in url
        if is_first and self._poor_answers.happens(REALM_ID, "authrocket"):
            body = b'{"collection": [], "more_results": false}'
        if fault is None and status == 200 and _parts(urlsplit(url).path) == ["users"]:
            self._changes.was_read([str(user["id"]) for user in json.loads(body)["collection"]])
        content: Any = io.BytesIO(body)
        headers = {"Content-Length": str(len(body)), "Content-Type": "application/json", **headers}
        if fault == "truncated":
            content = io.BytesIO(body[: len(body) // 2])
        raw = urllib3.HTTPResponse(
            content, headers, status=status, preload_content=False, enforce_content_length=True, request_method="GET"
        )
        return self.build_response(request, raw)


def _parts(path: str) -> list[str]:
    return path.removeprefix(urlsplit(ENDPOINT).path).strip("/").split("/")


def _organisation(org: str) -> dict[str, Any]:
    return {"id": org, "object": "org", "realm_id": REALM_ID, "name": ORGANISATIONS[org], "reference": None}


def _membership(user: str, org: str, record: SimulatedRecord) -> dict[str, Any]:
    return {
        "id": f"mb_{org}_{user}",
        "object": "membership",
        "user_id": user,
        "org_id": org,
        "org": _organisation(org),
        "permissions": ["ar:owner"] if org in record.owns else ["member"],
        "expires_at": None,
    }


def _user(user_id: str, record: SimulatedRecord) -> dict[str, Any]:
    return {
        "id": user_id,
        "object": "user",
        "realm_id": REALM_ID,
        "state": "inactive" if record.gone else "active",
        "email": f"{record.number.lower()}@acorn.example",
        "name": record.name,
        "first_name": record.name,
        "last_name": record.note or None,
        "reference": record.number,
        "custom": {},
    }
