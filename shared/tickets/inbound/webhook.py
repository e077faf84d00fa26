"""A delivery of Event Grid from its bytes to its answer: who sent it, what it is, what becomes of each event.

The answers say what Event Grid shall do: 200 all is kept; 401, 400 and 413 never send this again; 503 send it again.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.errors import (
    DeskbridgeError,
    InvalidInputError,
    MethodNotAllowedError,
    NotAuthorisedError,
    TooLargeError,
)
from shared.reasons import Reason
from shared.telemetry import span
from shared.tickets.configuration import Configuration
from shared.tickets.domain.model import ChangeType, KeyVaultEvent, ObjectType
from shared.tickets.inbound.event_grid import (
    VALIDATION_EVENT,
    EventRefusedError,
    MessageKind,
    deleted_subscription,
    parse_delivery,
    parse_event,
    validation_code,
)
from shared.tickets.inbound.quarantine import Quarantine, Quarantined
from shared.tickets.reconciler import TicketReconciler, work_of
from shared.tickets.store.repository import object_key
from shared.tickets.transactions import UnstorableError
from shared.vaults.model import Credentials
from shared.vaults.webhook_auth import authorise_by, given_credential, refused

logger = logging.getLogger(__name__)

# What is done with an event that is refused: event, reason, message; the id of the item that it is kept as.
_Keep = Callable[[Any, Reason, str], str]

ALLOWED_METHODS = "POST, OPTIONS"
_RETRY_SECONDS = 30
_STATUS: tuple[tuple[type[DeskbridgeError], int], ...] = (
    (InvalidInputError, 400),
    (NotAuthorisedError, 401),
    (MethodNotAllowedError, 405),
    (TooLargeError, 413),
)


@dataclass(frozen=True)
class WebhookResponse:
    """What goes back. `body` None is an empty one."""

    status: int
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class IngestResult:
    """What became of a delivery's members."""

    events: int
    quarantined: tuple[str, ...]


