"""Events that Event Grid puts into a storage queue instead of calling the webhook: the same recording, another door.

Who may write to the queue is Azure's to decide, by the topic's identity, so there is no credential to compare here.
"""

import logging
from collections.abc import Callable

from shared.errors import DeskbridgeError, InvalidInputError, MisconfiguredError, TooLargeError
from shared.reasons import Reason
from shared.tickets.configuration import Configuration
from shared.tickets.inbound.event_grid import parse_delivery
from shared.tickets.inbound.ingestor import EventIngestor, IngestResult
from shared.tickets.inbound.quarantine import Quarantine, Refused, text_of_bytes

logger = logging.getLogger(__name__)


class QueuedEvents:
    """Takes the content of queue messages: one event, or an array of them, as JSON."""

    def __init__(
        self, configuration: Callable[[], Configuration | None], ingestor: EventIngestor, quarantine: Quarantine
    ) -> None:
        self._configuration = configuration
        self._ingestor = ingestor
        self._quarantine = quarantine

    def record(self, content: bytes) -> IngestResult:
        """Store what becomes of the message; the same one again does no harm. What is no JSON is quarantined.

        Raises MisconfiguredError and TryLaterError: then the queue shall give the message again.
        """
        try:
            members = parse_delivery(content)
        except (InvalidInputError, TooLargeError) as error:
            kept = self._quarantine.keep(text_of_bytes(content), error.reason, error.message)
            return IngestResult(0, (kept,))
        configuration = self._configuration()
        if configuration is None:
            raise MisconfiguredError(
                Reason.SETTING_MISSING,
                "Events wait in the queue, and there is no document key-vault-events/default.",
                remedy="Apply the settings: docs/deploy.md, Settings.",
            )
        return self._ingestor.record(members, configuration)

    def give_up(self, content: bytes) -> IngestResult:
        """A message that failed for good: try it once more, else quarantine it, where it can be seen and replayed.

        Raises only when the quarantine cannot be written either.
        """
        try:
            return self.record(content)
        except DeskbridgeError as error:
            message = f"It failed each time that the queue gave it. {error}"
        except Exception as error:
            # Its own error is kept with the event: raising would only move the message to where nobody looks.
            logger.exception("An event of the queue meets a bug each time; it is quarantined.")
            message = f"It met a bug each time that the queue gave it ({type(error).__name__})."
        try:
            members = parse_delivery(content)
        except (InvalidInputError, TooLargeError):
            members = [text_of_bytes(content)]
        refused = [Refused(each, Reason.MAX_DELIVERIES_EXCEEDED, message) for each in members]
        return IngestResult(0, tuple(self._quarantine.keep_all(refused)))
