"""AWS as the import sees it: credentials, regions and instances. The only place that knows EC2's own shapes."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from shared.assets.aws.bounded_session import BoundedSession
from shared.assets.aws.errors import AccessContext, classify, refused_key
from shared.assets.aws.parser import LARGEST_PAGE, LARGEST_SMALL_ANSWER, EC2ParserFactory, ask_for_gzip, members_of
from shared.assets.documents.aws_tenants import (
    ALL_REGIONS,
    AccessKeyDocument,
    AccountDocument,
    AwsTenantDocument,
    WebIdentityDocument,
)
from shared.assets.mapping import with_tags
from shared.errors import DeskbridgeError, MisconfiguredError
from shared.reasons import Reason
from shared.vaults.model import Credentials, CredentialUser

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import FilterTypeDef
    from mypy_boto3_sts import STSClient

# The most that EC2 gives; each page is one request of the account's rate limit.
PAGE_SIZE = 1000
# With the waits of botocore's standard mode that is some two minutes of throttling for one page.
_ATTEMPTS = 10
# A region of each partition that no account can switch off.
_HOME = {"aws": "us-east-1", "aws-us-gov": "us-gov-west-1", "aws-cn": "cn-north-1"}
_SESSION_NAME = "deskbridge"
_PARSERS = "response_parser_factory"
# Each has some MB and is full of circles: more of them at a time, and many accounts would fill the memory.
_MOST_CLIENTS = 32
_RENEW_BEFORE = timedelta(minutes=10)


@dataclass(frozen=True)
class AwsKeys:
    """Keys of a caller; `session_token` and `expires_at` for an assumed role."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None
    expires_at: datetime | None = None

    def __repr__(self) -> str:
        return f"AwsKeys({self.access_key_id[:4]}…)"


@dataclass(frozen=True)
class Caller:
    """Who the keys are, as STS says."""

    account: str
    arn: str


