"""A retry policy for Azure's clients that stays well below the time a caller has."""

from typing import Any

from azure.core.pipeline import PipelineResponse
from azure.core.pipeline.policies import RetryPolicy

# In seconds. A vault answers in tens of milliseconds; Event Grid waits 30 s for all of a delivery.
CONNECT_SECONDS = 3
READ_SECONDS = 5
_LONGEST_WAIT = 2.0


class BoundedRetryPolicy(RetryPolicy[Any, Any]):
    """One more try, soon, and none after `give_up_after` seconds.

    A `Retry-After` that is longer is left to the caller, who has a cache and a queue.
    """

    def __init__(self, give_up_after: float = READ_SECONDS) -> None:
        super().__init__(
            retry_total=1,
            retry_connect=1,
            retry_read=1,
            retry_status=1,
            retry_backoff_factor=0.3,
            retry_backoff_max=1,
            timeout=give_up_after,
        )

    def is_retry(self, settings: dict[str, Any], response: PipelineResponse[Any, Any]) -> bool:
        after = self.get_retry_after(response)
        if after is not None and after > _LONGEST_WAIT:
            return False
        return bool(super().is_retry(settings, response))
