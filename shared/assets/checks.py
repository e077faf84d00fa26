"""Test configuration: for each account and region of a tenant who reads it, whether it may, and what to do."""

from collections.abc import Iterator
from dataclasses import dataclass

from shared.assets.aws.client import Ec2
from shared.assets.documents.aws_tenants import ALL_REGIONS, AccountDocument, AwsTenantDocument
from shared.errors import DeskbridgeError


@dataclass(frozen=True)
class CheckFinding:
    """One check. `region` is empty for what concerns the account as a whole."""

    account: str
    region: str
    ok: bool
    message: str
    identity: str = ""
    reason: str = ""
    remedy: str = ""


def check_tenant(name: str, document: AwsTenantDocument, ec2: Ec2) -> Iterator[CheckFinding]:
    """Every account and region of the tenant. Never raises what is a finding."""
    for account in document.accounts or (None,):
        yield from _check_account(name, document, account, ec2)


def _check_account(
    name: str, document: AwsTenantDocument, account: AccountDocument | None, ec2: Ec2
) -> Iterator[CheckFinding]:
    account_id = account.account if account is not None else ""
    try:
        caller = ec2.caller(document, account, tenant=name)
    except DeskbridgeError as error:
        yield _failed(account_id, "", "", error)
        return
    account_id = caller.account
    try:
        regions = ec2.regions(document, account, tenant=name)
    except DeskbridgeError as error:
        yield _failed(account_id, "", caller.arn, error)
        return
    if document.regions_of(account) == ALL_REGIONS:
        message = f"{len(regions)} regions are enabled."
        yield CheckFinding(account_id, "", ok=True, message=message, identity=caller.arn)
    for region in regions:
        try:
            found = next(ec2.read_instances(document, account, region, tenant=name, page_size=SMALLEST_PAGE), [])
        except DeskbridgeError as error:
            yield _failed(account_id, region, caller.arn, error)
            continue
        message = f"Instances can be read: {len(found)} on a page of {SMALLEST_PAGE}."
        yield CheckFinding(account_id, region, ok=True, message=message, identity=caller.arn)


def _failed(account_id: str, region: str, identity: str, error: DeskbridgeError) -> CheckFinding:
    return CheckFinding(account_id, region, False, error.message, identity, str(error.reason), error.remedy)


# The least that EC2 takes.
SMALLEST_PAGE = 5
