"""The settings of the ticket feature as the process needs them: rules compiled, vaults by name."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

from shared.rules.rule_set import RuleSet, compile_rules
from shared.settings.store import SettingsStore
from shared.tickets.documents import NAME, AllowedVault, KeyVaultEvents
from shared.tickets.domain.model import Context, RuleRecord, RuleResult
from shared.vaults.documents.credentials import CredentialReference
from shared.wildcards import fits


@dataclass(frozen=True)
class Sender:
    """Whose events a delivery may bring: those of vaults that ask for what it has `shown`, or as `general` those of all
    vaults without a credential of their own."""

    general: bool
    shown: frozenset[CredentialReference] = frozenset()

    @property
    def is_known(self) -> bool:
        """Whether it has shown a credential; a handshake may do without."""
        return self.general or bool(self.shown)

    def may_report(self, entry: AllowedVault) -> bool:
        if entry.credentials is None:
            return self.general
        return not self.shown.isdisjoint((entry.credentials.current, entry.credentials.previous))


# A managed HSM publishes the events of keys.
_VAULT_TYPES = frozenset({"microsoft.keyvault/vaults", "microsoft.keyvault/managedhsms"})
_TOPIC = re.compile(r"(/subscriptions/[^/]+)(?:/resourcegroups/[^/]+/providers/(?P<type>[^/]+/[^/]+)/(?P<name>[^/]+))?")


# From a vault's resource id, in lower case, to the tags that it was listed with.
TagsOf = Callable[[str], Mapping[str, str]]


def _untagged(_source: str) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True)
class Configuration:
    """The document and what was compiled from it."""

    document: KeyVaultEvents
    rules: RuleSet[RuleResult]
    tags_of: TagsOf = _untagged

    def allowed(self, vault: str, source: str) -> bool:
        """Whether events of that vault (its name and its resource id, both in lower case) are taken."""
        entry = self.entry(vault, source)
        return entry is not None and (entry.resource_id is None or entry.resource_id == source)

    def allows_topic(self, topic: str) -> bool:
        """Whether a subscription to that topic (a resource id, in lower case) may be validated.

        Event Grid names the vault, or the Azure subscription or system topic that the vault belongs to.
        """
        found = _TOPIC.fullmatch(topic)
        if found is None:
            return False
        if found["type"] in _VAULT_TYPES:
            return self.allowed(found["name"], topic)
        entries = self._entries.values()
        return any(one.resource_id is None or one.resource_id.startswith(f"{found[1]}/") for one in entries) or any(
            fits(pattern.subscription, found[1].removeprefix("/subscriptions/"))
            for pattern in self.document.vault_patterns
        )

    def entry(self, vault: str, source: str = "", tags: Mapping[str, str] | None = None) -> AllowedVault | None:
        """What the settings say of a vault: by its name, or else by the first pattern that its resource id fits and
        its tags, which are those that it was listed with unless given."""
        named = self._entries.get(vault.casefold())
        if named is not None or not source.endswith(f"/{vault.casefold()}"):
            return named

        def held() -> Mapping[str, str]:
            return self.tags_of(source) if tags is None else tags

        pattern = next((one for one in self.document.vault_patterns if one.allows(source, held)), None)
        if pattern is None:
            return None
        return AllowedVault(
            name=vault,
            resource_id=source,
            store=pattern.store,
            site=pattern.site,
            owner=pattern.owner,
            credentials=pattern.credentials,
        )

    @cached_property
    def pairs(self) -> Mapping[CredentialReference, Sender]:
        """Every pair of user name and password that a delivery may carry, and whose events it may then bring."""
        found: dict[CredentialReference, Sender] = {}
        own = [(entry.credentials, False) for entry in self._entries.values()]
        own += [(pattern.credentials, False) for pattern in self.document.vault_patterns]
        for pairs, general in ((self.document.credentials, True), *own):
            for reference in (pairs.current, pairs.previous) if pairs is not None else ():
                if reference is not None:
                    known = found.get(reference)
                    sender = Sender(general or (known is not None and known.general), frozenset([reference]))
                    found[reference] = sender
        return found

    @property
    def is_swept(self) -> bool:
        """Whether a vault may be swept: an entry or a pattern has a store."""
        stores = [entry.store for entry in self.document.allowed_vaults]
        return any(stores) or any(pattern.store for pattern in self.document.vault_patterns)

    @property
    def named_vaults(self) -> Mapping[str, AllowedVault]:
        """The entries that name a vault, by its name in lower case."""
        return self._entries

    @cached_property
    def _entries(self) -> dict[str, AllowedVault]:
        return {entry.name.casefold(): entry for entry in reversed(self.document.allowed_vaults)}

    def context(self, vault: str, source: str = "", tags: Mapping[str, str] | None = None) -> Context:
        """What the decision needs to know of the vault's settings; `source` is its resource id, where it is known."""
        entry = self.entry(vault, source, tags)
        site = None if entry is None else entry.site or ""
        return Context(vault, self.document.sweep.include_disabled, partial(self._evaluate, entry), site)

    def _evaluate(self, entry: AllowedVault | None, record: RuleRecord) -> RuleResult:
        """What the ticket rules decide, and the vault's site where they name none."""
        result = self.rules.outcome(record) or RuleResult()
        return result if entry is None or not entry.site or result.site else replace(result, site=entry.site)


def joined(senders: Sequence[Sender]) -> Sender:
    """Who may bring what any of them may."""
    return Sender(any(one.general for one in senders), frozenset().union(*[one.shown for one in senders]))


def configurations(settings: SettingsStore, tags_of: TagsOf = _untagged) -> Callable[[], Configuration | None]:
    """A reader of the present settings, which compiles the rules again only when the document changed."""
    compiled: tuple[str, Configuration] | None = None

    def read() -> Configuration | None:
        nonlocal compiled
        stored = settings.find(KeyVaultEvents, NAME)
        if stored is None:
            return None
        held = compiled
        if held is None or held[0] != stored.etag:
            held = (stored.etag, Configuration(stored.document, compile_rules(stored.document.rules()), tags_of))
            compiled = held
        return held[1]

    return read
