"""The document of Key Vault events: who may deliver, from which vaults, what becomes a ticket, and what is swept."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from shared.errors import Fault
from shared.hosts import HostUse, Service
from shared.records.documents.sites import SiteDocument
from shared.rules.documents import CriterionDocument, to_criteria
from shared.rules.model import Rule
from shared.settings.base import Document, DocumentName, Reference, SettingsDocument, ShortText, Text, standing_twice
from shared.tickets.domain.model import Priority, RuleResult
from shared.tickets.domain.templates import PLACEHOLDERS, unknown_placeholders
from shared.vaults.documents.credential_stores import parse_authority
from shared.vaults.documents.credentials import WebhookCredentials
from shared.vaults.documents.vault_addresses import CLOUDS, host_of
from shared.wildcards import fits

NAME = "default"
# Event Grid as Entra ID knows it, in Microsoft's public cloud.
EVENT_GRID_APP = "4962773b-9cdb-44cf-a8bf-237846a00ab7"
DEFAULT_ORIGIN = "eventgrid.azure.net"

# What the criteria of a ticket rule can look at, held against the decision by a test: of an event, and of a condition
# of the desk itself.
EVENT_FIELDS = ("event", "event_type", "vault", "object_type", "object_name", "days_to_expiry")
CONDITION_FIELDS = (
    *("event", "kind", "object_type", "object_name", "document_kind", "document", "reason", "site", "customer"),
)
RULE_FIELDS = tuple(dict.fromkeys([*EVENT_FIELDS, *CONDITION_FIELDS]))

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_RESOURCE_ID = re.compile(
    r"/subscriptions/(?P<subscription>[^/\s]+)/resourcegroups/(?P<group>[^/\s]+)"
    r"/providers/microsoft\.keyvault/(?:vaults|managedhsms)/(?P<name>[a-z0-9][a-z0-9-]{1,62})"
)


def _guid(text: str) -> str:
    if _GUID.fullmatch(text) is None:
        raise ValueError("must be a GUID, such as 11111111-2222-3333-4444-555555555555")
    return text.lower()


def _vault_id(text: str) -> str:
    folded = text.rstrip("/").casefold()
    if _RESOURCE_ID.fullmatch(folded) is None:
        raise ValueError(
            "must be the vault's resource id: "
            "/subscriptions/…/resourceGroups/…/providers/Microsoft.KeyVault/vaults/<name>"
        )
    return folded


def _template(text: str) -> str:
    unknown = unknown_placeholders(text)
    if unknown:
        known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        raise ValueError(f"knows no placeholder {{{unknown[0]}}}: use {known}")
    return text


VaultName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{1,62}$")]
# Characters of names in Azure, with `*` and `?`.
Pattern = Annotated[str, StringConstraints(pattern=r"^[\w().*?-]{1,90}$")]
# What Azure allows of a tag: no < > % & \ ? / in its name.
TagName = Annotated[str, StringConstraints(pattern=r"^[^<>%&\\?/]{1,512}$", to_lower=True)]
TagPattern = Annotated[str, StringConstraints(max_length=256)]
Summary = Annotated[Text, StringConstraints(max_length=500), AfterValidator(_template)]
Details = Annotated[Text, StringConstraints(max_length=8_000), AfterValidator(_template)]
Days = Annotated[int, Field(ge=1, le=3_650)]
Percent = Annotated[int, Field(ge=1, le=99)]


class AllowedVault(Document):
    """A vault whose events are taken. `resource_id` pins it to its Azure subscription and resource group.

    `store` names the credential store whose identity lists the vault's objects; without it the vault is not swept.
    With `credentials` its events are taken from deliveries with those alone, and those bring no other vault's.
    """

    name: VaultName
    resource_id: Annotated[Text, AfterValidator(_vault_id)] | None = None
    store: DocumentName | None = None
    site: DocumentName | None = None
    owner: ShortText | None = None
    credentials: WebhookCredentials | None = None

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        match = None if self.resource_id is None else _RESOURCE_ID.fullmatch(self.resource_id)
        if match is not None and match["name"] != self.name.casefold():
            raise ValueError(f"is named {self.name}, but its resource_id names {match['name']}")
        return self


class VaultPattern(Document):
    """Vaults that are allowed without being named: all that is given must fit the vault's resource id and its tags.

    Tags are those that Azure listed last. A vault that was never listed has none, whatever an event says.

    `store` names the credential store whose identity lists them. The address of each vault follows from its name and
    the store's cloud. `credentials` are as those of an `AllowedVault`, for all that fit.
    """

    subscription: Pattern = "*"
    resource_group: Pattern = "*"
    name: Pattern = "*"
    tags: Annotated[Mapping[TagName, TagPattern], Field(max_length=10)] = {}
    store: DocumentName | None = None
    site: DocumentName | None = None
    owner: ShortText | None = None
    credentials: WebhookCredentials | None = None

    @model_validator(mode="after")
    def _narrows(self) -> Self:
        if not self.tags and not (self.subscription + self.resource_group + self.name).strip("*?"):
            raise ValueError("allows every vault of anybody: give a subscription, a resource_group, a name or tags")
        if self.tags and self.store is None:
            raise ValueError("needs a store: its identity lists the vaults, and with them their tags")
        return self

    def allows(self, resource_id: str, tags: Callable[[], Mapping[str, str]] = dict) -> bool:
        """Whether a vault's resource id, in lower case, fits, and its tags, which are asked for last."""
        found = _RESOURCE_ID.fullmatch(resource_id)
        if found is None:
            return False
        pairs = ((self.subscription, "subscription"), (self.resource_group, "group"), (self.name, "name"))
        if not all(fits(pattern, found[part]) for pattern, part in pairs):
            return False
        held = tags() if self.tags else {}
        return all(name in held and fits(pattern, held[name]) for name, pattern in self.tags.items())


