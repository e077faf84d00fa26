"""Fields of assets beyond the standard ones. People write them, and imports add to them."""

from collections.abc import Sequence
from typing import ClassVar

from shared.access.roles import Role
from shared.errors import Fault
from shared.settings.base import SettingsDocument, Text


class AssetFieldDocument(SettingsDocument):
    """A field. `custom` makes it a custom field: rules and answers call it `custom.<name>`."""

    kind: ClassVar[str] = "asset-fields"
    writable_by: ClassVar[Role] = Role.OPERATOR

    title: Text
    custom: bool = False

    def check_change(self, before: SettingsDocument) -> Sequence[Fault]:
        if isinstance(before, AssetFieldDocument) and before.custom != self.custom:
            return [Fault("custom", "cannot change: the values of the field stand in another column")]
        return ()

    def check_name(self, name: str) -> Sequence[Fault]:
        if not self.custom and name in STANDARD_FIELDS:
            return [Fault("name", "is a standard field, which is always there")]
        return ()


# The fields that every asset has without a document; what each is stands in the documentation.
STANDARD_FIELDS = (
    "name",
    "asset-number",
    "description",
    "status",
    "serial-number",
    "manufacturer",
    "model",
    "host-name",
    "ip-address",
    "operating-system",
    "owner",
    "notes",
)
