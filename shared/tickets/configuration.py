"""The settings of the ticket feature as the process needs them: rules compiled, vaults by name."""

from collections.abc import Callable
from dataclasses import dataclass

from shared.rules.deciding import RuleSet, compile_rules
from shared.settings.documents.key_vault_events import NAME, AllowedVault, KeyVaultEvents
from shared.settings.store import SettingsStore
from shared.tickets.model import Context, Outcome, RuleRecord


@dataclass(frozen=True)
class Configuration:
    """The document and what was compiled from it."""

    document: KeyVaultEvents
    rules: RuleSet[Outcome]

    def allowed(self, vault: str, source: str) -> bool:
        """Whether events of that vault (its name and its resource id, both in lower case) are taken."""
        entry = self.entry(vault)
        return entry is not None and (entry.resource_id is None or entry.resource_id == source)

    def entry(self, vault: str) -> AllowedVault | None:
        folded = vault.casefold()
        return next((entry for entry in self.document.allowed_vaults if entry.name.casefold() == folded), None)

    def context(self, vault: str) -> Context:
        """What the decision needs to know of the vault's settings."""
        entry = self.entry(vault)
        return Context(
            vault=vault,
            site=entry.site if entry is not None else None,
            include_disabled=self.document.sweep.include_disabled,
        )

    def ruling(self, record: RuleRecord) -> Outcome:
        """What the ticket rules say; nothing special when none matches."""
        return self.rules.decide(record).outcome or Outcome()


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
