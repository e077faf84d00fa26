"""Who reads an account: keys from the vault, or a role taken with them. Asked of STS once an account and hour."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from shared.assets.aws.clients import AwsClients
from shared.assets.aws.errors import AccessContext, classify, refused_key
from shared.assets.aws.keys import AwsKeys, Caller, RoleSession
from shared.assets.documents.aws_access import AccessKeyDocument, WebIdentityDocument
from shared.assets.documents.aws_tenants import AccountDocument, AwsTenantDocument
from shared.errors import DeskbridgeError, MisconfiguredError
from shared.reasons import Reason
from shared.vaults.model import Credentials, CredentialUser

_SESSION_NAME = "deskbridge"
# A role's keys are good for an hour. Shorter than this they may end before a large region is read.
_RENEW_BEFORE = timedelta(minutes=10)
# An access key's own account does not change, but the key may be switched off.
_KEY_BELIEVED_FOR = timedelta(hours=1)
# Each has some 2 KB.
_MOST_SESSIONS = 2_000
# Two parts of one account ask once; so many accounts are asked side by side.
_SIDE_BY_SIDE = 64


@dataclass(frozen=True)
class Asker:
    """Who takes a role, or reads its own account: an access key, or the managed identity for an audience."""

    keys: AwsKeys | None
    audience: str = ""
    client_id: str = ""


_Key = tuple[Asker, str, str]


class AwsSessions:
    """Gives keys that work. Safe to share between threads.

    `identity_token` gives the managed identity's token for an audience, for access without keys.
    """

    def __init__(
        self,
        clients: AwsClients,
        credentials: Credentials,
        identity_token: Callable[[str, str | None], str],
        now: Callable[[], datetime],
    ) -> None:
        self._clients = clients
        self._credentials = credentials
        self._identity_token = identity_token
        self._now = now
        self._sessions: OrderedDict[_Key, RoleSession] = OrderedDict()
        self._lock = threading.Lock()
        self._asking = [threading.Lock() for _ in range(_SIDE_BY_SIDE)]

    def identify(
        self, document: AwsTenantDocument, account: AccountDocument | None, tenant: str, *, fresh: bool = False
    ) -> RoleSession:
        """Keys that work, and whose they are; `fresh` asks STS although it was asked within the hour.

        A key that AWS refuses is fetched anew from the vault, once. Raises DeskbridgeError; a stranger's account is
        one too. `tenant` is the name of the document: without it no credential of one tenant can be read.
        """
        try:
            return self._identify(document, account, tenant, fresh=fresh)
        except DeskbridgeError as error:
            if not refused_key(error) or not isinstance(document.access, AccessKeyDocument):
                raise
            self._credentials.invalidate(document.access.secret)
            return self._identify(document, account, tenant, fresh=True)

    def _identify(
        self, document: AwsTenantDocument, account: AccountDocument | None, tenant: str, *, fresh: bool
    ) -> RoleSession:
        # The keys themselves are part of who asks: rotated ones must not live on in what the old ones were given.
        asker = self._asker(document, account, CredentialUser(AwsTenantDocument.kind, tenant))
        role = account.role or "" if account is not None else ""
        key = (asker, role, account.external_id or "" if account is not None else "")
        with self._asking[hash(key) % _SIDE_BY_SIDE]:
            session = None if fresh else self._kept(key)
            if session is None:
                session = self._open(document, account, asker)
                self._keep(key, session)
        expected = account.account if account is not None else session.caller.account
        if session.caller.account != expected:
            raise MisconfiguredError(
                Reason.AWS_ACCOUNT_DIFFERS,
                f"The access for account {expected} belongs to account {session.caller.account} "
                f"({session.caller.arn}).",
                remedy="Name the right account, or give the account a role to assume.",
            )
        return session

    def _kept(self, key: _Key) -> RoleSession | None:
        with self._lock:
            session = self._sessions.get(key)
            if session is None or session.until <= self._now():
                return None
            self._sessions.move_to_end(key)
            return session

    def _keep(self, key: _Key, session: RoleSession) -> None:
        with self._lock:
            self._sessions[key] = session
            self._sessions.move_to_end(key)
            while len(self._sessions) > _MOST_SESSIONS:
                self._sessions.popitem(last=False)

    def _asker(self, document: AwsTenantDocument, account: AccountDocument | None, user: CredentialUser) -> Asker:
        access = document.access
        if isinstance(access, WebIdentityDocument):
            if account is None or account.role is None:
                raise MisconfiguredError(
                    Reason.DOCUMENT_INVALID,
                    "Access by web identity needs a role.",
                    remedy="Give every account its role.",
                )
            return Asker(None, access.audience, access.client_id or "")
        if access.access_key_id is not None:
            return Asker(AwsKeys(access.access_key_id, self._credentials.read(access.secret, user).text.strip()))
        pair = self._credentials.read_pair(access.secret, user)
        return Asker(AwsKeys(pair.username.strip(), pair.password.strip()))

    def _open(self, document: AwsTenantDocument, account: AccountDocument | None, asker: Asker) -> RoleSession:
        """Asked of STS, where the tenant is at home: what that gives is good in every region, opt-in ones included."""
        region = document.home
        if account is not None and account.role is not None:
            return self._assume(account, account.role, asker, region)
        assert asker.keys is not None  # noqa: S101 - else there is a role
        expected = account.account if account is not None else ""
        with explained(AccessContext(expected, region, "sts:GetCallerIdentity")):
            identity = self._clients.sts(asker.keys, region).get_caller_identity()
        caller = Caller(identity["Account"], identity["Arn"])
        return RoleSession(asker.keys, caller, self._now() + _KEY_BELIEVED_FOR)

    def _assume(self, account: AccountDocument, role: str, asker: Asker, region: str) -> RoleSession:
        if asker.keys is not None:
            extra = {"ExternalId": account.external_id} if account.external_id is not None else {}
            with explained(AccessContext(account.account, region, "sts:AssumeRole", role=role)):
                sts = self._clients.sts(asker.keys, region)
                answer = sts.assume_role(RoleArn=role, RoleSessionName=_SESSION_NAME, **extra)  # type: ignore[arg-type] # one text argument, if any
                credentials, arn = answer["Credentials"], answer["AssumedRoleUser"]["Arn"]
        else:
            token = self._identity_token(asker.audience, asker.client_id or None)
            with explained(AccessContext(account.account, region, "sts:AssumeRoleWithWebIdentity", role=role)):
                # Unsigned: the token is the proof, so there are no keys to give.
                sts = self._clients.sts(AwsKeys("unsigned", "unsigned"), region)
                given = sts.assume_role_with_web_identity(
                    RoleArn=role, RoleSessionName=_SESSION_NAME, WebIdentityToken=token
                )
                credentials, arn = given["Credentials"], given["AssumedRoleUser"]["Arn"]
        keys = AwsKeys(credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"])
        until = credentials["Expiration"].astimezone(UTC) - _RENEW_BEFORE
        return RoleSession(keys, Caller(arn.split(":")[4], arn), until)


@contextmanager
def explained(context: AccessContext) -> Iterator[None]:
    """Errors of botocore as refusals of the product's own."""
    try:
        yield
    except (ClientError, BotoCoreError, ResponseParserError) as error:
        raise classify(error, context) from error
