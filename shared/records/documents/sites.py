"""Sites: where assets, users and the objects of tickets are, and whose."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import ClassVar

from shared.access.roles import Role
from shared.settings.base import DocumentName, Reference, SettingsDocument, Text
from shared.settings.kinds import DocumentKinds
from shared.settings.reader import SettingsReader

_MOST_LISTED = 30


class CustomerDocument(SettingsDocument):
    """A company that is served. Tokens and signed-in people may be limited to it."""

    kind: ClassVar[str] = "customers"
    writable_by: ClassVar[Role] = Role.OPERATOR

    title: Text


class SiteDocument(SettingsDocument):
    """A site of a customer, such as London HQ of Acorn Construction."""

    kind: ClassVar[str] = "sites"
    writable_by: ClassVar[Role] = Role.OPERATOR

    title: Text
    customer: DocumentName

    def references(self) -> Sequence[Reference]:
        return (Reference("customer", CustomerDocument.kind, self.customer),)


def sites_of(settings: SettingsReader, customers: Collection[str]) -> frozenset[str]:
    """The names of the sites of these customers. A site that cannot be read is nobody's."""
    return frozenset(site.name for site in settings.list(SiteDocument) if site.document.customer in customers)


def documents_at(
    settings: SettingsReader, classes: Iterable[type[SettingsDocument]], sites: Collection[str]
) -> frozenset[tuple[str, str]]:
    """Kind and name of the documents of these classes that name one of the sites. What cannot be read is nobody's."""
    return frozenset(
        (cls.kind, stored.name)
        for cls in classes
        for stored in settings.list(cls)
        if any(one.kind == SiteDocument.kind and one.name in sites for one in stored.document.references())
    )


def belonging(settings: SettingsReader, kinds: DocumentKinds, about: str, site: str = "") -> tuple[str, str]:
    """Site and customer of a document (`aws-tenants/acorn`), or of the site; empty for nobody's, and for several'."""
    kind, _, name = about.partition("/")
    customers = customers_by_site(settings)
    sites = [site] if site else []
    if not site and kind in kinds.names:
        stored = settings.find(kinds.get(kind), name)
        references = stored.document.references() if stored is not None else ()
        sites = [one.name for one in references if one.kind == SiteDocument.kind]
    owners = {customers.get(one, "") for one in sites}
    return (sites[0], owners.pop()) if len(owners) == 1 else ("", "")


def customers_by_site(settings: SettingsReader) -> Mapping[str, str]:
    """Whose each site is. A site that cannot be read is nobody's."""
    return {site.name: site.document.customer for site in settings.list(SiteDocument)}


def site_fault(settings: SettingsReader, name: object) -> str | None:
    """Why it is not the name of a site, with those that there are; None when it is one."""
    names = [site.name for site in settings.list(SiteDocument)]
    if name in names:
        return None
    if not names:
        return f"there is no document {SiteDocument.kind}/{name}, and none of another site"
    listed = ", ".join(names[:_MOST_LISTED]) + (", …" if len(names) > _MOST_LISTED else "")
    return f"there is no document {SiteDocument.kind}/{name}: name one of {listed}"
