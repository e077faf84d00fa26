"""The kinds of settings documents. The composition root says which there are: this room knows no feature."""

from collections.abc import Iterator

from shared.errors import NotFoundError
from shared.reasons import Reason
from shared.settings.base import SettingsDocument


class DocumentKinds:
    """Document classes by their kind, in the order in which documents can be written: what is named comes first."""

    def __init__(self, *classes: type[SettingsDocument]) -> None:
        self._classes = {cls.kind: cls for cls in classes}

    def __iter__(self) -> Iterator[type[SettingsDocument]]:
        return iter(self._classes.values())

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._classes)

    def get(self, kind: str) -> type[SettingsDocument]:
        """The document class of a kind; raises NotFoundError that lists the kinds."""
        if kind not in self._classes:
            raise NotFoundError(
                Reason.NOT_FOUND,
                f"There is no kind of settings named {kind!r}; the kinds are {', '.join(self._classes)}.",
            )
        return self._classes[kind]
