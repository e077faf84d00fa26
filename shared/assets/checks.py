"""Test configuration: for each account and region of a tenant who reads it, whether it may, and what to do."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from shared.assets.aws.client import Ec2
from shared.assets.documents.aws_tenants import ALL_REGIONS, AccountDocument
from shared.assets.source import TenantSource
from shared.errors import DeskbridgeError, NotFoundError
from shared.imports.plan.sample import refuse_all_errors
from shared.reasons import Reason

# So many accounts are tried: a request may take 230 seconds, and each region takes two calls.
_MOST_ACCOUNTS = 20


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


def check_tenant(
    open_source: Callable[[], TenantSource], ec2: Ec2, any_active: Callable[[str], bool]
) -> Iterator[CheckFinding]:
    """The accounts and regions of a tenant, of very many the first. Never raises what is a finding.

    `any_active` says of a partition whether it has active records.

    What makes an import fail at once fails here too: so it asks the tenant's source, as an import does.
    """
    try:
        source = open_source()
        accounts, told = source.accounts_to_check(ec2, _MOST_ACCOUNTS)
    except NotFoundError:
        raise
    except DeskbridgeError as error:
        yield _failed("", "", "", error)
        return
    if told:
        yield CheckFinding("", "", ok=True, message=told)
    for account in accounts:
        yield from _check_account(source, account, ec2, any_active)


def _check_account(
    source: TenantSource, account: AccountDocument | None, ec2: Ec2, any_active: Callable[[str], bool]
) -> Iterator[CheckFinding]:
    name, document = source.name, source.document
    account_id = account.account if account is not None else ""
    try:
        caller = ec2.caller(document, account, tenant=name)
    except DeskbridgeError as error:
        yield _failed(account_id, "", "", error)
        return
    account_id = caller.account
    try:
        enabled = ec2.regions(document, account, tenant=name)
    except DeskbridgeError as error:
        yield _failed(account_id, "", caller.arn, error)
        return
    regions = [region for region in enabled if document.reads(account, region)]
    if document.regions_of(account) == ALL_REGIONS:
        left_out = len(enabled) - len(regions)
        message = f"{len(enabled)} regions are enabled{f', and {left_out} of them left out' if left_out else ''}."
        yield CheckFinding(account_id, "", ok=True, message=message, identity=caller.arn)
    for region in regions:
        try:
            source.check_alone(account_id, region)
            found = next(ec2.read_instances(document, account, region, tenant=name, page_size=SMALLEST_PAGE), [])
            refuse_all_errors([source.map_record(region, instance) for instance in found])
        except DeskbridgeError as error:
            finding = _failed(account_id, region, caller.arn, error)
            denied = error.reason is Reason.AWS_REGION_DENIED and document.regions_of(account) == ALL_REGIONS
            if denied and not any_active(source.partition_key(f"{account_id}:{region}")):
                finding = replace(finding, ok=True, message=f"{error.message} Imports pass it over.")
            yield finding
            continue
        message = f"Instances can be read: {len(found)} on a page of {SMALLEST_PAGE}."
        yield CheckFinding(account_id, region, ok=True, message=message, identity=caller.arn)


def _failed(account_id: str, region: str, identity: str, error: DeskbridgeError) -> CheckFinding:
    return CheckFinding(account_id, region, False, error.message, identity, str(error.reason), error.remedy)


# The least that EC2 takes.
SMALLEST_PAGE = 5
