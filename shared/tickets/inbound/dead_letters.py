"""Dead letters: what Event Grid gave up on lies in a blob container, and is recorded by the same code as a delivery."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.storage.blob import ContainerClient

from shared.access.strangers import REFUSALS
from shared.errors import InvalidInputError, MisconfiguredError, TooLargeError, TryLaterError
from shared.reasons import Reason
from shared.storage.continuation import invalid_continuation_token
from shared.storage.cursors import decode_cursor, encode_cursor
from shared.tickets.configuration import Configuration
from shared.tickets.inbound.event_grid import parse_delivery
from shared.tickets.inbound.ingestor import EventIngestor
from shared.tickets.inbound.quarantine import LONGEST, Quarantine, is_cut, text_of_bytes

logger = logging.getLogger(__name__)

# Event Grid writes at most 1 MB of events into one blob; what is larger is none of its own.
_LARGEST_BLOB = 8 * 1024 * 1024
# As Event Grid names its blobs.
_ENDING = ".json"
# Of the service: a blob, or a page of 5,000 names.
LARGEST_ANSWER = 16 * 1024 * 1024
# Whoever lists or replays them waits for a silent service some 25 seconds at most, a try's pause of a second included.
READ_SECONDS = 7.0
TRIES: Mapping[str, Any] = {"retry_total": 2, "initial_backoff": 1, "increment_base": 0, "random_jitter_range": 0}
_DENIED = frozenset({401, 403})
# What the service says to a marker that it never gave; the emulator takes any.
_UNREADABLE = frozenset({400, 414})


class _NoLetterError(Exception):
    """The blob is none of Event Grid's: somebody put it there."""


@dataclass(frozen=True)
class DeadLetter:
    """One blob of events that were given up."""

    name: str
    size: int
    written_at: datetime


@dataclass(frozen=True)
class Replayed:
    """What a replay came to: blobs read and removed, events recorded and quarantined, and whether more blobs wait."""

    blobs: int
    recorded: int
    quarantined: int
    more: bool


