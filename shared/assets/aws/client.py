"""AWS as the import sees it: who reads, regions and instances. The only place that knows EC2's own shapes."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from shared.assets.aws.clients import ATTEMPTS, AwsClients
from shared.assets.aws.errors import AccessContext
from shared.assets.aws.keys import Caller
from shared.assets.aws.organization import Organization
from shared.assets.aws.parser import members_of
from shared.assets.aws.sessions import AwsSessions, explained
from shared.assets.documents.aws_tenants import ALL_REGIONS, AccountDocument, AwsTenantDocument
from shared.assets.mapping import FAULT, completed
from shared.errors import DeskbridgeError, TryLaterError
from shared.reasons import Reason
from shared.vaults.model import Credentials

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import FilterTypeDef

# The most that EC2 gives; each page is one request of the account's rate limit.
PAGE_SIZE = 1000


class Ec2:
    """Reads the accounts of tenants. Safe to share between threads.

    `tenant` is the name of the document, everywhere: without it no credential of one tenant can be read.
    """

    def __init__(
        self,
        credentials: Credentials,
        identity_token: Callable[[str, str | None], str],
        now: Callable[[], datetime],
        *,
        attempts: int = ATTEMPTS,
    ) -> None:
        """`identity_token` gives the managed identity's token for an audience, for access without keys."""
        self._clients = AwsClients(attempts=attempts)
        self._sessions = AwsSessions(self._clients, credentials, identity_token, now)
        self.organization = Organization(self._clients, self._sessions)

    def caller(self, document: AwsTenantDocument, account: AccountDocument | None, *, tenant: str = "") -> Caller:
        """Who reads the account. Needs no permission. Raises DeskbridgeError; a stranger's account is one too."""
        return self._sessions.identify(document, account, tenant).caller

    def regions(
        self, document: AwsTenantDocument, account: AccountDocument | None, *, tenant: str = ""
    ) -> Sequence[str]:
        """The regions of the document, or all that the account has enabled."""
        regions = document.regions_of(account)
        if regions != ALL_REGIONS:
            return regions
        session = self._sessions.identify(document, account, tenant)
        caller = session.caller
        with explained(AccessContext(caller.account, document.home, "ec2:DescribeRegions", caller.arn)):
            answer = self._clients.ec2(session.keys, document.home).describe_regions(AllRegions=False)
        return sorted(region.get("RegionName", "") for region in answer["Regions"])

    def read_instances(
        self,
        document: AwsTenantDocument,
        account: AccountDocument | None,
        region: str,
        *,
        tenant: str = "",
        page_size: int = PAGE_SIZE,
    ) -> Iterator[list[Mapping[str, Any]]]:
        """The instances of a region, page by page; ending means that all were read.

        An instance is as EC2 gives it, with `account`, `region` and `tags` (a mapping) added. Of its structures and
        lists it has those that the document names, and where it stands (`State`, `Placement`, `Tags`).
        """
        session = self._sessions.identify(document, account, tenant)
        filters: list[FilterTypeDef] = [{"Name": one.name, "Values": list(one.values)} for one in document.filters]
        caller = session.caller
        try:
            with explained(AccessContext(caller.account, region, "ec2:DescribeInstances", caller.arn)):
                client = self._clients.ec2(session.keys, region, members_of(document, self._clients.instance_shape()))
                paginator = client.get_paginator("describe_instances")
                pages = paginator.paginate(Filters=filters, PaginationConfig={"PageSize": page_size})
                for page in cast("Iterable[Any]", pages):
                    # Taken out, and let go of: the paginator keeps its answer until it has the next one.
                    found: list[Mapping[str, Any]] = [
                        _completed(instance, reservation.get("OwnerId", caller.account), region)
                        for reservation in page.pop("Reservations", [])
                        for instance in reservation.get("Instances", ())
                    ]
                    yield found
                    del found
        except DeskbridgeError as error:
            if error.reason is Reason.AWS_REGION_DISABLED and session.keys.session_token is None:
                # EC2 says the same of a key that has been switched off since STS was asked about it.
                now = self._sessions.identify(document, account, tenant, fresh=True)
                if now.keys != session.keys:
                    raise TryLaterError(
                        Reason.AWS_TOKEN_EXPIRED,
                        f"The access key was replaced while account {caller.account}, {region} was read.",
                        remedy="It is read again with the new one.",
                    ) from error
            raise


def _completed(instance: Any, account: str, region: str) -> dict[str, Any]:
    if not instance.get("InstanceId"):
        return {"InstanceId": "", FAULT: "EC2 gives an instance without an id."}
    return completed(instance, account, region)