class EventGridWebhook:
    """Records deliveries. `secret_changed` is told (vault, secret) when a secret has a new version."""

    def __init__(
        self,
        configuration: Callable[[], Configuration | None],
        credentials: Credentials,
        settling: TicketReconciler,
        quarantine: Quarantine,
        *,
        body_limit: int,
        secret_changed: Callable[[str, str], None] | None = None,
    ) -> None:
        self._configuration = configuration
        self._credentials = credentials
        self._settling = settling
        self._quarantine = quarantine
        self._body_limit = body_limit
        self._secret_changed = secret_changed

    def receive(self, method: str, headers: Mapping[str, str], body: bytes) -> WebhookResponse:
        """The answer to one request; never raises. `headers` may have any case."""
        folded = {name.casefold(): value for name, value in headers.items()}
        try:
            with span("delivery", bytes=len(body), subscription=folded.get("aeg-subscription-name", "")):
                return self._answer(method.upper(), folded, body)
        except DeskbridgeError as error:
            return _refusal(error)
        except Exception:
            # A bug may be mended by the next deployment, and Event Grid drops what it is told to be wrong.
            logger.exception("A delivery met a bug; Event Grid is asked to send it again.")
            return _answer_of(503, Reason.INTERNAL, "Something is wrong here.", {"Retry-After": str(_RETRY_SECONDS)})

    def record(self, members: Iterable[Any], configuration: Configuration) -> IngestResult:
        """Store what becomes of each member; what cannot become a ticket is quarantined.

        Raises TryLaterError and MisconfiguredError of the storage; repeating the call does no harm.
        """
        return self._record(members, configuration, self._keep)

    def replay(self, item: Quarantined, configuration: Configuration) -> bool:
        """Whether a quarantined event is recorded now: then it is out of the quarantine.

        One that is refused again stays; one that somebody removed meanwhile is not brought back. Raises as `record`.
        """

        def keep(_member: Any, reason: Reason, message: str) -> str:
            return self._quarantine.change(item, reason, message)

        if self._record([item.event], configuration, keep).quarantined:
            return False
        self._quarantine.remove(item)
        return True

    # Within

    def _record(self, members: Iterable[Any], configuration: Configuration, keep: _Keep) -> IngestResult:
        by_vault: dict[str, list[tuple[KeyVaultEvent, Any]]] = {}
        quarantined: list[str] = []
        count = 0
        for member in members:
            try:
                event = _event_of(member, configuration)
            except EventRefusedError as refusal:
                quarantined.append(keep(member, refusal.reason, refusal.message))
                continue
            by_vault.setdefault(event.vault, []).append((event, member))
            count += 1
        for vault, found in by_vault.items():
            for member, refusal_of_storage in self._settle(vault, found, configuration):
                quarantined.append(keep(member, refusal_of_storage.reason, refusal_of_storage.message))
                count -= 1
        return IngestResult(count, tuple(quarantined))

    def _answer(self, method: str, headers: Mapping[str, str], body: bytes) -> WebhookResponse:
        if method == "OPTIONS":
            return self._consent(headers)
        if method == "POST":
            return self._deliver(headers, body)
        raise MethodNotAllowedError(Reason.METHOD_NOT_ALLOWED, f"Send {ALLOWED_METHODS}.")

    def _consent(self, headers: Mapping[str, str]) -> WebhookResponse:
        """The handshake of CloudEvents: to refuse is to leave the headers of consent out."""
        allow = {"Allow": ALLOWED_METHODS}
        origin = headers.get("webhook-request-origin", "").strip()
        if not origin:
            return WebhookResponse(200, None, allow)
        configuration = self._configured()
        known = {name.casefold(): name for name in configuration.document.allowed_origins}
        if origin.casefold() not in known:
            raise NotAuthorisedError(
                Reason.ORIGIN_NOT_ALLOWED,
                "This origin may not deliver here.",
                remedy="Add it to allowed_origins of key-vault-events/default if it is Event Grid's in your cloud.",
            )
        self._authorise(headers, configuration, handshake=True)
        consent = {"WebHook-Allowed-Origin": known[origin.casefold()], "WebHook-Allowed-Rate": "*"}
        logger.info("The handshake of %s was accepted.", origin)
        return WebhookResponse(200, None, {**allow, **consent})

    def _deliver(self, headers: Mapping[str, str], body: bytes) -> WebhookResponse:
        kind = headers.get("aeg-event-type", "").strip().casefold()
        configuration = self._configured()
        self._authorise(headers, configuration, handshake=kind == MessageKind.VALIDATION)
        if len(body) > self._body_limit:
            raise TooLargeError(
                Reason.BODY_TOO_LARGE,
                f"The body has {len(body)} bytes; at most {self._body_limit} are read.",
                remedy="Lower the batch size of the event subscription.",
            )
        delivery = parse_delivery(body)
        if kind == MessageKind.VALIDATION or VALIDATION_EVENT in delivery.event_types:
            code = validation_code(delivery)
            logger.info("The event subscription %s was validated.", headers.get("aeg-subscription-name", "?"))
            return WebhookResponse(200, {"validationResponse": code})
        if kind == MessageKind.DELETION:
            logger.warning("An event subscription was deleted: %s", deleted_subscription(delivery) or "it has no id")
            return WebhookResponse(200, {"recorded": 0, "quarantined": 0})
        recorded = self.record(delivery.members, configuration)
        return WebhookResponse(200, {"recorded": recorded.events, "quarantined": len(recorded.quarantined)})

    def _configured(self) -> Configuration:
        configuration = self._configuration()
        if configuration is None:
            logger.warning("A delivery was refused: there is no document key-vault-events/default.")
            raise refused()
        return configuration

    def _authorise(self, headers: Mapping[str, str], configuration: Configuration, *, handshake: bool) -> None:
        given = given_credential(headers.get("authorization"))
        if given is not None:
            pairs = configuration.document.credentials
            references = [pairs.current] + ([pairs.previous] if pairs.previous is not None else [])
            authorise_by(self._credentials, given, references)
            return
        if not handshake or not self._may_shake_hands(headers.get("aeg-subscription-name"), configuration):
            raise refused()

    def _may_shake_hands(self, subscription: str | None, configuration: Configuration) -> bool:
        """Whether a handshake without a credential is accepted: Event Grid may not send one.

        The handshake of CloudEvents may carry no subscription's name either; it gives no right to deliver, so the
        allowed origin is then enough, unless nobody's handshake is to be accepted so.
        """
        allowed = {name.casefold() for name in configuration.document.subscriptions}
        if configuration.document.strict_handshake or not allowed:
            return False
        return subscription is None or subscription.strip().casefold() in allowed

    def _settle(
        self, vault: str, found: list[tuple[KeyVaultEvent, Any]], configuration: Configuration
    ) -> list[tuple[Any, DeskbridgeError]]:
        """Store the events of a vault; answers with the members whose object cannot be stored."""
        unstorable: list[tuple[Any, DeskbridgeError]] = []
        while True:
            try:
                events = [event for event, _ in found]
                self._settling.settle(vault, work_of(events), configuration.context(vault), configuration.ruling)
            except UnstorableError as error:
                of_it = [one for one in found if object_key(one[0].object_type, one[0].object_name) == error.key]
                unstorable += [(member, error) for _, member in of_it]
                found = [one for one in found if one not in of_it]
                continue
            self._tell_changes(events)
            return unstorable

    def _tell_changes(self, events: list[KeyVaultEvent]) -> None:
        if self._secret_changed is None:
            return
        for event in events:
            if event.change is ChangeType.NEW_VERSION_CREATED and event.object_type is ObjectType.SECRET:
                self._secret_changed(event.vault, event.object_name)

    def _keep(self, member: Any, reason: Reason, message: str) -> str:
        logger.warning("An event is quarantined (%s): %s", reason, message)
        return self._quarantine.keep(member, reason, message)


def _event_of(member: Any, configuration: Configuration) -> KeyVaultEvent:
    event = parse_event(member)
    if not configuration.allowed(event.vault, event.source):
        raise EventRefusedError(
            Reason.VAULT_NOT_ALLOWED, f"The vault {event.vault} ({event.source}) is not an allowed one."
        )
    return event


def _refusal(error: DeskbridgeError) -> WebhookResponse:
    status = next((status for cls, status in _STATUS if isinstance(error, cls)), 503)
    logger.log(
        logging.ERROR if status == 503 else logging.WARNING,
        "A delivery is answered %d: %s (%s)",
        status,
        error,
        error.reason,
    )
    headers: dict[str, str] = {}
    if status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="deskbridge", charset="UTF-8"'
    elif status == 405:
        headers["Allow"] = ALLOWED_METHODS
    elif status == 503:
        headers["Retry-After"] = str(_RETRY_SECONDS)
    # To a stranger, and for what is wrong inside, the reason is enough: the sentences are in the log.
    message = error.message if status in {400, 413} else ""
    return _answer_of(status, error.reason, message, headers)


def _answer_of(status: int, reason: Reason, message: str, headers: Mapping[str, str]) -> WebhookResponse:
    body = {"type": f"urn:deskbridge:reason:{reason}", "status": status, "reason": str(reason)}
    return WebhookResponse(status, {**body, "detail": message} if message else body, headers)
