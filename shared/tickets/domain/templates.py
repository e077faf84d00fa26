"""Summaries and details of tickets: the templates, and the named values that they can show."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from shared.tickets.domain.model import ChangeType
from shared.tickets.domain.observations import ObjectState, Occurrence

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


def template_values(
    vault: str,
    state: ObjectState,
    occurrence: Occurrence,
    *,
    version: str,
    expires_at: datetime | None,
    changed_on: str,
    objects: str,
) -> dict[str, str]:
    """What each placeholder stands for; empty where it means nothing for the condition."""
    expires_on = "soon" if occurrence.change is ChangeType.NEAR_EXPIRY else ""
    return {
        "vault": vault,
        "object_type": str(state.object_type),
        "object_name": state.name,
        "version": version,
        "expires_at": "the date is not known" if expires_at is None else moment_text(expires_at),
        "expires_on": expires_on if expires_at is None else f"on {expires_at.astimezone(UTC):%Y-%m-%d}",
        "days_to_expiry": str(occurrence.days),
        "changed_on": changed_on,
        "objects": objects,
        "event": str(occurrence.change),
        "at": moment_text(occurrence.at),
    }


def render_summary(template: str, values: Mapping[str, str]) -> str:
    text = _render(template, values, LONGEST_SUMMARY).strip()
    return text[:1].upper() + text[1:]


def render_details(template: str, values: Mapping[str, str]) -> str:
    return _render(template, values, LONGEST_DETAILS)


def moment_text(moment: datetime) -> str:
    """The moment for a person, to the minute."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _render(template: str, values: Mapping[str, str], longest: int) -> str:
    text = PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), template)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
