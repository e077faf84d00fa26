"""Asset types. People write them, and imports add to them."""

from typing import ClassVar

from shared.access.roles import Role
from shared.settings.base import SettingsDocument, Text

DEFAULT_GROUP = "Network Equipment"


class AssetTypeDocument(SettingsDocument):
    """A type in its asset group. An import finds it by its title, which must be identical."""

    kind: ClassVar[str] = "asset-types"
    writable_by: ClassVar[Role] = Role.OPERATOR

    title: Text
    group: Text = DEFAULT_GROUP
