"""Far sides of a simulation: Key Vault, EC2 and dead letters, as a scenario has them, and on their bad days.

EC2 is stood in for behind the product's own reader, with botocore's errors, and the container of dead letters behind
its client, with azure-core's; AuthRocket is in `simulated_authrocket`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, ReadTimeoutError

from lab.faults.disturbances import Disturbances, PoorAnswers
from lab.faults.scenario import BEGINS, Scenario, SimulatedRecord, SweptObject
from lab.faults.secret_rotation import accepted, stored
from lab.faults.simulation import Simulation
from shared.assets.aws.client import Ec2
from shared.assets.aws.errors import AccessContext, classify
from shared.assets.aws.keys import AwsKeys, Caller, RoleSession
from shared.assets.aws.sessions import Asker, AwsSessions
from shared.assets.documents.aws_tenants import ALL_REGIONS, AccountDocument, AwsTenantDocument
from shared.errors import MisconfiguredError, TryLaterError
from shared.reasons import Reason
from shared.tickets.domain.model import ObjectType
from shared.tickets.inbound.listed_objects import ObjectProperties
from shared.tickets.inbound.sweep import ObjectsPage
from shared.vaults.documents.credential_stores import CredentialStore
from shared.vaults.documents.vault_addresses import SecretAddress
from shared.vaults.model import Credentials, SecretValue, json_fields

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


class SimulatedVault:
    """Key Vault: the secrets of the desk, which may change on the way."""

    def __init__(self, scenario: Scenario, simulation: Simulation, disturbances: Disturbances) -> None:
        self._scenario = scenario
        self._simulation = simulation
        self._disturbances = disturbances

    def check_list(self, store_name: str, store: CredentialStore) -> None:
        """It lists."""

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
        at = self._simulation.at
        text = stored(self._scenario, address.name, at)
        rotation = self._scenario.steps.rotations.get(address.name)
        version = "2" if rotation is not None and at >= rotation.stored_at else "1"
        return SecretValue(text, json_fields(text), store.name_of_vault, address.name, version)


class SimulatedVaultObjects:
    """The lists of one vault's objects, by their properties, with the habits of Key Vault: stamps of whole seconds,
    versions in no order, a certificate's own key and secret as managed, and Retry-After."""

    def __init__(self, scenario: Scenario, vault: str, simulation: Simulation, disturbances: Disturbances) -> None:
        self._all = scenario.swept.get(vault, ())
        self._simulation = simulation
        self._disturbances = disturbances

    def page(self, object_type: ObjectType, after: str) -> ObjectsPage:
        del after
        found: list[ObjectProperties] = []
        for one in self._objects:
            self._perhaps_fail()
            if one.object_type == object_type:
                found.append(_listed(one, with_version=False))
        names = {one.name for one in found}
        if object_type is not ObjectType.CERTIFICATE:
            own = [one for one in self._objects if one.object_type == ObjectType.CERTIFICATE and one.name not in names]
            found += [replace(_listed(one, with_version=False), managed=True) for one in own]
        return ObjectsPage(found)

    def versions(self, object_type: ObjectType, name: str) -> list[ObjectProperties]:
        self._perhaps_fail()
        found = [one for one in self._objects if (one.object_type, one.name) == (object_type, name.casefold())]
        return [each for one in found for each in (_listed(one, with_version=True), _earlier(one))]

    @property
    def _objects(self) -> list[SweptObject]:
        at = self._simulation.at
        return [one for one in self._all if one.deleted_at is None or one.deleted_at > at]

    def _perhaps_fail(self) -> None:
        self._simulation.pause()
        rate = self._disturbances.rates.vaults / 6
        fault = self._disturbances.happens("sweep", rate, ("unreachable", "forbidden", "slow", "throttled"))
        if fault == "throttled":
            waits = self._disturbances.rng.choice((1, 5, 40))
            raise TryLaterError(Reason.VAULT_THROTTLED, "The vault asks to wait.", retry_after=waits)
        if fault == "unreachable":
            raise TryLaterError(Reason.VAULT_UNREACHABLE, "The vault does not answer.")
        if fault == "forbidden":
            raise MisconfiguredError(Reason.VAULT_PERMISSION_MISSING, "The vault refuses the identity.")
        if fault == "slow":
            self._simulation.sleep(self._disturbances.slowness())


