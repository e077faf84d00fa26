"""AWS Organizations as the import sees it: which accounts there are, and what is known of one."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.assets.accounts import OrganizationAccount, OrganizationAccounts
from shared.assets.aws.clients import AwsClients
from shared.assets.aws.errors import AccessContext
from shared.assets.aws.keys import RoleSession
from shared.assets.aws.sessions import AwsSessions, explained
from shared.assets.documents.aws_tenants import AwsTenantDocument
from shared.errors import TryLaterError
from shared.reasons import Reason

_ACTIVE = "ACTIVE"


class Organization:
    """Asks the organization of a tenant, from its management account or a delegated administrator's."""

    def __init__(self, clients: AwsClients, sessions: AwsSessions) -> None:
        self._clients = clients
        self._sessions = sessions

    def accounts(self, document: AwsTenantDocument, tenant: str) -> OrganizationAccounts:
        """Every account. Twenty are a page, which is all that AWS gives."""
        session = self._asker(document, tenant)
        # The access key reads its own account itself. A role is nobody's own.
        own = session.caller.account if session.keys.session_token is None else ""
        found: dict[str, OrganizationAccount] = {}
        left_out = 0
        for page in self._pages(document, session, "ListAccounts", "list_accounts"):
            for account in page["Accounts"]:
                # `Status` was what `State` is now; AWS takes it away.
                if account.get("State", account.get("Status")) == _ACTIVE:
                    found[account["Id"]] = OrganizationAccount(
                        account["Id"], account.get("Name", ""), account["Id"] == own
                    )
                else:
                    left_out += 1
        if not found:
            # The management account is always one of them.
            raise TryLaterError(
                Reason.AWS_ANSWER_BROKEN,
                "AWS Organizations lists no account at all.",
                remedy="It is asked again by itself.",
            )
        return OrganizationAccounts(list(found.values()), left_out)

    def units_of(self, document: AwsTenantDocument, tenant: str, account_id: str) -> Sequence[str]:
        """Ids and names of the organizational units above an account, from below."""
        session = self._asker(document, tenant)
        found: list[str] = []
        child = account_id
        while True:
            # Five levels of units are the most that there are.
            [parent, *_] = next(self._pages(document, session, "ListParents", "list_parents", ChildId=child))["Parents"]
            if parent["Type"] != "ORGANIZATIONAL_UNIT":
                return found
            child = parent["Id"]
            with explained(self._context(document, session, "DescribeOrganizationalUnit")):
                answer = self._client(document, session).describe_organizational_unit(OrganizationalUnitId=child)
            found += [child, answer["OrganizationalUnit"]["Name"]]

    def tags_of(self, document: AwsTenantDocument, tenant: str, account_id: str) -> Mapping[str, str]:
        """The tags of an account."""
        session = self._asker(document, tenant)
        pages = self._pages(document, session, "ListTagsForResource", "list_tags_for_resource", ResourceId=account_id)
        return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}

    # Within

    def _asker(self, document: AwsTenantDocument, tenant: str) -> RoleSession:
        return self._sessions.identify(document, document.organization_asker, tenant)

    def _client(self, document: AwsTenantDocument, session: RoleSession) -> Any:
        return self._clients.organizations(session.keys, document.home)

    def _context(self, document: AwsTenantDocument, session: RoleSession, action: str) -> AccessContext:
        caller = session.caller
        return AccessContext(caller.account, document.home, f"organizations:{action}", caller.arn)

    def _pages(
        self, document: AwsTenantDocument, session: RoleSession, action: str, operation: str, **asked: str
    ) -> Iterator[Any]:
        with explained(self._context(document, session, action)):
            # A page may be empty and have others after it, which botocore's paginator knows.
            yield from self._client(document, session).get_paginator(operation).paginate(**asked)
