"""Sites: where assets, users and the objects of tickets are, and whose."""

from typing import ClassVar

from shared.settings.base import SettingsDocument, Text
from shared.settings.reader import SettingsReader

_MOST_LISTED = 30


class SiteDocument(SettingsDocument):
    """A site of a customer, such as London HQ of Acorn Construction."""

    kind: ClassVar[str] = "sites"

    title: Text
    customer: Text


def site_fault(settings: SettingsReader, name: object) -> str | None:
    """Why it is not the name of a site, with those that there are; None when it is one."""
    names = [site.name for site in settings.list(SiteDocument)]
    if name in names:
        return None
    if not names:
        return f"there is no document {SiteDocument.kind}/{name}, and none of another site"
    listed = ", ".join(names[:_MOST_LISTED]) + (", …" if len(names) > _MOST_LISTED else "")
    return f"there is no document {SiteDocument.kind}/{name}: name one of {listed}"
