"""Summaries and details of tickets: the templates, and what they can show. The decision fills them in."""

import re
from collections.abc import Mapping

from shared.tickets.domain.model import ChangeType, TicketKind

# No str.format: a template is an operator's text, and format reaches into attributes.
PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
# Of the desk's own conditions.
CONDITION_PLACEHOLDERS = ("about", "title", "reason", "message", "remedy", "names")
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
    *CONDITION_PLACEHOLDERS,
)
LONGEST_SUMMARY = 255
LONGEST_DETAILS = 30_000
SUMMARIES: Mapping[ChangeType, str] = {
    ChangeType.NEW_VERSION_CREATED: "New version of {object_type} {object_name} in {vault}",
    ChangeType.NEAR_EXPIRY: "{object_type} {object_name} in {vault} expires {expires_on}",
    ChangeType.EXPIRED: "{object_type} {object_name} in {vault} expired {expires_on}",
    ChangeType.ACCESS_POLICY_CHANGED: "Access policies of {vault} changed on {changed_on}",
    ChangeType.NO_EXPIRY_DATE: "Objects without an expiry date in {vault}",
    ChangeType.CONDITION: "{title}",
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
    ChangeType.CONDITION: "{message}\n\n{remedy}\n\n{names}",
}
# Titles of the desk's own conditions.
TITLES: Mapping[TicketKind, str] = {
    TicketKind.IMPORT_WITHHELD: "The import of {about} withholds changes",
    TicketKind.IMPORT_FAILING: "The import of {about} does not succeed",
    TicketKind.SWEEP_FAILING: "The sweep with {about} does not succeed",
    TicketKind.QUARANTINE: "Events wait in the quarantine",
    TicketKind.DEAD_LETTERS: "Dead letters wait",
    TicketKind.POISON_MESSAGES: "Messages failed for good in {about}",
    TicketKind.QUEUE_STUCK: "Nothing reads {about}",
    TicketKind.SETTINGS_UNREADABLE: "The document {about} cannot be read",
    TicketKind.SECRET_EXPIRING: "The secret of {about} expires",
    TicketKind.TOKEN_EXPIRING: "The access token {about} expires",
    TicketKind.OUTBOX_FAILING: "What follows from changes is not carried out",
}


def unknown_placeholders(template: str) -> list[str]:
    """The placeholders of a template that mean nothing."""
    return [name for name in PLACEHOLDER.findall(template) if name not in PLACEHOLDERS]
