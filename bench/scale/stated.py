"""What is stated of each service: how long a call takes, and how many it takes. Here and nowhere else; with its source.

As read in November 2026. Where a vendor states no time, the figure is an assumption, and says so.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Latency:
    """Seconds from request to answer, within the region; `per_row` on top for each row that goes over the wire."""

    seconds: float
    source: str
    per_row: float = 0


@dataclass(frozen=True)
class Limit:
    """So many units in so many seconds for each bucket; more is refused with the service's own answer."""

    units: int
    seconds: float
    source: str


_NOT_STATED = "assumed; the vendor states no time"
LATENCIES = {
    "table read": Latency(0.010, _NOT_STATED),
    "table page": Latency(0.015, _NOT_STATED, per_row=0.00005),
    "table transaction": Latency(0.020, _NOT_STATED, per_row=0.0002),
    "queue message": Latency(0.010, _NOT_STATED),
    "vault": Latency(0.040, _NOT_STATED),
    "identity": Latency(0.050, _NOT_STATED),
    "resource graph": Latency(0.500, _NOT_STATED),
    "sts": Latency(0.150, _NOT_STATED + "; another cloud is asked"),
    "organizations": Latency(0.200, _NOT_STATED + "; another cloud is asked"),
    "ec2": Latency(0.250, _NOT_STATED + "; another cloud is asked", per_row=0.0005),
}
LIMITS = {
    "rows of a partition": Limit(2_000, 1, "Scalability and performance targets for Table storage"),
    "requests of the account": Limit(20_000, 1, "Scalability and performance targets for Table storage"),
    "messages of a queue": Limit(2_000, 1, "Scalability and performance targets for Queue Storage"),
    "requests of a vault": Limit(4_000, 10, "Azure Key Vault service limits"),
    "requests to STS": Limit(600, 1, "IAM and AWS STS quotas: an account and region"),
    "accounts of an organization": Limit(8, 1, "Quotas for AWS Organizations: ListAccounts, an organization"),
    # A bucket of 100 that 20 a second refill: over five seconds the same.
    "EC2 of an account and region": Limit(100, 5, "Request throttling for the Amazon EC2 API, unfiltered"),
}
MEMORY_OF_AN_INSTANCE = 2_048
FUNCTION_SECONDS = 1_800
# Seen on the real host: what host and worker hold at rest, and what a message costs the processor beside its work.
MEMORY_AT_REST = 343
PROCESSOR_A_MESSAGE = 0.002
# Once a queue was empty: the host looks less and less often, up to host.json's maxPollingInterval.
FIRST_LOOK = 0.1
