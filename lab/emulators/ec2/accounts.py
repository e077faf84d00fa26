"""The accounts, keys and roles that this EC2 grants, and moto in the tests too. Of no use anywhere else."""

from dataclasses import dataclass

from lab.emulators.ec2.identity import AccessKey, Directory, Role

ACORN = "111122223333"
# Leading zero on purpose: YAML reads it as a number unless it is quoted.
ST_JOHNS = "012345670123"
ACCOUNTS: tuple[str, ...] = (ACORN, ST_JOHNS)
LONDON, IRELAND, VIRGINIA = "eu-west-2", "eu-west-1", "us-east-1"
REGIONS: tuple[str, ...] = (LONDON, IRELAND, VIRGINIA)
# What DescribeRegions says beside the three: not opted in, so EC2 answers AuthFailure there.
NOT_OPTED_IN: tuple[str, ...] = ("af-south-1", "ap-east-1", "me-south-1")

ACCESS_KEY_ID = "AKIALABDESKBRIDGE001"
SECRET_ACCESS_KEY = "lab/only+not+a+secret/deskbridge/0000001"
USER_ARN = f"arn:aws:iam::{ACORN}:user/deskbridge"
USER_ID = "AIDALABDESKBRIDGE0001"
ROLE_ARN = f"arn:aws:iam::{ST_JOHNS}:role/deskbridge-read"
EXTERNAL_ID = "st-johns-4711"
KEYLESS_ROLE_ARN = f"arn:aws:iam::{ACORN}:role/deskbridge-keyless"
KEYLESS_AUDIENCE = "api://deskbridge-aws"


@dataclass(frozen=True)
class Credentials:
    """What a tenant of the product needs to read the lab's AWS: a key of Acorn, a role at St Johns, a keyless role."""

    access_key_id: str = ACCESS_KEY_ID
    secret_access_key: str = SECRET_ACCESS_KEY
    account: str = ACORN
    role_arn: str = ROLE_ARN
    external_id: str = EXTERNAL_ID
    keyless_role_arn: str = KEYLESS_ROLE_ARN
    keyless_audience: str = KEYLESS_AUDIENCE


def directory() -> Directory:
    """One user in Acorn's account, a role with an external id at St Johns, a role for a managed identity."""
    made = Directory()
    made.add_keys([AccessKey(ACCESS_KEY_ID, SECRET_ACCESS_KEY, ACORN, USER_ARN, USER_ID)])
    made.add_roles(
        [
            Role(ROLE_ARN, trusted_accounts=(ACORN,), external_id=EXTERNAL_ID),
            Role(KEYLESS_ROLE_ARN, web_identity_audience=KEYLESS_AUDIENCE),
        ]
    )
    return made
