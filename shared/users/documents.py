"""AuthRocket realms: how each is reached, and how its users become desk users."""

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from shared.hosts import HostUse, Service
from shared.imports.documents import RAW, BrakeDocument, SiteRuleDocument
from shared.records.comparison import MATCHED_FIELDS, MEANINGLESS
from shared.records.documents.sites import SiteDocument
from shared.rules.expressions import ExpressionError, compile_expression
from shared.settings.base import Document, DocumentName, Reference, SettingsDocument, ShortText, Text, standing_twice
from shared.vaults.documents.credentials import CredentialReference, WebhookCredentials

_REALM = re.compile(r"[A-Za-z0-9_-]{1,100}")
_EXAMPLE = "https://api-e2.authrocket.com/v2"
# The fields that every user has; what each is stands in the documentation. All others are custom fields.
STANDARD_FIELDS = (
    "first-name",
    "last-name",
    "name",
    "email",
    "username",
    "locale",
    "reference",
    "phone",
    "job-title",
    "department",
    "notes",
)
ORGANISATION = "organisation"
ORGANISATION_REFERENCE = "organisation-reference"
EMAIL_DOMAIN = "email-domain"
# What a site rule can ask for without a mapping.
RULE_FIELDS = (EMAIL_DOMAIN, ORGANISATION, ORGANISATION_REFERENCE)


def _endpoint(text: str) -> str:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(f"is not a readable address: write it as AuthRocket shows it, such as {_EXAMPLE}") from None
    if parts.scheme.lower() == "http":
        raise ValueError(f"must begin with https://: the API key never travels unencrypted; such as {_EXAMPLE}")
    if parts.scheme.lower() != "https" or not parts.hostname or parts.username is not None or "\\" in text:
        raise ValueError(f"must be the endpoint URL that AuthRocket shows beside the API key, such as {_EXAMPLE}")
    path = parts.path.rstrip("/")
    if not path or parts.query or parts.fragment:
        raise ValueError(f"must end with the API's version, and with nothing after it, such as {_EXAMPLE}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname.rstrip(".")
    return f"https://{host}{f':{port}' if port not in (None, 443) else ''}{path}"


def parse_realm(text: str) -> str:
    """A realm's id, from itself or from an address pasted from the portal. Raises ValueError."""
    found = text
    if "/" in text:
        address = text if "://" in text else f"https://portal/{text.lstrip('/')}"
        parts = [part for part in urlsplit(address).path.split("/") if part]
        if "realms" in parts[:-1]:
            # The portal's address names the tab behind the realm: /realms/<realm>/users
            found = parts[parts.index("realms") + 1]
        elif parts and parts[-1] == "users":
            found = parts[-2] if len(parts) > 1 else ""
        else:
            found = parts[-1] if parts else ""
    if not _REALM.fullmatch(found) or found in {"realms", "users"}:
        raise ValueError(
            "must be the realm's id (rl_…), or the portal's address of the realm, such as "
            "https://…/realms/rl_0v1zRHJVm7JY8vUqDRuyx/users"
        )
    return found


def _expression(value: str) -> str:
    try:
        compile_expression(value)
    except ExpressionError as error:
        raise ValueError(str(error)) from error
    return value


class UserFieldMappingDocument(Document):
    """One row of the field mappings: `source` (an expression) or `fixed` (a text) into `field`."""

    source: Annotated[Text, AfterValidator(_expression)] | None = None
    fixed: Text | None = None
    field: DocumentName
    field_type: Literal["user_field", "custom_field"] = "user_field"
    only_on_create: bool = False
    keep_when_empty: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.source is None) == (self.fixed is None):
            raise ValueError("needs exactly one of source and fixed")
        if self.field_type == "user_field" and self.field not in STANDARD_FIELDS:
            known = ", ".join(STANDARD_FIELDS)
            raise ValueError(f"{self.field} is no field of users ({known}): make it field_type custom_field")
        return self

    @property
    def target(self) -> str:
        """The field as rules and answers call it."""
        return f"custom.{self.field}" if self.field_type == "custom_field" else self.field


def _standard_mappings() -> tuple[UserFieldMappingDocument, ...]:
    names = ("first_name", "last_name", "name", "email", "username", "locale", "reference")
    return tuple(UserFieldMappingDocument(source=name, field=name.replace("_", "-")) for name in names)


class MatchDocument(Document):
    """A field by which a user without a row of their own finds one. The AuthRocket id is always tried first."""

    field: Text
    ignore_case: bool = True


