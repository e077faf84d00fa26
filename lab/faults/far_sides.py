"""The far sides of a simulation: Key Vault, EC2 and AuthRocket, as a story has them, and on their bad days.

EC2 is stood in for behind the product's own reader, with botocore's errors; AuthRocket behind requests, as answers on
the wire, so that the product's reader with its retries is part of what is tried.
"""

import email.utils
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
import requests.adapters
import urllib3
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, ReadTimeoutError

from lab.faults.disturbances import Disturbances
from lab.faults.simulation import Simulation
from lab.faults.story import REALM_ID, Story, SweptObject, Thing
from shared.assets.refusals import AccessContext, classify
from shared.errors import MisconfiguredError, TryLaterError
from shared.reasons import Reason
from shared.settings.documents.aws_tenants import ALL_REGIONS, AccountDocument, AwsTenantDocument
from shared.settings.documents.credential_stores import CredentialStore
from shared.settings.documents.vault_addresses import SecretAddress
from shared.tickets.model import ObjectType
from shared.tickets.sweeping import Listed
from shared.vaults.model import SecretValue, json_fields

ENDPOINT = "https://simulated.authrocket.example/v2"
# Each occurs nowhere by chance: they are what is searched for wherever the product wrote.
SECRETS: Mapping[str, str] = {
    "aws": "leak-aws-5f0e63b2c1-~/+secret",
    "authrocket": "ks_leak-authrocket-9d41c07ab2-~",
    "webhook": "leak-webhook-77aa10b3f4-~/+ &secret",
}
WEBHOOK_USER = "event-grid"

_EC2_CODES = (
    "RequestLimitExceeded",
    "InternalError",
    "Unavailable",
    "ExpiredToken",
    "RequestTimeTooSkewed",
    "UnauthorizedOperation",
    "AuthFailure",
)
_EC2_FAULTS = (*_EC2_CODES, "refused", "reset", "timed out", "unparsable", "slow")
_REALM_FAULTS = (
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
    "repeated page",
    "empty page",
)


class FarVault:
    """Key Vault: the three secrets of the desk."""

    def __init__(self, simulation: Simulation, disturbances: Disturbances) -> None:
        self._simulation = simulation
        self._disturbances = disturbances

    def may_list(self, store_name: str, store: CredentialStore) -> bool:  # noqa: ARG002 - the protocol's
        return True

    def fetch(self, store_name: str, store: CredentialStore, address: SecretAddress) -> SecretValue:
        fault = self._disturbances.happens(
            "vault", self._disturbances.rates.vaults, ("unreachable", "forbidden", "slow")
        )
        if fault == "unreachable":
            raise TryLaterError(Reason.VAULT_UNREACHABLE, f"The vault of {store_name} does not answer.")
        if fault == "forbidden":
            raise MisconfiguredError(
                Reason.VAULT_PERMISSION_MISSING, f"The vault of {store_name} refuses the identity."
            )
        if fault == "slow":
            self._simulation.sleep(self._disturbances.slowness())
        text = SECRETS[address.name]
        if address.name == "webhook":
            text = json.dumps({"username": WEBHOOK_USER, "password": text})
        return SecretValue(text, json_fields(text), store.name_of_vault, address.name, "1")


class FarObjects:
    """The lists of one vault's objects, by their properties."""

    def __init__(self, story: Story, vault: str, simulation: Simulation, disturbances: Disturbances) -> None:
        self._objects = story.swept.get(vault, ())
        self._simulation = simulation
        self._disturbances = disturbances

    def objects(self, object_type: ObjectType) -> Iterator[Listed]:
        for one in self._objects:
            self._perhaps_fail()
            if one.object_type == object_type:
                yield _listed(one, with_version=False)

    def versions(self, object_type: ObjectType, name: str) -> list[Listed]:
        self._perhaps_fail()
        return [
            _listed(one, with_version=True)
            for one in self._objects
            if (one.object_type, one.name) == (object_type, name.casefold())
        ]

    def _perhaps_fail(self) -> None:
        self._simulation.pause()
        rate = self._disturbances.rates.vaults / 6
        fault = self._disturbances.happens("sweep", rate, ("unreachable", "forbidden", "slow"))
        if fault == "unreachable":
            raise TryLaterError(Reason.VAULT_UNREACHABLE, "The vault does not answer.")
        if fault == "forbidden":
            raise MisconfiguredError(Reason.VAULT_PERMISSION_MISSING, "The vault refuses the identity.")
        if fault == "slow":
            self._simulation.sleep(self._disturbances.slowness())