class Ec2:
    """Reads the accounts of tenants. Safe to share between threads.

    `identity_token` gives the managed identity's token for an audience, for access without keys.
    """

    def __init__(
        self,
        credentials: Credentials,
        identity_token: Callable[[str, str | None], str],
        now: Callable[[], datetime],
        *,
        attempts: int = _ATTEMPTS,
    ) -> None:
        self._config = Config(
            retries={"mode": "standard", "total_max_attempts": attempts},
            connect_timeout=10,
            read_timeout=60,
            user_agent_extra="deskbridge",
        )
        self._credentials = credentials
        self._identity_token = identity_token
        self._now = now
        # One session for the process: a second one costs some 37 MiB, another client of the same one 9 ms.
        self._core = botocore.session.get_session()
        self._session = boto3.session.Session(botocore_session=self._core)
        self._lock = threading.Lock()
        # By keys and region: keys are of one account. What is used least goes first.
        self._client: Callable[..., Any] = lru_cache(_MOST_CLIENTS)(self._make_client)
        self._assumed: dict[tuple[str, ...], AwsKeys] = {}

    def caller(self, document: AwsTenantDocument, account: AccountDocument | None, *, tenant: str = "") -> Caller:
        """Who reads the account. Needs no permission. Raises DeskbridgeError; a stranger's account is one too.

        `tenant` is the name of the document, here and below: without it no credential of one tenant can be read.
        """
        return self._identify(document, account, tenant)[1]

    def regions(
        self, document: AwsTenantDocument, account: AccountDocument | None, *, tenant: str = ""
    ) -> Sequence[str]:
        """The regions of the document, or all that the account has enabled."""
        regions = document.regions_of(account)
        if regions != ALL_REGIONS:
            return regions
        keys, caller = self._identify(document, account, tenant)
        with self._errors(AccessContext(caller.account, _HOME[document.partition], "ec2:DescribeRegions", caller.arn)):
            answer = self._ec2(keys, _HOME[document.partition]).describe_regions(AllRegions=False)
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
        keys, caller = self._identify(document, account, tenant)
        filters: list[FilterTypeDef] = [{"Name": one.name, "Values": list(one.values)} for one in document.filters]
        with self._errors(AccessContext(caller.account, region, "ec2:DescribeInstances", caller.arn)):
            client = self._ec2(keys, region, members_of(document, self._instance_shape()))
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

    # Within

    def _identify(
        self, document: AwsTenantDocument, account: AccountDocument | None, tenant: str
    ) -> tuple[AwsKeys, Caller]:
        """Keys that work, and whose they are. A key that AWS refuses is fetched anew from the vault, once."""
        try:
            return self._identify_once(document, account, tenant)
        except DeskbridgeError as error:
            if not refused_key(error) or not isinstance(document.access, AccessKeyDocument):
                raise
            self._credentials.invalidate(document.access.secret)
            with self._lock:
                self._assumed.clear()
            return self._identify_once(document, account, tenant)

    def _identify_once(
        self, document: AwsTenantDocument, account: AccountDocument | None, tenant: str
    ) -> tuple[AwsKeys, Caller]:
        keys = self._keys(document, account, CredentialUser(AwsTenantDocument.kind, tenant))
        region = self._sts_region(document, account)
        expected = account.account if account is not None else ""
        with self._errors(AccessContext(expected, region, "sts:GetCallerIdentity")):
            identity = self._sts(keys, region).get_caller_identity()
        caller = Caller(identity["Account"], identity["Arn"])
        if expected and caller.account != expected:
            raise MisconfiguredError(
                Reason.AWS_ACCOUNT_DIFFERS,
                f"The access for account {expected} belongs to account {caller.account} ({caller.arn}).",
                remedy="Name the right account, or give the account a role to assume.",
            )
        return keys, caller

    def _keys(self, document: AwsTenantDocument, account: AccountDocument | None, user: CredentialUser) -> AwsKeys:
        role = account.role if account is not None else None
        if role is None or account is None:
            return self._base_keys(document, user)
        if isinstance(document.access, WebIdentityDocument):
            who: tuple[str, ...] = ("web", document.access.audience, document.access.client_id or "")
            assume = self._assume_by_token
        else:
            # The key's own id is part of who asks: a rotated key must not live on in what the old one assumed.
            who = ("key", self._base_keys(document, user).access_key_id)
            assume = self._assume_by_key
        cache_key = (*who, role, account.external_id or "")
        with self._lock:
            known = self._assumed.get(cache_key)
        if known is not None and known.expires_at is not None and known.expires_at - self._now() > _RENEW_BEFORE:
            return known
        keys = assume(document, account, role, user)
        with self._lock:
            self._assumed[cache_key] = keys
        return keys

    def _base_keys(self, document: AwsTenantDocument, user: CredentialUser) -> AwsKeys:
        access = document.access
        if not isinstance(access, AccessKeyDocument):
            raise MisconfiguredError(
                Reason.DOCUMENT_INVALID, "Access by web identity needs a role.", remedy="Give every account its role."
            )
        if access.access_key_id is not None:
            return AwsKeys(access.access_key_id, self._credentials.read(access.secret, user).text.strip())
        pair = self._credentials.read_pair(access.secret, user)
        return AwsKeys(pair.username.strip(), pair.password.strip())

    def _assume_by_key(
        self, document: AwsTenantDocument, account: AccountDocument, role: str, user: CredentialUser
    ) -> AwsKeys:
        region = self._sts_region(document, account)
        extra = {"ExternalId": account.external_id} if account.external_id is not None else {}
        with self._errors(AccessContext(account.account, region, "sts:AssumeRole", role=role)):
            sts = self._sts(self._base_keys(document, user), region)
            answer = sts.assume_role(RoleArn=role, RoleSessionName=_SESSION_NAME, **extra)  # type: ignore[arg-type] # one text argument, if any
        return _to_keys(answer["Credentials"])

    def _assume_by_token(
        self, document: AwsTenantDocument, account: AccountDocument, role: str, user: CredentialUser
    ) -> AwsKeys:
        del user
        assert isinstance(document.access, WebIdentityDocument)  # noqa: S101 - the caller chose by it
        region = self._sts_region(document, account)
        token = self._identity_token(document.access.audience, document.access.client_id)
        with self._errors(AccessContext(account.account, region, "sts:AssumeRoleWithWebIdentity", role=role)):
            # Unsigned: the token is the proof, so there are no keys to give.
            sts = self._sts(AwsKeys("unsigned", "unsigned"), region)
            answer = sts.assume_role_with_web_identity(
                RoleArn=role, RoleSessionName=_SESSION_NAME, WebIdentityToken=token
            )
        return _to_keys(answer["Credentials"])

    def _sts_region(self, document: AwsTenantDocument, account: AccountDocument | None) -> str:
        """Where to ask STS: tokens of a regional endpoint are good in every region, opt-in ones included."""
        del account
        return _HOME[document.partition]

    def _instance_shape(self) -> Any:
        output: Any = self._core.get_service_model("ec2").operation_model("DescribeInstances").output_shape
        return output.members["Reservations"].member.members["Instances"].member

    def _ec2(self, keys: AwsKeys, region: str, members: frozenset[str] = frozenset()) -> "EC2Client":
        """A client whose instances have these members."""
        return cast("EC2Client", self._client("ec2", keys, region, members))

    def _sts(self, keys: AwsKeys, region: str) -> "STSClient":
        return cast("STSClient", self._client("sts", keys, region))

    def _make_client(self, service: Any, keys: AwsKeys, region: str, members: frozenset[str] = frozenset()) -> Any:
        # Making a client is not thread-safe in boto3; using one is.
        with self._lock:
            # A client takes the parsers that its session has when it is made.
            self._core.register_component(_PARSERS, EC2ParserFactory(members))
            client: Any = self._session.client(
                service,
                region_name=region,
                aws_access_key_id=keys.access_key_id,
                aws_secret_access_key=keys.secret_access_key,
                aws_session_token=keys.session_token,
                config=self._config,
            )
        largest = LARGEST_PAGE if service == "ec2" else LARGEST_SMALL_ANSWER
        # botocore makes the session itself, and lets nobody say which.
        client._endpoint.http_session = BoundedSession(client._endpoint.http_session, largest)  # noqa: SLF001
        if service == "ec2":
            ask_for_gzip(client)
        return client

    @contextmanager
    def _errors(self, context: AccessContext) -> Iterator[None]:
        try:
            yield
        except (ClientError, BotoCoreError, ResponseParserError) as error:
            raise classify(error, context) from error


def _to_keys(credentials: Any) -> AwsKeys:
    return AwsKeys(
        credentials["AccessKeyId"],
        credentials["SecretAccessKey"],
        credentials["SessionToken"],
        credentials["Expiration"].astimezone(UTC),
    )


def _completed(instance: Any, account: str, region: str) -> dict[str, Any]:
    instance["account"], instance["region"] = account, region
    return with_tags(instance)
