"""A delivery of Event Grid from its bytes to what became of it: who sent it, what it is, and its events taken in."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from shared.access.basic_auth import bearer_token, check_basic, credential_refused, parse_basic_header
from shared.access.entra_delivery import DeliveryTokens, ExpectedToken, bearer_refused
from shared.access.strangers import told_to_stranger
from shared.errors import DeskbridgeError, MethodNotAllowedError, NotAuthorisedError, TooLargeError
from shared.hosts import AllowedHosts
from shared.reasons import Reason
from shared.tickets.configuration import Configuration, Sender, joined
from shared.tickets.documents import NAME, KeyVaultEvents
from shared.tickets.inbound.event_grid import (
    MessageKind,
    asks_for_validation,
    deleted_subscription,
    parse_delivery,
    validation_code,
    validation_topic,
)
from shared.tickets.inbound.ingestor import EventIngestor
from shared.vaults.model import Credentials, CredentialUser

logger = logging.getLogger(__name__)

_SHOWN = 300
# How the log names this way in.
_DOOR = "Event Grid's webhook"
_USER = CredentialUser(KeyVaultEvents.kind, NAME)


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
        tokens: DeliveryTokens | None = None,
        hosts: AllowedHosts | None = None,
    ) -> None:
        """Without `tokens` no delivery that Entra ID signs is accepted. `hosts` are those that keys come from."""
        self._configuration = configuration
        self._credentials = credentials
        self._ingestor = ingestor
        self._body_limit = body_limit
        self._tokens = tokens
        self._hosts = hosts or AllowedHosts()

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
        try:
            configuration = self._configured()
            allowed = _allowed_origin(origin, configuration.document)
            self._authorise(headers, configuration, handshake=True, nameless=True)
        except DeskbridgeError as error:
            raise told_to_stranger(_DOOR, error) from None
        logger.info("The handshake of %s was accepted.", origin)
        return OriginAllowed(allowed)

    def _deliver(self, headers: Mapping[str, str], body: bytes) -> SubscriptionValidated | DeliveryRecorded:
        kind = headers.get("aeg-event-type", "").strip().casefold()
        try:
            configuration = self._configured()
            sender = self._authorise(headers, configuration, handshake=kind == MessageKind.VALIDATION)
        except DeskbridgeError as error:
            raise told_to_stranger(_DOOR, error) from None
        if len(body) > self._body_limit:
            raise TooLargeError(
                Reason.BODY_TOO_LARGE,
                f"The body has {len(body)} bytes; at most {self._body_limit} are read.",
                remedy="Lower the batch size of the event subscription.",
            )
        members = parse_delivery(body)
        if kind == MessageKind.VALIDATION or asks_for_validation(members):
            code = validation_code(members)
            self._check_topic(validation_topic(members), configuration, sender)
            logger.info("The event subscription %s was validated.", headers.get("aeg-subscription-name", "?"))
            return SubscriptionValidated(code)
        if kind == MessageKind.DELETION:
            logger.warning("An event subscription was deleted: %s", deleted_subscription(members) or "it has no id")
            return DeliveryRecorded(0, 0)
        result = self._ingestor.record(members, configuration, sender)
        return DeliveryRecorded(result.events, len(result.quarantined))

    def _check_topic(self, topic: str, configuration: Configuration, sender: Sender) -> None:
        if configuration.allows_topic(topic):
            return
        refusal = NotAuthorisedError(
            Reason.VAULT_NOT_ALLOWED,
            f"A subscription was not validated: its topic {topic[:_SHOWN] or '?'} is of no allowed vault.",
            remedy="Add the vault to allowed_vaults of key-vault-events/default.",
        )
        raise refusal if sender.is_known else told_to_stranger(_DOOR, refusal)

    def _configured(self) -> Configuration:
        configuration = self._configuration()
        if configuration is None:
            raise NotAuthorisedError(
                Reason.CREDENTIAL_REFUSED,
                "There is no document key-vault-events/default, so no delivery is accepted.",
                remedy="Apply the settings of docs/key-vault.md.",
            )
        return configuration

    def _authorise(
        self, headers: Mapping[str, str], configuration: Configuration, *, handshake: bool, nameless: bool = False
    ) -> Sender:
        """Whose events the delivery may bring. Raises NotAuthorisedError, TryLaterError."""
        header = headers.get("authorization")
        token = bearer_token(header)
        if token is not None:
            self._check_token(token, configuration.document)
            return Sender(general=True)
        given = parse_basic_header(header)
        if given is not None:
            pairs = configuration.pairs
            return joined([pairs[each] for each in check_basic(given, list(pairs), self._credentials, _USER)])
        subscription = headers.get("aeg-subscription-name")
        if subscription is None and not nameless:
            raise credential_refused()
        if not handshake or not self._may_shake_hands(subscription, configuration):
            raise credential_refused()
        return Sender(general=False)

    def _check_token(self, token: str, document: KeyVaultEvents) -> None:
        entra = document.entra
        if entra is None or self._tokens is None:
            raise bearer_refused("key-vault-events/default has no `entra`")
        self._hosts.check(f"{KeyVaultEvents.kind}/{NAME}", document.host_uses())
        self._tokens.check(token, ExpectedToken(entra.authority, entra.tenant_id, entra.audience, entra.app_id))

    def _may_shake_hands(self, subscription: str | None, configuration: Configuration) -> bool:
        """Whether a handshake without a credential is accepted: Event Grid may not send one.

        OPTIONS, the handshake of CloudEvents, may carry no subscription's name either. It gives no right to deliver,
        so the allowed origin is then enough, unless nobody's handshake is to be accepted so.
        """
        allowed = {name.casefold() for name in configuration.document.subscriptions}
        if configuration.document.strict_handshake or not allowed:
            return False
        return subscription is None or subscription.strip().casefold() in allowed


def _allowed_origin(origin: str, document: KeyVaultEvents) -> str:
    known = {name.casefold(): name for name in document.allowed_origins}
    if origin.casefold() not in known:
        raise NotAuthorisedError(
            Reason.ORIGIN_NOT_ALLOWED,
            f"The origin {origin[:_SHOWN]!r} may not deliver here.",
            remedy="Add it to allowed_origins of key-vault-events/default if it is Event Grid's in your cloud.",
        )
    return known[origin.casefold()]