class EntraDelivery(Document):
    """Deliveries that Event Grid signs in Entra ID: the tenant, and the application that stands for this desk.

    `audience` is what the event subscription names: the application's client id or its Application ID URI. `app_id` is
    Event Grid's own application: another one in Azure Government.
    """

    tenant_id: Annotated[Text, AfterValidator(_guid)]
    audience: Annotated[Text, StringConstraints(max_length=200)]
    app_id: Annotated[Text, AfterValidator(_guid)] = EVENT_GRID_APP
    authority: Annotated[Text, AfterValidator(parse_authority)] = CLOUDS[0].authority


class TicketRule(Document):
    """A rule: when all its criteria hold, what it says applies; what it leaves out stays at its default."""

    name: ShortText
    criteria: tuple[CriterionDocument, ...] = ()
    open: bool = True
    priority: Priority | None = None
    ticket_type: ShortText | None = None
    team: ShortText | None = None
    assignee: ShortText | None = None
    site: DocumentName | None = None
    summary: Summary | None = None
    details: Details | None = None

    @model_validator(mode="after")
    def _known_fields(self) -> Self:
        for criterion in self.criteria:
            if criterion.field not in RULE_FIELDS:
                raise ValueError(f"asks for {criterion.field!r}, but can ask for {', '.join(RULE_FIELDS)}")
        return self

    def outcome(self) -> RuleResult:
        return RuleResult(
            open=self.open,
            priority=self.priority,
            ticket_type=self.ticket_type,
            team=self.team,
            assignee=self.assignee,
            site=self.site,
            summary=self.summary,
            details=self.details,
            rule=self.name,
        )


class SweepSettings(Document):
    """What the daily sweep reports. A certificate whose whole lifetime is shorter than twice the largest of the days
    is reminded of by `thresholds_percent` of its lifetime left, all other objects by `thresholds_days`."""

    thresholds_days: tuple[Days, ...] = (60, 30, 14, 7, 1)
    thresholds_percent: tuple[Percent, ...] = (33, 10)
    include_disabled: bool = False
    report_without_expiry: bool = False


class KeyVaultEvents(SettingsDocument):
    """All settings of the ticket feature; there is one document, named `default`.

    `subscriptions` are the event subscriptions whose validation is accepted without a credential, as Event Grid may
    send it; none is, under `strict_handshake`.
    """

    kind: ClassVar[str] = "key-vault-events"
    credential_use: ClassVar[str] = "Event Grid webhook {name}"

    credentials: WebhookCredentials
    entra: EntraDelivery | None = None
    allowed_vaults: tuple[AllowedVault, ...] = ()
    vault_patterns: Annotated[tuple[VaultPattern, ...], Field(max_length=100)] = ()
    subscriptions: tuple[ShortText, ...] = ()
    strict_handshake: bool = False
    allowed_origins: tuple[ShortText, ...] = (DEFAULT_ORIGIN,)
    ticket_rules: tuple[TicketRule, ...] = ()
    sweep: SweepSettings = SweepSettings()
    aging_days: Annotated[int, Field(ge=1, le=3_650)] = 30
    dead_letters: Literal["replay", "keep"] = "replay"

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for what, names in (
            ("allowed_vaults", [vault.name.casefold() for vault in self.allowed_vaults]),
            ("ticket_rules", [rule.name for rule in self.ticket_rules]),
        ):
            twice = standing_twice(names)
            if twice:
                raise ValueError(f"{what} names {twice[0]} twice")
        return self

    def check_name(self, name: str) -> Sequence[Fault]:
        if name == NAME:
            return []
        return [Fault("name", f"must be {NAME}: there is one document of this kind")]

    def references(self) -> Sequence[Reference]:
        found = list(self.credentials.references("credentials"))
        own = [(f"allowed_vaults.{index}", vault.credentials) for index, vault in enumerate(self.allowed_vaults)]
        own += [(f"vault_patterns.{index}", pattern.credentials) for index, pattern in enumerate(self.vault_patterns)]
        for path, credentials in own:
            if credentials is not None:
                found += credentials.references(f"{path}.credentials")
        found += [
            Reference(f"allowed_vaults.{index}.store", "credential-stores", vault.store)
            for index, vault in enumerate(self.allowed_vaults)
            if vault.store is not None
        ]
        found += [
            Reference(f"vault_patterns.{index}.store", "credential-stores", pattern.store)
            for index, pattern in enumerate(self.vault_patterns)
            if pattern.store is not None
        ]
        sites = [(f"vault_patterns.{index}.site", pattern.site) for index, pattern in enumerate(self.vault_patterns)]
        sites += [(f"allowed_vaults.{index}.site", vault.site) for index, vault in enumerate(self.allowed_vaults)]
        sites += [(f"ticket_rules.{index}.site", rule.site) for index, rule in enumerate(self.ticket_rules)]
        found += [Reference(path, SiteDocument.kind, site) for path, site in sites if site is not None]
        return found

    def host_uses(self) -> Sequence[HostUse]:
        if self.entra is None:
            return ()
        return (HostUse("entra.authority", Service.SIGN_IN, host_of(self.entra.authority)),)

    def rules(self) -> tuple[Rule[RuleResult], ...]:
        """The ticket rules, in order, ready to be compiled."""
        return tuple(Rule(rule.name, to_criteria(rule.criteria), rule.outcome()) for rule in self.ticket_rules)