class SimulatedEc2(Ec2):
    """Stands in for the reader of EC2, but for what that does when a key is refused. A read takes what is there when
    it begins, as EC2's snapshot does."""

    def __init__(
        self, scenario: Scenario, simulation: Simulation, disturbances: Disturbances, credentials: Credentials
    ) -> None:
        # Without the real one's session of botocore: nothing here speaks to AWS.
        self._sessions = _SimulatedSessions(self, credentials, simulation)
        self._scenario = scenario
        self._simulation = simulation
        self._disturbances = disturbances
        # Where somebody confirms whatever is withheld, a poor answer would be believed.
        since = scenario.ends_at if scenario.steps.confirms_brake else BEGINS + timedelta(days=1)
        self._poor_answers = PoorAnswers(disturbances, lambda: simulation.at, since)

    def regions(
        self, document: AwsTenantDocument, account: AccountDocument | None, *, tenant: str = ""
    ) -> Sequence[str]:
        regions = document.regions_of(account)
        if regions != ALL_REGIONS:
            return regions
        caller = self._sessions.identify(document, account, tenant).caller
        self._perhaps_fail(caller.account, "us-east-1", "ec2:DescribeRegions")
        return [part.split(":")[1] for part in self._scenario.parts if part.startswith(caller.account)]

    def open_session(self, account: str, keys: AwsKeys) -> RoleSession:
        """As STS does it. Asked for each part: a key may be switched off within the hour."""
        self._perhaps_fail(account, "us-east-1", "sts:GetCallerIdentity")
        if keys.secret_access_key not in accepted(self._scenario, "aws", self._simulation.at):
            raise classify(
                _botocore_error("SignatureDoesNotMatch"), AccessContext(account, "us-east-1", "sts:GetCallerIdentity")
            )
        return RoleSession(keys, Caller(account, f"arn:aws:iam::{account}:user/deskbridge"), self._simulation.at)

    def read_instances(
        self,
        document: AwsTenantDocument,
        account: AccountDocument | None,
        region: str,
        *,
        tenant: str = "",
        page_size: int = 3,
    ) -> Iterator[list[Mapping[str, Any]]]:
        assert account is not None
        self._simulation.pause()
        self._sessions.identify(document, account, tenant)
        records = dict(self._scenario.records_at(f"{account.account}:{region}", self._simulation.at))
        if self._poor_answers.happens(f"{account.account}:{region}", "ec2"):
            records = {}
        ids = sorted(records)
        self._disturbances.rng.shuffle(ids)
        for start in range(0, max(len(ids), 1), page_size):
            self._simulation.pause()
            self._perhaps_fail(account.account, region, "ec2:DescribeInstances")
            rate = self._disturbances.rates.services
            if self._disturbances.happens("ec2", rate, ("empty page",)):
                yield []
            page = ids[start : start + page_size]
            if start and self._disturbances.happens("ec2", rate, ("instance listed twice",)):
                page = [ids[start - 1], *page]
            yield [_instance(one, records[one], account.account, region) for one in page]

    def _perhaps_fail(self, account: str, region: str, action: str) -> None:
        fault = self._disturbances.happens("ec2", self._disturbances.rates.services / 2, _EC2_FAULTS)
        if fault is None:
            return
        if fault == "slow":
            self._simulation.sleep(self._disturbances.slowness())
            return
        caller = "" if action.startswith("sts:") else f"arn:aws:iam::{account}:user/deskbridge"
        raise classify(_botocore_error(fault), AccessContext(account, region, action, caller))