class DeadLetters:
    """The container that event subscriptions name as their dead-letter destination. There may be none yet."""

    def __init__(
        self,
        container: ContainerClient,
        configuration: Callable[[], Configuration | None],
        ingestor: EventIngestor,
        quarantine: Quarantine,
    ) -> None:
        self._container = container
        self._configuration = configuration
        self._ingestor = ingestor
        self._quarantine = quarantine

    def list(self, size: int, after: str | None) -> tuple[list[DeadLetter], str | None]:
        """A page of blobs in the order of their names, and where to go on. Raises InvalidInputError."""
        # The service's own markers hold characters that no address should.
        marker = None if after is None else str(decode_cursor(after, str)[0])
        with _explained(continued=marker is not None):
            try:
                pages = self._container.list_blobs(results_per_page=size).by_page(continuation_token=marker)
                found = [_letter(blob) for blob in next(pages, ())]
            except ResourceNotFoundError:
                return [], None
        token = getattr(pages, "continuation_token", None)
        return found, encode_cursor(str(token)) if token else None

    def replay(self, most: int = 100) -> Replayed:
        """Record the events of at most `most` blobs; each is removed once all of it is stored or quarantined.

        Raises TryLaterError and MisconfiguredError; what is done until then stays done, and repeating does no harm.
        """
        configuration = self._configuration()
        if configuration is None:
            raise MisconfiguredError(
                Reason.SETTING_MISSING,
                "Dead letters wait, and there is no document key-vault-events/default.",
                remedy="Apply the settings: docs/key-vault.md, Configure.",
            )
        blobs = recorded = quarantined = 0
        more = False
        with _explained():
            names = self._names()
            for name in names:
                if blobs == most:
                    more = True
                    break
                try:
                    stored, kept, stays = self._replay_blob(name, configuration)
                except _NoLetterError:
                    REFUSALS.note("The container of dead letters", _other_blob(name))
                    continue
                recorded, quarantined = recorded + stored, quarantined + kept
                if stays:
                    # Counted, a hundred of them would keep the others out.
                    REFUSALS.note("The container of dead letters", _too_long(name))
                else:
                    blobs += 1
        if blobs:
            logger.info("%d dead letters were replayed: %d events, %d quarantined.", blobs, recorded, quarantined)
        return Replayed(blobs, recorded, quarantined, more)

    def _names(self) -> Iterator[str]:
        try:
            for blob in self._container.list_blobs():
                yield str(blob.name)
        except ResourceNotFoundError:
            return

    def _replay_blob(self, name: str, configuration: Configuration) -> tuple[int, int, bool]:
        """How many events were recorded and quarantined, and whether the blob stays: what the quarantine cuts is
        whole nowhere else."""
        try:
            blob = self._container.download_blob(name, length=_LARGEST_BLOB, offset=0)
            content: bytes = blob.readall()
            if len(content) != blob.size:
                # What something on the way answered in the container's place is not taken for the blob, which is
                # removed once it is read.
                raise TryLaterError(
                    Reason.DEAD_LETTERS_UNAVAILABLE,
                    f"The dead letter {name} came as {len(content)} bytes and has {blob.size}.",
                    remedy="It is tried again by the next timer.",
                )
        except ResourceNotFoundError:
            return 0, 0, False  # another replay was here at the same time
        except HttpResponseError as error:
            if error.status_code != 416:
                raise
            content = b""  # an empty blob has no range
        try:
            members = parse_delivery(content)
        except (InvalidInputError, TooLargeError) as error:
            if not name.casefold().endswith(_ENDING):
                raise _NoLetterError from error
            letter = {"blob": name, **text_of_bytes(content)}
            self._quarantine.keep(letter, error.reason, f"The dead letter {name}: {error.message}")
            return 0, 1, self._stays(name, len(json.dumps(letter)) > LONGEST)
        done = self._ingestor.record(members, configuration)
        cut = any(is_cut(member, done.quarantined) for member in members)
        return done.events, len(done.quarantined), self._stays(name, cut)

    def _stays(self, name: str, cut: bool) -> bool:
        if not cut:
            self._remove(name)
        return cut

    def _remove(self, name: str) -> None:
        try:
            self._container.delete_blob(name)
        except ResourceNotFoundError:
            return


@contextmanager
def _explained(*, continued: bool = False) -> Iterator[None]:
    """`continued` says that a page is asked for by a marker, which came from outside."""
    try:
        yield
    except AzureError as error:
        status = getattr(error, "status_code", None)
        if continued and status in _UNREADABLE:
            raise invalid_continuation_token() from error
        if isinstance(error, ClientAuthenticationError) or status in _DENIED:
            raise MisconfiguredError(
                Reason.DEAD_LETTERS_DENIED,
                "The storage account refuses access to the container of dead letters.",
                remedy="Give the app's identity the role Storage Blob Data Contributor on the storage account.",
            ) from error
        raise TryLaterError(
            Reason.DEAD_LETTERS_UNAVAILABLE,
            f"The container of dead letters did not answer ({type(error).__name__}).",
            remedy="It is tried again by the next timer.",
        ) from error


def _other_blob(name: str) -> InvalidInputError:
    return InvalidInputError(
        Reason.BODY_NOT_READABLE,
        f"It holds {name[:200]!r}, which is no dead letter: it is left there.",
        remedy="Move it elsewhere.",
    )


def _too_long(name: str) -> TooLargeError:
    return TooLargeError(
        Reason.EVENT_NOT_WHOLE,
        f"The dead letter {name[:200]!r} has an event that is too long for the quarantine: the blob stays.",
        remedy="Publish the event again in another form, then remove the blob.",
    )


def _letter(blob: object) -> DeadLetter:
    modified = getattr(blob, "last_modified", None)
    return DeadLetter(
        name=str(getattr(blob, "name", "")),
        size=int(getattr(blob, "size", 0) or 0),
        written_at=modified.astimezone(UTC) if isinstance(modified, datetime) else datetime.now(UTC),
    )
