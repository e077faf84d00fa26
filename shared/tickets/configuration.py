"""The settings of the ticket feature as the process needs them: rules compiled, vaults by name."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from shared.rules.rule_set import RuleSet, compile_rules
from shared.settings.store import SettingsStore
from shared.tickets.documents import NAME, AllowedVault, KeyVaultEvents
from shared.tickets.domain.model import Context, RuleRecord, RuleResult

_TOPIC = re.compile(r"(/subscriptions/[^/]+)(?:/resourcegroups/[^/]+/providers/(?P<type>[^/]+/[^/]+)/(?P<name>[^/]+))?")


@dataclass(frozen=True)
class Configuration:
    """The document and what was compiled from it."""

    document: KeyVaultEvents
    rules: RuleSet[RuleResult]

    def allowed(self, vault: str, source: str) -> bool:
        """Whether events of that vault (its name and its resource id, both in lower case) are taken."""
        entry = self.entry(vault)
        return entry is not None and (entry.resource_id is None or entry.resource_id == source)

    def allows_topic(self, topic: str) -> bool:
        """Whether a subscription to that topic (a resource id, in lower case) may be validated.

        Event Grid names the vault, or the Azure subscription or system topic that the vault belongs to.
        """
        found = _TOPIC.fullmatch(topic)
        if found is None:
            return False
        if found["type"] == "microsoft.keyvault/vaults":
            return self.allowed(found["name"], topic)
        entries = self._entries.values()
        return any(one.resource_id is None or one.resource_id.startswith(f"{found[1]}/") for one in entries)

    def entry(self, vault: str) -> AllowedVault | None:
        return self._entries.get(vault.casefold())

    @cached_property
    def _entries(self) -> dict[str, AllowedVault]:
        return {entry.name.casefold(): entry for entry in reversed(self.document.allowed_vaults)}

    def context(self, vault: str) -> Context:
        """What the decision needs to know of the vault's settings."""
        return Context(vault, self.document.sweep.include_disabled, self.evaluate)

    def evaluate(self, record: RuleRecord) -> RuleResult:
        """What the ticket rules decide, and the vault's site where they name none."""
        entry = self.entry(str(record["vault"]))
        result = self.rules.outcome(record) or RuleResult()
        return result if entry is None or not entry.site or result.site else replace(result, site=entry.site)


def configurations(settings: SettingsStore) -> Callable[[], Configuration | None]:
    """A reader of the present settings, which compiles the rules again only when the document changed."""
    compiled: tuple[str, Configuration] | None = None

    def read() -> Configuration | None:
        nonlocal compiled
        stored = settings.find(KeyVaultEvents, NAME)
        if stored is None:
            return None
        held = compiled
        if held is None or held[0] != stored.etag:
            held = (stored.etag, Configuration(stored.document, compile_rules(stored.document.rules())))
            compiled = held
        return held[1]

    return read
