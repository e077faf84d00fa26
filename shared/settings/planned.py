"""The settings as a set of documents will leave them: what a check of one document looks at."""

from collections.abc import Mapping

from shared.settings.base import SettingsDocument
from shared.settings.kinds import DocumentKinds
from shared.settings.reader import SettingsReader


class PlannedSettings:
    """The documents as they will be once a set is written. One that cannot be read is left out."""

    def __init__(self, reader: SettingsReader, also: Mapping[tuple[str, str], SettingsDocument]) -> None:
        self._reader = reader
        self.also = also
        self._seen: dict[str, dict[str, SettingsDocument]] = {}

    @property
    def kinds(self) -> DocumentKinds:
        return self._reader.kinds

    def of(self, cls: type[SettingsDocument]) -> Mapping[str, SettingsDocument]:
        """The documents of a kind, by name."""
        if cls.kind not in self._seen:
            stored = self._reader.list(cls, fresh=True)
            written = {name: document for (kind, name), document in self.also.items() if kind == cls.kind}
            self._seen[cls.kind] = {**{one.name: one.document for one in stored}, **written}
        return self._seen[cls.kind]
