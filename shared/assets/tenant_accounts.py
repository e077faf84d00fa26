"""Which accounts and regions of AWS a tenant's import reads, found out piece by piece."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.assets.accounts import AccountAnswers, AccountDirectory, AccountListing
from shared.assets.documents.aws_tenants import ALL_REGIONS, AccountDocument, AwsTenantDocument
from shared.errors import NotFoundError
from shared.imports.sources import Expansion
from shared.reasons import Reason
from shared.text import escape_key

if TYPE_CHECKING:
    from shared.assets.aws.client import Ec2

# Parts that read no instances: the accounts of the organization, and the regions of one account.
_ORGANIZATION = "accounts of the organization"
_REGIONS = "regions of "
_OWN_ACCOUNT = "own account"
_FIRST_DAY = timedelta(days=1)


@dataclass(frozen=True)
class TenantAccounts:
    """The accounts of one tenant's document, which was written at `changed_at`."""

    tenant: str
    document: AwsTenantDocument
    changed_at: datetime
    directory: AccountDirectory
    ec2: Callable[[], "Ec2"]

    def parts(self) -> Sequence[str]:
        """What can be told without asking AWS."""
        document = self.document
        if document.reads_own_account:
            return [_REGIONS + _OWN_ACCOUNT]
        found = [_ORGANIZATION] if document.organization is not None else []
        for account in document.accounts:
            found += self._parts_of(account, asks=False)
        return found

    def expand(self, part: str, after: str = "", most: int | None = None) -> Expansion:
        """The parts that a part finds which is no region. `after` and `most` are as `SyncSource` says."""
        if part == _ORGANIZATION:
            return self._in_organization(after, most)
        account_id = part.removeprefix(_REGIONS)
        if account_id == _OWN_ACCOUNT:
            own = self.ec2().caller(self.document, None, tenant=self.tenant).account
            self.directory.save_own(self.tenant, own)
            return self._regions_of(own, None)
        return self._regions_of(account_id, self.account(account_id))

    def account(self, account_id: str) -> AccountDocument | None:
        """The account's entry; None for what the access key itself reads. Raises NotFoundError."""
        document = self.document
        if document.reads_own_account:
            return None
        found = document.named_accounts.get(account_id) or self._found(account_id)
        if found is not None:
            return found
        raise NotFoundError(
            Reason.NOT_FOUND,
            f"The account {account_id} is none of the tenant {self.tenant} any more.",
            remedy="The next import leaves it out.",
        )

    def reads(self, account_id: str, region: str) -> bool:
        """Whether the tenant reads the region of the account, as far as is known without asking AWS."""
        document = self.document
        account = document.named_accounts.get(account_id)
        if document.reads_own_account:
            if self.directory.own(self.tenant) != account_id:
                return False
        elif account is None:
            account = self._found(account_id)
            if account is None:
                return False
            if self._asks_of_each():
                answers = self.directory.answers(self.tenant, account_id)
                if answers is None or not self._is_included(account_id, answers):
                    return False
        if not document.reads(account, region):
            return False
        if document.regions_of(account) != ALL_REGIONS:
            return True
        # What the account has switched off is not read.
        answers = self.directory.answers(self.tenant, account_id)
        return answers is None or region in answers.regions

    def may_read(self, account_id: str, region: str) -> bool:
        """Whether the tenant reads the region, or nobody can tell before AWS has been asked for this document."""
        return self.reads(account_id, region) or not self._is_known(account_id)

    def to_check(self, ec2: "Ec2", most: int) -> tuple[Sequence[AccountDocument], str]:
        """The first of all accounts, and a sentence on the organization and on the others."""
        document, organization = self.document, self.document.organization
        accounts, said = list(document.accounts), list[str]()
        if organization is not None:
            listed = ec2.organization.accounts(document, self.tenant).accounts
            fitting = [one for one in listed if organization.may_include(one.id, one.name)]
            said.append(f"The organization has {len(listed):,} accounts in use, of which {len(fitting):,} may be read.")
            accounts += [
                AccountDocument(account=one.id) if one.own else document.account_found(one.id)
                for one in fitting
                if one.id not in document.named_accounts
            ]
        if len(accounts) > most:
            said.append(f"Of {len(accounts):,} accounts the first {most} were tried.")
        return accounts[:most], " ".join(said)

    def found_empty(self, account_id: str, region: str) -> None:
        """Notes it, to save asking."""
        self.directory.save_empty(self.tenant, account_id, region)

    # Within

    def _is_known(self, account_id: str) -> bool:
        """Whether what AWS said is of this document."""
        document = self.document
        if document.reads_own_account:
            return bool(self.directory.own(self.tenant))
        if document.organization is None or account_id in document.named_accounts:
            return True
        listed_at = self.directory.listed_at(self.tenant)
        if listed_at is None or listed_at < self.changed_at:
            return False
        if not self._asks_of_each() or self._found(account_id) is None:
            return True
        answers = self.directory.answers(self.tenant, account_id)
        return answers is not None and answers.asked_at >= self.changed_at

    def _found(self, account_id: str) -> AccountDocument | None:
        """The entry of an account that the organization has, as it was listed last."""
        organization = self.document.organization
        known = self.directory.account(self.tenant, account_id) if organization is not None else None
        if organization is None or known is None or known.vanished_at is not None:
            return None
        if not organization.may_include(known.id, known.name):
            return None
        return AccountDocument(account=known.id) if known.own else self.document.account_found(known.id)

    def _in_organization(self, after: str, most: int | None) -> Expansion:
        organization = self.document.organization
        if organization is None:
            return Expansion(())
        # Whoever goes on after a name has the listing of whoever began.
        message = "" if after else self._listing().message
        asks = organization.asks_of_each
        found: list[str] = []
        for known in self.directory.present(self.tenant, after.removeprefix(_REGIONS).partition(":")[0]):
            if known.id not in self.document.named_accounts and organization.may_include(known.id, known.name):
                names = self._parts_of(self.document.account_found(known.id), asks=asks)
                found += [name for name in names if escape_key(name) > escape_key(after)]
            if most is not None and len(found) >= most:
                break
        return Expansion(found, message)

    def _listing(self) -> AccountListing:
        listing = self.directory.listing(self.tenant)
        if listing is not None and self.directory.is_fresh(listing.asked_at, self.changed_at):
            return listing
        return self.directory.renew(self.tenant, self.ec2().organization.accounts(self.document, self.tenant))

    def _parts_of(self, account: AccountDocument, *, asks: bool) -> Sequence[str]:
        """A part for each region, or the one that finds out which these are."""
        regions = self.document.regions_of(account)
        if asks or regions == ALL_REGIONS or self.document.empty_regions_every_days > 1:
            return [_REGIONS + account.account]
        return [f"{account.account}:{region}" for region in regions]

    def _regions_of(self, account_id: str, account: AccountDocument | None) -> Expansion:
        document = self.document
        regions = document.regions_of(account)
        asks_organization = account_id not in document.named_accounts and self._asks_of_each()
        if regions == ALL_REGIONS or asks_organization:
            answers = self._answers(account_id, account, asks_organization)
            if asks_organization and not self._is_included(account_id, answers):
                return Expansion((), "The tenant's patterns leave the account out.")
            if regions == ALL_REGIONS:
                regions = tuple(region for region in answers.regions if document.reads(account, region))
        waiting = self._waiting(account_id)
        message = ""
        if skipped := [region for region in regions if region in waiting]:
            message = (
                f"Found empty, and asked again every {document.empty_regions_every_days} days: {', '.join(skipped)}."
            )
        return Expansion([f"{account_id}:{region}" for region in regions if region not in waiting], message)

    def _asks_of_each(self) -> bool:
        organization = self.document.organization
        return organization is not None and organization.asks_of_each

    def _answers(self, account_id: str, account: AccountDocument | None, asks_organization: bool) -> AccountAnswers:
        """What the account and its organization say, asked once a day."""
        known = self.directory.answers(self.tenant, account_id)
        if known is not None and self.directory.is_fresh(known.asked_at, self.changed_at):
            return known
        document, tenant, ec2 = self.document, self.tenant, self.ec2()
        units: Sequence[str] = ()
        tags: Mapping[str, str] = {}
        organization = document.organization
        if asks_organization and organization is not None:
            if organization.asks_for_units:
                units = ec2.organization.units_of(document, tenant, account_id)
            if organization.asks_for_tags:
                tags = ec2.organization.tags_of(document, tenant, account_id)
        answers = AccountAnswers(self.directory.now(), (), units, tags)
        if not asks_organization or self._is_included(account_id, answers):
            # Nobody asks an account that is left out.
            regions = ec2.regions(document, account, tenant=tenant)
            answers = AccountAnswers(answers.asked_at, regions, units, tags)
        if known is not None and not set(known.regions) <= set(answers.regions):
            self.directory.note_loss(tenant)
        self.directory.save_answers(tenant, account_id, answers)
        return answers

    def _is_included(self, account_id: str, answers: AccountAnswers) -> bool:
        organization = self.document.organization
        known = self.directory.account(self.tenant, account_id)
        if organization is None or known is None:
            return False
        return organization.includes(known.id, known.name, answers.units, answers.tags or {})

    def _waiting(self, account_id: str) -> frozenset[str]:
        """The regions that were found empty a short time ago."""
        days = self.document.empty_regions_every_days
        if days == 1:
            return frozenset()
        # A run begins some minutes earlier or later than the one before.
        since = self.directory.now() - timedelta(days=days) + _FIRST_DAY / 4
        found = self.directory.empty_since(self.tenant, account_id, self.changed_at)
        return frozenset(region for region, at in found.items() if at > since)
