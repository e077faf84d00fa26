"""Summaries and details of tickets: the templates, and what they can show. The decision fills them in."""

import re
from collections.abc import Mapping

from shared.tickets.domain.model import ChangeType

# No str.format: a template is an operator's text, and format reaches into attributes.
PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
PLACEHOLDERS = (
    "vault",
    "object_type",
    "object_name",
    "version",
    "expires_at",
    "expires_on",
    "days_to_expiry",
    "changed_on",
    "objects",
    "event",
    "at",
)
LONGEST_SUMMARY = 255
LONGEST_DETAILS = 30_000
SUMMARIES: Mapping[ChangeType, str] = {
    ChangeType.NEW_VERSION_CREATED: "New version of {object_type} {object_name} in {vault}",
    ChangeType.NEAR_EXPIRY: "{object_type} {object_name} in {vault} expires {expires_on}",
    ChangeType.EXPIRED: "{object_type} {object_name} in {vault} expired {expires_on}",
    ChangeType.ACCESS_POLICY_CHANGED: "Access policies of {vault} changed on {changed_on}",
    ChangeType.NO_EXPIRY_DATE: "Objects without an expiry date in {vault}",
}
DETAILS: Mapping[ChangeType, str] = {
    ChangeType.NEW_VERSION_CREATED: "Version {version} of the {object_type} {object_name} in the vault {vault} was "
    "created on {at}. It expires: {expires_at}. See that whatever uses it takes the new version up.",
    ChangeType.NEAR_EXPIRY: "Version {version} of the {object_type} {object_name} in the vault {vault} expires: "
    "{expires_at}. Create a new version before that; this ticket is then resolved by itself.",
    ChangeType.EXPIRED: "Version {version} of the {object_type} {object_name} in the vault {vault} has expired: "
    "{expires_at}. Create a new version; this ticket is then resolved by itself.",
    ChangeType.ACCESS_POLICY_CHANGED: "Who may read or change what is in the vault {vault} was changed on "
    "{changed_on}. Check in its activity log who did it, and that it was meant.",
    ChangeType.NO_EXPIRY_DATE: "Nothing warns you before these become too old. Give each an expiry date:\n{objects}",
}


def unknown_placeholders(template: str) -> list[str]:
    """The placeholders of a template that mean nothing."""
    return [name for name in PLACEHOLDER.findall(template) if name not in PLACEHOLDERS]