class AuthRocketRealmDocument(SettingsDocument):
    """One realm: access, mapping, site, matching and policies."""

    kind: ClassVar[str] = "authrocket-realms"
    credential_use: ClassVar[str] = "AuthRocket import of realm {name}"

    title: Text
    syncing: bool = False
    endpoint_url: Annotated[Text, AfterValidator(_endpoint)]
    api_key: CredentialReference
    key_header: Literal["authrocket_api_key", "authorization_bearer"] = "authrocket_api_key"
    realm: Annotated[Text, AfterValidator(parse_realm)]
    page_size: int = Field(default=1000, ge=1, le=1000)
    field_mappings: tuple[UserFieldMappingDocument, ...] = Field(default_factory=_standard_mappings, min_length=1)
    match_order: tuple[MatchDocument, ...] = Field(
        default=(MatchDocument(field="email"), MatchDocument(field="reference", ignore_case=False)),
        validate_default=True,
    )
    match_unverified_email: bool = False
    match_other_realms: bool = False
    merge_matches: bool = False
    never_match: tuple[ShortText, ...] = Field(default=MEANINGLESS, max_length=200)
    default_site: DocumentName
    site_rules: tuple[SiteRuleDocument, ...] = ()
    organisations: bool = False
    ticket_on_admin_grant: bool = False
    create_new_users: bool = True
    update_users: bool = True
    update_user_site: bool = True
    deactivate_inactive: bool = False
    deactivate_vanished: bool = False
    deactivate_unread: bool = False
    clear_unmapped: bool = False
    reactivate: bool = True
    grace_days: int = Field(default=0, ge=0, le=365)
    brake: BrakeDocument = BrakeDocument()
    believe_empty_answers: bool = False
    webhook: WebhookCredentials | None = None

    @field_validator("field_mappings")
    @classmethod
    def _targets_stand_once(cls, value: tuple[UserFieldMappingDocument, ...]) -> tuple[UserFieldMappingDocument, ...]:
        targets = [mapping.target for mapping in value]
        twice = standing_twice(targets)
        if twice:
            raise ValueError(f"{', '.join(twice)} is mapped twice")
        return value

    @field_validator("match_order")
    @classmethod
    def _match_fields_are_mapped(
        cls, value: tuple[MatchDocument, ...], info: ValidationInfo
    ) -> tuple[MatchDocument, ...]:
        mappings: tuple[UserFieldMappingDocument, ...] = info.data.get("field_mappings", ())
        sources = {mapping.target for mapping in mappings if mapping.source is not None}
        for match in value:
            if mappings and match.field not in sources:
                raise ValueError(
                    f"{match.field} has no mapping from the source: nothing could be matched by it; map it, or write "
                    "a match_order without it"
                )
            if match.field not in MATCHED_FIELDS["users"]:
                raise ValueError(f"users are matched by {', '.join(MATCHED_FIELDS['users'])}, and by no other field")
        return value

    @field_validator("ticket_on_admin_grant")
    @classmethod
    def _needs_organisations(cls, value: bool, info: ValidationInfo) -> bool:
        if value and not info.data.get("organisations", True):
            raise ValueError("needs organisations: true, which reads the memberships")
        return value

    @model_validator(mode="after")
    def _rules_ask_for_what_there_is(self) -> Self:
        faults = list(self._faults())
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def references(self) -> Sequence[Reference]:
        found = [*self.api_key.references("api_key"), Reference("default_site", SiteDocument.kind, self.default_site)]
        for index, rule in enumerate(self.site_rules):
            found.append(Reference(f"site_rules.{index}.site", SiteDocument.kind, rule.site))
        if self.webhook is not None:
            found += self.webhook.references("webhook")
        return found

    @property
    def host(self) -> str:
        """The host that the API key is sent to."""
        return urlsplit(self.endpoint_url).hostname or ""

    def host_uses(self) -> Sequence[HostUse]:
        return (HostUse("endpoint_url", Service.AUTHROCKET, self.host, credential="api_key"),)

    def _faults(self) -> Iterator[str]:
        mapped = {mapping.target for mapping in self.field_mappings}
        for index, rule in enumerate(self.site_rules):
            for position, criterion in enumerate(rule.criteria):
                path, name = f"site_rules.{index}.criteria.{position}.field", criterion.field
                if name.startswith(RAW):
                    try:
                        compile_expression(name.removeprefix(RAW))
                    except ExpressionError as error:
                        yield f"{path}: {error}"
                elif name in {ORGANISATION, ORGANISATION_REFERENCE} and not self.organisations:
                    yield f"{path}: {name} needs organisations: true, which reads the memberships"
                elif name not in RULE_FIELDS and name not in mapped:
                    known = ", ".join(RULE_FIELDS)
                    yield f"{path}: {name} has no mapping; name a mapped field, {known}, or source.<expression>"