class _SimulatedSessions(AwsSessions):
    """Keys of the simulated vault, accepted as the scenario says."""

    def __init__(self, ec2: SimulatedEc2, credentials: Credentials, simulation: Simulation) -> None:
        nobody: Any = None
        super().__init__(nobody, credentials, nobody, lambda: simulation.at)
        self._ec2 = ec2

    def _open(self, document: AwsTenantDocument, account: AccountDocument | None, asker: Asker) -> RoleSession:
        del document
        assert account is not None
        assert asker.keys is not None
        return self._ec2.open_session(account.account, asker.keys)


@dataclass
class SimulatedContainer:
    """The container of dead letters, behind the few calls of its client that the product makes."""

    simulation: Simulation
    disturbances: Disturbances
    blobs: dict[str, bytes] = field(default_factory=dict[str, bytes])
    written_at: dict[str, datetime] = field(default_factory=dict[str, datetime])

    def put(self, name: str, content: bytes) -> None:
        """As Event Grid writes one."""
        self.blobs[name] = content
        self.written_at[name] = self.simulation.at

    def list_blobs(self, results_per_page: int = 5000) -> Any:
        self._perhaps_fail()
        found = [
            SimpleNamespace(name=name, size=len(self.blobs[name]), last_modified=self.written_at[name])
            for name in sorted(self.blobs)
        ]
        return _Paged(found, results_per_page)

    def download_blob(self, name: str, *, length: int, offset: int) -> Any:
        del offset
        self._perhaps_fail()
        if name not in self.blobs:
            raise ResourceNotFoundError("no such blob")
        content = self.blobs[name][:length]
        cut = self.disturbances.happens("blob", self.disturbances.rates.storage, ("truncated",))
        came = content[: len(content) // 2] if cut else content
        return SimpleNamespace(readall=lambda: came, size=len(content))

    def delete_blob(self, name: str) -> None:
        self._perhaps_fail()
        if self.blobs.pop(name, None) is None:
            raise ResourceNotFoundError("no such blob")
        self._perhaps_fail(after=True)

    def _perhaps_fail(self, *, after: bool = False) -> None:
        self.simulation.pause()
        self.disturbances.perhaps_kill()
        kinds = ("answer lost",) if after else ("refused", "reset", "timed out", "503", "429", "slow")
        fault = self.disturbances.happens("blob", self.disturbances.rates.storage * 2, kinds)
        if fault == "slow":
            self.simulation.sleep(self.disturbances.slowness())
        elif fault is not None:
            raise _azure_error(fault)


class _Paged(list[Any]):
    """Blobs at once, or by the page."""

    def __init__(self, found: list[Any], size: int) -> None:
        super().__init__(found)
        self._size = size

    def by_page(self, continuation_token: str | None = None) -> Any:
        after = continuation_token or ""
        return iter([[one for one in self if one.name > after][: self._size]])


def _azure_error(fault: str) -> AzureError:
    if fault == "refused":
        return ServiceRequestError("simulated: refused")
    if fault.isdigit():
        error = HttpResponseError(f"simulated: {fault}")
        error.status_code = int(fault)
        return error
    return ServiceResponseError(f"simulated: {fault}")


def _listed(one: SweptObject, *, with_version: bool) -> ObjectProperties:
    return ObjectProperties(
        name=one.name,
        enabled=one.enabled,
        created_at=one.created_at.replace(microsecond=0),
        updated_at=one.created_at.replace(microsecond=0),
        version=one.version if with_version else "",
        expires_at=one.expires_at,
    )


def _earlier(one: SweptObject) -> ObjectProperties:
    """A version of long before, which the list of versions puts behind the current one."""
    created_at = (one.created_at - timedelta(days=400)).replace(microsecond=0)
    return ObjectProperties(one.name, one.enabled, created_at, created_at, "0" * 32)


def _instance(instance_id: str, record: SimulatedRecord, account: str, region: str) -> dict[str, Any]:
    return {
        "InstanceId": instance_id,
        "State": {"Name": "terminated" if record.gone else "running"},
        "InstanceType": f"t3.{record.kind}",
        "tags": {"Name": record.name, "AssetNumber": record.number, "Note": record.note},
        "account": account,
        "region": region,
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
