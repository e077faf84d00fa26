"""AWS Organizations as far as an importer asks: the accounts, what is above one, its tags. JSON, not XML."""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lab.emulators.ec2.identity import AccessKey
from lab.emulators.ec2.refusals import RefusalError

TARGET = "AWSOrganizationsV20161128."
JSON_TYPE = "application/x-amz-json-1.1"
ROOT = "r-lab0"
# The most that AWS gives on one page, whatever is asked for.
PAGE_SIZE = 20


@dataclass(frozen=True)
class Member:
    """An account of the organization. `unit` is the id of the organizational unit that it is in."""

    account: str
    name: str
    state: str = "ACTIVE"
    unit: str = ROOT
    tags: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Unit:
    """An organizational unit, and the id of what is above it."""

    id: str
    name: str
    parent: str = ROOT


class OrganizationTree:
    """The accounts and units. `administrators` are the accounts that may ask: the management's, and the delegated."""

    def __init__(self, administrators: tuple[str, ...]) -> None:
        self.administrators = set(administrators)
        self._members: dict[str, Member] = {}
        self._units: dict[str, Unit] = {}
        self._lock = threading.Lock()

    def put(self, *members: Member) -> None:
        """Add accounts, or change them."""
        with self._lock:
            self._members.update({member.account: member for member in members})

    def put_units(self, *units: Unit) -> None:
        with self._lock:
            self._units.update({unit.id: unit for unit in units})

    def remove(self, account: str) -> None:
        with self._lock:
            del self._members[account]

    def clear(self) -> None:
        with self._lock:
            self._members.clear()
            self._units.clear()

    def answer(self, caller: AccessKey, action: str, asked: Mapping[str, str]) -> bytes:
        """The answer's JSON. Raises RefusalError for what AWS refuses."""
        if not self._members:
            raise RefusalError("AWSOrganizationsNotInUseException", "Your account is not a member of an organization.")
        if caller.account not in self.administrators:
            raise RefusalError("AccessDeniedException", "You don't have permissions to access this resource.")
        with self._lock:
            return json.dumps(self._answer(action, asked)).encode()

    def _answer(self, action: str, asked: Mapping[str, str]) -> dict[str, Any]:
        match action:
            case "ListAccounts":
                return self._page(asked)
            case "ListParents":
                above = self._above(asked["ChildId"])
                kind = "ROOT" if above == ROOT else "ORGANIZATIONAL_UNIT"
                return {"Parents": [{"Id": above, "Type": kind}]}
            case "DescribeOrganizationalUnit":
                unit = self._units.get(asked["OrganizationalUnitId"])
                if unit is None:
                    raise RefusalError("OrganizationalUnitNotFoundException", "There is no such unit.")
                return {"OrganizationalUnit": {"Id": unit.id, "Arn": f"arn:lab:{unit.id}", "Name": unit.name}}
            case "ListTagsForResource":
                member = self._members.get(asked["ResourceId"])
                if member is None:
                    raise RefusalError("TargetNotFoundException", "There is no such account.")
                return {"Tags": [{"Key": key, "Value": value} for key, value in member.tags.items()]}
        raise RefusalError("UnknownOperationException", f"There is no {action} here.")

    def _page(self, asked: Mapping[str, str]) -> dict[str, Any]:
        start = int(asked.get("NextToken") or 0)
        members = [self._members[account] for account in sorted(self._members)]
        page = members[start : start + PAGE_SIZE]
        accounts = [
            {
                "Id": one.account,
                "Arn": f"arn:aws:organizations::{one.account}:account/o-lab/{one.account}",
                "Email": f"{one.account}@acorn.example",
                "Name": one.name,
                "State": one.state,
                "JoinedMethod": "CREATED",
                "JoinedTimestamp": 1_700_000_000,
            }
            for one in page
        ]
        more = {"NextToken": str(start + PAGE_SIZE)} if start + PAGE_SIZE < len(members) else {}
        return {"Accounts": accounts, **more}

    def _above(self, child: str) -> str:
        if child in self._members:
            return self._members[child].unit
        if child in self._units:
            return self._units[child].parent
        raise RefusalError("ChildNotFoundException", "There is no such child.")


def refusal_body(refusal: RefusalError) -> bytes:
    """As the JSON protocol says it."""
    return json.dumps({"__type": refusal.code, "message": refusal.message, "Message": refusal.message}).encode()
