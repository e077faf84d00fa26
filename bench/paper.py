"""On paper: what a fleet of a million instances over 500 accounts costs a day, from documented limits and prices.

Sources: Microsoft's "Scalability and performance targets for Table storage" and "for Queue Storage", "Azure Functions
Flex Consumption plan"; AWS's "Request throttling for the Amazon EC2 API". Prices change: they stand here to be changed.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

INSTANCES = 1_000_000
ACCOUNTS = 500
REGIONS_WITH_INSTANCES = 3
REGIONS = 17
CHANGED_SHARE = 0.01
ROWS_PER_PAGE = 1_000
CHANGES_PER_TRANSACTION = 100
WORKERS = 20

# Documented limits.
PARTITION_ROWS_PER_SECOND = 2_000
ACCOUNT_REQUESTS_PER_SECOND = 20_000
EC2_BUCKET, EC2_REFILL_PER_SECOND = 100, 20  # DescribeInstances, unfiltered, per account and region

# Prices in US dollars, of a common region, in 2026; to be held against the pages named above.
TABLE_TRANSACTIONS_PER_10_000 = 0.00036
QUEUE_OPERATIONS_PER_10_000 = 0.0004
FUNCTION_GB_SECOND = 0.000026
FUNCTION_EXECUTIONS_PER_MILLION = 0.40
TABLE_GB_MONTH = 0.045
MEMORY_GB = 2.0
# Beside its records, of runs and settings: tests/imports/test_part_costs.py counts them with the real code.
CALLS_OF_A_PART = 9


@dataclass(frozen=True)
class Line:
    """One line of the model: what, how much, and how it follows."""

    what: str
    amount: str
    follows_from: str


def model(cpu_seconds_per_1_000: float, page_milliseconds: float = 400) -> list[Line]:
    """A daily import of the fleet. `cpu_seconds_per_1_000` is the measured cost of 1,000 instances, unchanged."""
    parts = ACCOUNTS * REGIONS
    with_instances = ACCOUNTS * REGIONS_WITH_INSTANCES
    pages = parts - with_instances + with_instances * math.ceil(INSTANCES / with_instances / 1_000)
    changed = int(INSTANCES * CHANGED_SHARE)
    transactions = with_instances * math.ceil(changed / with_instances / CHANGES_PER_TRANSACTION)
    table_requests = pages + transactions + parts * CALLS_OF_A_PART
    queue_operations = parts * 4
    cpu = INSTANCES / 1_000 * cpu_seconds_per_1_000
    # Each part waits for STS and its pages; a worker does one part at a time.
    waiting = (parts * 0.3 + pages * page_milliseconds / 1_000) / WORKERS
    wall = max(cpu / WORKERS, waiting)
    money: Mapping[str, float] = {
        "table transactions": table_requests / 10_000 * TABLE_TRANSACTIONS_PER_10_000,
        "queue operations": queue_operations / 10_000 * QUEUE_OPERATIONS_PER_10_000,
        "execution": wall * WORKERS * MEMORY_GB * FUNCTION_GB_SECOND,
        "executions": parts / 1e6 * FUNCTION_EXECUTIONS_PER_MILLION,
    }
    daily = sum(money.values())
    stored_gb = INSTANCES * 4_000 / 1e9
    return [
        Line(
            "parts", f"{parts:,}", f"{ACCOUNTS} accounts × {REGIONS} enabled regions, {REGIONS_WITH_INSTANCES} in use"
        ),
        Line("pages of EC2", f"{pages:,}", "1,000 instances a page, one at least a part"),
        Line(
            "EC2's rate limit",
            f"{math.ceil(INSTANCES / with_instances / 1_000)} of {EC2_BUCKET} tokens",
            f"a part's pages against its account and region's bucket, refilled with {EC2_REFILL_PER_SECOND} a second",
        ),
        Line(
            "table requests",
            f"{table_requests:,}",
            f"pages read, {transactions:,} transactions, {CALLS_OF_A_PART} of a part's own",
        ),
        Line(
            "table limit",
            f"{table_requests / max(wall, 1):.0f} a second of {ACCOUNT_REQUESTS_PER_SECOND:,}",
            f"one storage account; a partition takes {PARTITION_ROWS_PER_SECOND:,} rows a second",
        ),
        Line("CPU", f"{cpu / 60:.0f} min", f"{cpu_seconds_per_1_000:.3f} s per 1,000 instances, measured here"),
        Line("wall time", f"{wall / 60:.0f} min", f"{WORKERS} workers; waiting for AWS {waiting / 60:.0f} min"),
        *[Line(f"{name} a day", f"${cost:.4f}", "price × amount") for name, cost in money.items()],
        Line("a month", f"${daily * 30 + stored_gb * TABLE_GB_MONTH:.2f}", f"30 days, and {stored_gb:.1f} GB stored"),
    ]