class FarEc2:
    """Stands in for the reader of EC2. A read takes what is there when it begins, as EC2's snapshot does."""

    def __init__(self, story: Story, simulation: Simulation, disturbances: Disturbances) -> None:
        self._story = story
        self._simulation = simulation
        self._disturbances = disturbances

    def regions(self, document: AwsTenantDocument, account: AccountDocument | None) -> Sequence[str]:
        regions = document.regions_of(account)
        if regions != ALL_REGIONS:
            return regions
        assert account is not None
        self._perhaps_fail(account.account, "us-east-1", "ec2:DescribeRegions")
        return [part.split(":")[1] for part in self._story.parts if part.startswith(account.account)]

    def read_instances(
        self, document: AwsTenantDocument, account: AccountDocument | None, region: str, *, page_size: int = 3
    ) -> Iterator[list[Mapping[str, Any]]]:
        del document
        assert account is not None
        self._simulation.pause()
        self._perhaps_fail(account.account, region, "sts:GetCallerIdentity")
        things = dict(self._story.day_at(self._simulation.at).get(f"{account.account}:{region}", {}))
        ids = sorted(things)
        self._disturbances.chances.shuffle(ids)
        for start in range(0, max(len(ids), 1), page_size):
            self._simulation.pause()
            self._perhaps_fail(account.account, region, "ec2:DescribeInstances")
            rate = self._disturbances.rates.far_side
            if self._disturbances.happens("ec2", rate, ("empty page",)):
                yield []
            page = ids[start : start + page_size]
            if start and self._disturbances.happens("ec2", rate, ("instance listed twice",)):
                page = [ids[start - 1], *page]
            yield [_instance(one, things[one], account.account, region) for one in page]

    def _perhaps_fail(self, account: str, region: str, action: str) -> None:
        fault = self._disturbances.happens("ec2", self._disturbances.rates.far_side / 2, _EC2_FAULTS)
        if fault is None:
            return
        if fault == "slow":
            self._simulation.sleep(self._disturbances.slowness())
            return
        caller = "" if action.startswith("sts:") else f"arn:aws:iam::{account}:user/deskbridge"
        raise classify(_botocore_error(fault), AccessContext(account, region, action, caller))


class FarRealm(requests.adapters.HTTPAdapter):
    """AuthRocket's API for one realm, behind requests."""

    def __init__(self, story: Story, simulation: Simulation, disturbances: Disturbances) -> None:
        super().__init__()
        self._story = story
        self._simulation = simulation
        self._disturbances = disturbances

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        del args, kwargs
        self._simulation.pause()
        fault = self._disturbances.happens("authrocket", self._disturbances.rates.far_side, _REALM_FAULTS)
        if fault == "slow":
            self._simulation.sleep(self._disturbances.slowness())
        if fault in {"refused", "reset"}:
            raise requests.exceptions.ConnectionError(f"simulated: {fault}")
        if fault == "timed out":
            raise requests.exceptions.ReadTimeout("simulated")
        status, body, headers = self._answer(request, fault)
        content: Any = io.BytesIO(body)
        headers = {"Content-Length": str(len(body)), "Content-Type": "application/json", **headers}
        if fault == "truncated":
            content = io.BytesIO(body[: len(body) // 2])
        raw = urllib3.HTTPResponse(
            content, headers, status=status, preload_content=False, enforce_content_length=True, request_method="GET"
        )
        return self.build_response(request, raw)

    def _answer(self, request: requests.PreparedRequest, fault: str | None) -> tuple[int, bytes, dict[str, str]]:
        if request.headers.get("Authrocket-Api-Key") != SECRETS["authrocket"] or fault == "403":
            return 403, b'{"error": "API authentication failed"}', {}
        if fault is not None and fault[:3].isdigit():
            waits = {"Retry-After": "7"} if "Retry-After" in fault else {}
            return int(fault[:3]), b'{"error": "later"}', {**waits, "Date": email.utils.format_datetime(self._date())}
        if fault == "malformed":
            return 200, b'{"collection": [{"id": "usr_', {}
        if fault == "html":
            return 200, b"<!doctype html><title>Sign in</title>", {}
        parameters = {name: values[0] for name, values in parse_qs(urlsplit(request.url or "").query).items()}
        users = self._story.day_at(self._simulation.at).get(REALM_ID, {})
        after = "" if fault == "repeated page" else parameters.get("after", "")
        ids = [one for one in sorted(users) if one > after]
        size = int(parameters["max_results"])
        shown = [] if fault == "empty page" else ids[:size]
        more = len(ids) > len(shown)
        content = {"collection": [_user(one, users[one]) for one in shown], "more_results": more}
        return 200, json.dumps(content).encode(), {}

    def _date(self) -> Any:
        return self._simulation.at


def _listed(one: SweptObject, *, with_version: bool) -> Listed:
    return Listed(
        name=one.name,
        enabled=one.enabled,
        created_at=one.created_at,
        updated_at=one.created_at,
        version=one.version if with_version else "",
        expires_at=one.expires_at,
    )


def _instance(instance_id: str, thing: Thing, account: str, region: str) -> dict[str, Any]:
    return {
        "InstanceId": instance_id,
        "State": {"Name": "terminated" if thing.gone else "running"},
        "InstanceType": f"t3.{thing.kind}",
        "tags": {"Name": thing.name, "AssetNumber": thing.number, "Note": thing.note},
        "account": account,
        "region": region,
    }


def _user(user_id: str, thing: Thing) -> dict[str, Any]:
    return {
        "id": user_id,
        "object": "user",
        "realm_id": REALM_ID,
        "state": "inactive" if thing.gone else "active",
        "email": f"{thing.number.lower()}@acorn.example",
        "name": thing.name,
        "first_name": thing.name,
        "last_name": thing.note or None,
        "reference": thing.number,
        "custom": {},
    }


def _botocore_error(fault: str) -> Exception:
    endpoint = {"endpoint_url": "https://ec2.simulated.example"}
    if fault == "refused":
        return EndpointConnectionError(**endpoint)
    if fault == "reset":
        return ConnectionClosedError(**endpoint)
    if fault == "timed out":
        return ReadTimeoutError(**endpoint)
    code, status = (fault, 400) if fault != "unparsable" else ("502", 502)
    answer: Any = {"Error": {"Code": code, "Message": "simulated"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "Simulated")
