"""Accounts of AWS that a tenant does not name one by one: those of its organization, chosen by patterns."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, ValidationInfo, field_validator, model_validator

from shared.settings.base import Document, Text
from shared.wildcards import fits

# The partitions of AWS: where each is at home unless a tenant says otherwise, and how its regions begin.
# Those of `aws` begin with none of these, so that a region which AWS opens tomorrow can be named.
PARTITIONS: Mapping[str, tuple[str, str]] = {
    "aws": ("us-east-1", ""),
    "aws-cn": ("cn-north-1", "cn-"),
    "aws-us-gov": ("us-gov-west-1", "us-gov-"),
    "aws-eusc": ("eusc-de-east-1", "eusc-"),
    "aws-iso": ("us-iso-east-1", "us-iso-"),
    "aws-iso-b": ("us-isob-east-1", "us-isob-"),
    "aws-iso-e": ("eu-isoe-west-1", "eu-isoe-"),
    "aws-iso-f": ("us-isof-south-1", "us-isof-"),
}
Partition = Literal["aws", "aws-cn", "aws-us-gov", "aws-eusc", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f"]

_ROLE = re.compile(r"arn:(aws[a-z-]*):iam::(\d{12}):role/[\w+=,.@/-]{1,512}", re.ASCII)
_ROLE_NAME = re.compile(r"[\w+=,.@-]+(/[\w+=,.@-]+)*", re.ASCII)
_LONGEST_PATTERN = 128


def _role(value: str) -> str:
    found = _ROLE.fullmatch(value)
    if found is None or found[1] not in PARTITIONS:
        raise ValueError("must be the ARN of a role, such as arn:aws:iam::111122223333:role/deskbridge")
    return value


def _role_name(value: str) -> str:
    if not _ROLE_NAME.fullmatch(value):
        raise ValueError("must be the name of a role, such as deskbridge, with its path if it has one")
    return value


def _pattern(value: str) -> str:
    if len(value) > _LONGEST_PATTERN:
        raise ValueError(f"has more than {_LONGEST_PATTERN} characters")
    return value


RoleArn = Annotated[Text, AfterValidator(_role)]
RoleName = Annotated[Text, AfterValidator(_role_name)]
Pattern = Annotated[Text, AfterValidator(_pattern)]


class AccountPatternDocument(Document):
    """Accounts of the organization. All that is named must fit: `*` stands for any characters, `?` for one.

    `unit` is the id or the name of an organizational unit above the account, however far; `tag` is the key of a tag of
    the account, exactly, and `value` what it must be.
    """

    id: Pattern | None = None
    name: Pattern | None = None
    unit: Pattern | None = None
    tag: Text | None = None
    value: Pattern | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "AccountPatternDocument":
        if self.id is None and self.name is None and self.unit is None and self.tag is None:
            raise ValueError("needs at least one of id, name, unit and tag")
        if self.value is not None and self.tag is None:
            raise ValueError("value is used with a tag only")
        return self

    def may_fit(self, account_id: str, name: str) -> bool:
        """Whether the account fits as far as id and name say."""
        return (self.id is None or fits(self.id, account_id)) and (self.name is None or fits(self.name, name))

    def fits(self, account_id: str, name: str, units: Sequence[str], tags: Mapping[str, str]) -> bool:
        if not self.may_fit(account_id, name):
            return False
        if self.unit is not None and not any(fits(self.unit, unit) for unit in units):
            return False
        return self.tag is None or (self.tag in tags and fits(self.value or "*", tags[self.tag]))


class OrganizationDocument(Document):
    """The tenant's accounts are those of its AWS organization.

    `role` asks for them, or the access key itself. `account_role` is the name of the role that reads each account.
    """

    role: RoleArn | None = None
    external_id: Text | None = None
    account_role: RoleName
    account_external_id: Text | None = None
    accounts: tuple[AccountPatternDocument, ...] = ()
    except_accounts: tuple[AccountPatternDocument, ...] = ()

    @field_validator("external_id")
    @classmethod
    def _needs_a_role(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("role") is None and "role" in info.data:
            raise ValueError("is used with a role only")
        return value

    @property
    def asks_for_units(self) -> bool:
        return any(one.unit is not None for one in (*self.accounts, *self.except_accounts))

    @property
    def asks_for_tags(self) -> bool:
        return any(one.tag is not None for one in (*self.accounts, *self.except_accounts))

    @property
    def asks_of_each(self) -> bool:
        """Whether its patterns need more than the list of accounts says."""
        return self.asks_for_units or self.asks_for_tags

    def may_include(self, account_id: str, name: str) -> bool:
        """Whether id and name alone let an account in. What only units and tags keep out is let in here."""
        if any(one.may_fit(account_id, name) and one.unit is None and one.tag is None for one in self.except_accounts):
            return False
        return not self.accounts or any(one.may_fit(account_id, name) for one in self.accounts)

    def includes(self, account_id: str, name: str, units: Sequence[str], tags: Mapping[str, str]) -> bool:
        if any(one.fits(account_id, name, units, tags) for one in self.except_accounts):
            return False
        return not self.accounts or any(one.fits(account_id, name, units, tags) for one in self.accounts)
