"""Sites: where assets and users are, and whose."""

from typing import ClassVar

from shared.settings.base import SettingsDocument, Text


class SiteDocument(SettingsDocument):
    """A site of a customer, such as London HQ of Acorn Construction."""

    kind: ClassVar[str] = "sites"

    title: Text
    customer: Text
