"""What a source is to the engine. A third one is a class of each of these two, registered in the composition root."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from shared.imports.part_rows import PartRows
from shared.imports.plan.model import DesiredRecord, Policy, Trigger


@dataclass(frozen=True)
class Expansion:
    """The parts that a part led to, and what the run tells of it."""

    parts: Sequence[str]
    message: str = ""


class SyncSource(Protocol):
    """One settings document of a source (a tenant, a realm), as it stands now.

    Building one reads no credential and calls nobody. Every method may raise DeskbridgeError: the part then fails with
    its sentence, or, for TryLaterError, is tried again by the queue.
    """

    name: str

    # Another one when the document may read other parts than before: the moment of its last change, for example.
    @property
    def version(self) -> str: ...

    def parts(self) -> Sequence[str]:
        """The parts of an import. Known without asking the source; asked again for each piece of a large run.

        No name begins with "list of parts": so the parts are called that create others.
        """
        ...

    def expand(self, part: str, after: str = "", most: int | None = None) -> Expansion | None:
        """For a part that only finds out which parts there are: those. None for a part with records.

        When they are very many, it is asked again for each piece of them, and should then know them by itself: those
        whose keys come after that of the name `after`, and of these at least the first `most`.
        """
        ...

    def partition_key(self, part: str) -> str:
        """The partition of the part's records. No two parts of all documents share one."""
        ...

    def policy(self, trigger: Trigger) -> Policy:
        """What an import may do, with what started it taken into account."""
        ...

    def read(self, part: str) -> Iterator[Sequence[Any]]:
        """Pages of records as the source gives them. Ending means that the part was read to its end; else it raises."""
        ...

    def map_record(self, part: str, raw: Any) -> DesiredRecord:
        """A record mapped. Pure; what is wrong with the record is in the answer, not raised."""
        ...

    def create_prerequisites(self, prerequisites: Collection[str], by: str) -> None:
        """Create what records named in `DesiredRecord.prerequisites` (a type, a field). Twice is as once."""
        ...

    def finish(self, part: str, counts: Mapping[str, int]) -> None:
        """What follows from an import of the part once its records are written. May be interrupted and repeated."""
        ...


class SourceType(Protocol):
    """A kind of source. `kind` is the kind of its settings documents, and its word in run ids and messages."""

    kind: str
    rows: PartRows

    def scheduled(self) -> Sequence[tuple[str, datetime]]:
        """The documents that are imported by schedule: name, and since when it stands so."""
        ...

    def documents(self) -> Collection[str]:
        """The names of all documents, imported by schedule or not."""
        ...

    def reader(self, partition_key: str, likely: str, *, fresh: bool = False) -> str:
        """The document that reads the part with these records, by the settings as they stand and what is known of the
        source without asking it; empty for none. The one named `likely` is asked first."""
        ...

    def source(self, name: str) -> SyncSource:
        """Raises NotFoundError."""
        ...
