"""What a source's package offers, and the composition root lists: enough to declare its timer and its endpoint.

Every worker reads it at its start. So it imports nothing heavy and makes no dataclass; what it names is imported when
it is called.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from shared.imports.sources import SourceType
    from shared.settings.base import SettingsDocument


class RegisteredSource(NamedTuple):
    """A source of records. Its functions are named after it: `import_<name>_<records>` and `start_<name>_import`."""

    name: str
    records: str  # assets or users
    kind: str  # of its settings documents; also in addresses, run ids and messages
    document: str  # what one document describes, in words: an AWS tenant
    schedule: str  # the app setting that says when its imports start
    documents: Callable[[], Sequence[type["SettingsDocument"]]]  # what is named comes first
    # Takes the composition root; the builder's own annotation says what it asks of that.
    build: Callable[[Any], "SourceType"]
