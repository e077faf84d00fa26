"""The lab's Event Grid: sends Key Vault events to a webhook by the rules that the real service keeps.

    python -m lab.emulators.event_grid --help

From Python, see `EventGrid`. What it knows of the real service, and where Microsoft's pages leave a question open, is
said beside each rule: `events`, `headers`, `handshake`, `retries`, `dead_letters`.
"""

from lab.emulators.event_grid.dead_letters import DeadLetterBlobs, DeadLettersInMemory
from lab.emulators.event_grid.delivery_plan import Disorder
from lab.emulators.event_grid.destinations import Answer, StorageQueue
from lab.emulators.event_grid.events import (
    EVENT_TYPES,
    KeyVaultEvent,
    Schema,
    make_event,
    one_of_each_type,
    vault_resource_id,
)
from lab.emulators.event_grid.handshake import HandshakeResult, ProvisioningState
from lab.emulators.event_grid.report import Attempt, DeliveryNotice, EventReport, Outcome, Report
from lab.emulators.event_grid.retries import RetryPolicy
from lab.emulators.event_grid.simulator import EventGrid
from lab.emulators.event_grid.subscription import EventSubscription, SubscriptionError, basic_authorization

__all__ = [
    "EVENT_TYPES",
    "Answer",
    "Attempt",
    "DeadLetterBlobs",
    "DeadLettersInMemory",
    "DeliveryNotice",
    "Disorder",
    "EventGrid",
    "EventReport",
    "EventSubscription",
    "HandshakeResult",
    "KeyVaultEvent",
    "Outcome",
    "ProvisioningState",
    "Report",
    "RetryPolicy",
    "Schema",
    "StorageQueue",
    "SubscriptionError",
    "basic_authorization",
    "make_event",
    "one_of_each_type",
    "vault_resource_id",
]
