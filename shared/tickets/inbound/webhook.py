"""A delivery of Event Grid from its bytes to what became of it: who sent it, what it is, and its events taken in."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from shared.access.basic_auth import check_basic, credential_refused, parse_basic_header
from shared.errors import MethodNotAllowedError, NotAuthorisedError, TooLargeError
from shared.reasons import Reason
from shared.tickets.configuration import Configuration
from shared.tickets.inbound.event_grid import (
    VALIDATION_EVENT,
    MessageKind,
    deleted_subscription,
    parse_delivery,
    validation_code,
    validation_topic,
)
from shared.tickets.inbound.ingestor import EventIngestor
from shared.vaults.model import Credentials

logger = logging.getLogger(__name__)

_SHOWN = 300


@dataclass(frozen=True)
class OriginAllowed:
    """The handshake of CloudEvents: this origin may deliver; empty when none was named."""

    origin: str


@dataclass(frozen=True)
class SubscriptionValidated:
    """The handshake of Event Grid's own schema: the code that it wants to hear."""

    code: str


@dataclass(frozen=True)
class DeliveryRecorded:
    """All of the delivery is kept: so many events as tickets, so many in the quarantine."""

    recorded: int
    quarantined: int


DeliveryOutcome = OriginAllowed | SubscriptionValidated | DeliveryRecorded


class EventGridWebhook:
    """Receives deliveries and handshakes."""

    def __init__(
        self,
        configuration: Callable[[], Configuration | None],
        credentials: Credentials,
        ingestor: EventIngestor,
        *,
        body_limit: int,
    ) -> None:
        self._configuration = configuration
        self._credentials = credentials
        self._ingestor = ingestor
        self._body_limit = body_limit

    def receive(self, method: str, headers: Mapping[str, str], body: bytes) -> DeliveryOutcome:
        """What became of one request. `headers` may have any case.

        Raises MethodNotAllowedError, NotAuthorisedError, TooLargeError and InvalidInputError for what is never to be
        sent again; TryLaterError and MisconfiguredError for what is to be sent again.
        """
        folded = {name.casefold(): value for name, value in headers.items()}
        if method.upper() == "OPTIONS":
            return self._consent(folded)
        if method.upper() == "POST":
            return self._deliver(folded, body)
        raise MethodNotAllowedError(Reason.METHOD_NOT_ALLOWED, "Send POST or OPTIONS.")

    # Within

    def _consent(self, headers: Mapping[str, str]) -> OriginAllowed:
        origin = headers.get("webhook-request-origin", "").strip()
        if not origin:
            return OriginAllowed("")
        configuration = self._configured()
        known = {name.casefold(): name for name in configuration.document.allowed_origins}
        if origin.casefold() not in known:
            raise NotAuthorisedError(
                Reason.ORIGIN_NOT_ALLOWED,
                "This origin may not deliver here.",
                remedy="Add it to allowed_origins of key-vault-events/default if it is Event Grid's in your cloud.",
            )
        self._authorise(headers, configuration, handshake=True, nameless=True)
        logger.info("The handshake of %s was accepted.", origin)
        return OriginAllowed(known[origin.casefold()])

    def _deliver(self, headers: Mapping[str, str], body: bytes) -> SubscriptionValidated | DeliveryRecorded:
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
            self._check_topic(validation_topic(delivery), configuration, headers)
            logger.info("The event subscription %s was validated.", headers.get("aeg-subscription-name", "?"))
            return SubscriptionValidated(code)
        if kind == MessageKind.DELETION:
            logger.warning("An event subscription was deleted: %s", deleted_subscription(delivery) or "it has no id")
            return DeliveryRecorded(0, 0)
        result = self._ingestor.record(delivery.members, configuration)
        return DeliveryRecorded(result.events, len(result.quarantined))

    def _check_topic(self, topic: str, configuration: Configuration, headers: Mapping[str, str]) -> None:
        if configuration.allows_topic(topic):
            return
        logger.warning("A subscription was not validated: its topic %s is of no allowed vault.", topic[:_SHOWN] or "?")
        if parse_basic_header(headers.get("authorization")) is None:
            raise credential_refused()
        raise NotAuthorisedError(
            Reason.VAULT_NOT_ALLOWED,
            "The event subscription listens to no allowed vault.",
            remedy="Add the vault to allowed_vaults of key-vault-events/default.",
        )

    def _configured(self) -> Configuration:
        configuration = self._configuration()
        if configuration is None:
            logger.warning("A delivery was refused: there is no document key-vault-events/default.")
            raise credential_refused()
        return configuration

    def _authorise(
        self, headers: Mapping[str, str], configuration: Configuration, *, handshake: bool, nameless: bool = False
    ) -> None:
        given = parse_basic_header(headers.get("authorization"))
        if given is not None:
            pairs = configuration.document.credentials
            check_basic(given, (pairs.current, pairs.previous), self._credentials)
            return
        subscription = headers.get("aeg-subscription-name")
        if subscription is None and not nameless:
            raise credential_refused()
        if not handshake or not self._may_shake_hands(subscription, configuration):
            raise credential_refused()

    def _may_shake_hands(self, subscription: str | None, configuration: Configuration) -> bool:
        """Whether a handshake without a credential is accepted: Event Grid may not send one.

        OPTIONS, the handshake of CloudEvents, may carry no subscription's name either. It gives no right to deliver,
        so the allowed origin is then enough, unless nobody's handshake is to be accepted so.
        """
        allowed = {name.casefold() for name in configuration.document.subscriptions}
        if configuration.document.strict_handshake or not allowed:
            return False
        return subscription is None or subscription.strip().casefold() in allowed
