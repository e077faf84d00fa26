"""Every table, queue and container that the product uses. The infrastructure creates them; a check compares the two."""

TICKETS_TABLE = "tickets"
ASSETS_TABLE = "assets"
USERS_TABLE = "users"
RUNS_TABLE = "runs"
SETTINGS_TABLE = "settings"
OUTBOX_TABLE = "outbox"
INDEX_TABLE = "index"
AUDIT_TABLE = "audit"
ACCESS_TABLE = "access"
VAULTS_TABLE = "vaults"
TABLES = (
    TICKETS_TABLE,
    ASSETS_TABLE,
    USERS_TABLE,
    RUNS_TABLE,
    SETTINGS_TABLE,
    OUTBOX_TABLE,
    INDEX_TABLE,
    AUDIT_TABLE,
    ACCESS_TABLE,
    VAULTS_TABLE,
)

IMPORT_PARTS_QUEUE = "import-parts"
# Event Grid delivers here when a subscription's destination is a storage queue instead of the webhook.
EVENTS_QUEUE = "key-vault-events"
# Hurries what follows from changes.
OUTBOX_QUEUE = "outbox"
# Steps of sweeps: a message a vault, and those of the fan-out.
SWEEPS_QUEUE = "sweeps"


def poison_queue(queue: str) -> str:
    """Where the Functions host puts a message that failed `maxDequeueCount` times."""
    return f"{queue}-poison"


IMPORT_PARTS_POISON_QUEUE = poison_queue(IMPORT_PARTS_QUEUE)
EVENTS_POISON_QUEUE = poison_queue(EVENTS_QUEUE)
OUTBOX_POISON_QUEUE = poison_queue(OUTBOX_QUEUE)
SWEEPS_POISON_QUEUE = poison_queue(SWEEPS_QUEUE)
# Those that functions read, each with its poison queue.
WORKED_QUEUES = tuple(
    (queue, poison_queue(queue)) for queue in (IMPORT_PARTS_QUEUE, EVENTS_QUEUE, OUTBOX_QUEUE, SWEEPS_QUEUE)
)
QUEUES = (
    IMPORT_PARTS_QUEUE,
    IMPORT_PARTS_POISON_QUEUE,
    EVENTS_QUEUE,
    EVENTS_POISON_QUEUE,
    OUTBOX_QUEUE,
    OUTBOX_POISON_QUEUE,
    SWEEPS_QUEUE,
    SWEEPS_POISON_QUEUE,
)

# Events that Event Grid could not deliver within its 24 hours.
DEAD_LETTERS_CONTAINER = "event-grid-dead-letters"
# The package that the platform starts the app from; the app's own code never opens it.
DEPLOYMENT_CONTAINER = "deployment-packages"
CONTAINERS = (DEAD_LETTERS_CONTAINER, DEPLOYMENT_CONTAINER)
