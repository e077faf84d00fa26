"""Timer triggers: schedules in UTC, remembered status, past due, retries, and never two runs of one timer at once."""

import asyncio
import fcntl
import json
import logging
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

from lab.emulators.functions_host.functions import HostedFunction, TimerTrigger
from lab.emulators.functions_host.invoker import Call, Invoker
from lab.emulators.functions_host.timer_status import TimerStatus, TimerStatuses
from lab.emulators.functions_host.timespan import write_time
from lab.emulators.functions_host.waits import is_set_within
from lab.emulators.functions_host.worker import InvocationResult, JsonText, RetryAttempt, RetryPolicy

_log = logging.getLogger("lab.emulators.functions_host")

# Waits are cut into pieces so that a clock that was set, or a laptop that slept, is noticed.
_LONGEST_WAIT_SECONDS = 30.0
_LOCK_RETRY_SECONDS = 1.0
_MONITORED_FROM = timedelta(minutes=1)


class Timer:
    """One timer function."""

    def __init__(
        self, function: HostedFunction, invoker: Invoker, statuses: TimerStatuses, stopping: asyncio.Event
    ) -> None:
        assert isinstance(function.trigger, TimerTrigger)
        self.function = function
        self._trigger = function.trigger
        self._invoker = invoker
        self._statuses = statuses
        self._one_at_a_time = asyncio.Lock()
        self._stopping = stopping
        now = datetime.now(UTC)
        following = self._trigger.schedule.next_after(now)
        is_frequent = self._trigger.schedule.next_after(following) - following < _MONITORED_FROM
        # The real host does not watch a schedule that comes round within a minute.
        self._is_monitored = self._trigger.use_monitor and not is_frequent

    async def fire_by_hand(self) -> None:
        """Run once, now; after the run that is going on, if one is."""
        async with self._one_at_a_time:
            await self._invoker.invoke(self._call("This function was programmatically called via the host APIs."))

    async def run(self) -> None:
        """Fire at each occurrence until stopped."""
        now = datetime.now(UTC)
        if self._is_past_due(now):
            await self._fire("Timer fired, past due.", is_past_due=True)
        elif self._trigger.run_on_startup:
            await self._fire("Timer fired at start.")
        elif self._is_monitored and self._statuses.find(self.function.name) is None:
            # Remembered from the first start on, so that what is missed before the first run is noticed too.
            self._remember(None, now)
        while not self._stopping.is_set():
            if await self._wait_until(self._trigger.schedule.next_after(datetime.now(UTC))):
                await self._fire(f"Timer fired at {datetime.now(UTC).isoformat()}")

    def _is_past_due(self, now: datetime) -> bool:
        status = self._statuses.find(self.function.name) if self._is_monitored else None
        if status is None:
            return False
        # Computed anew and not taken from the file: the schedule may have changed since.
        return self._trigger.schedule.next_after(status.last or status.last_updated) < now

    async def _wait_until(self, moment: datetime) -> bool:
        """Whether the moment came before a stop."""
        while (remaining := (moment - datetime.now(UTC)).total_seconds()) > 0:
            if await is_set_within(self._stopping, min(remaining, _LONGEST_WAIT_SECONDS)):
                return False
        return not self._stopping.is_set()

    async def _fire(self, reason: str, *, is_past_due: bool = False) -> None:
        async with self._one_at_a_time:
            started_at = datetime.now(UTC)
            result = await self._invoker.invoke(self._call(reason, is_past_due=is_past_due))
            policy = self.function.metadata.retry
            count = 0
            while result.failure and policy and (policy.max_retry_count < 0 or count < policy.max_retry_count):
                if await is_set_within(self._stopping, _delay(policy, count)):
                    return  # not remembered as run: it is past due at the next start
                count += 1
                result = await self._retry(policy, count, result)
            # After the run: one that a kill cut short is past due at the next start.
            if self._is_monitored:
                self._remember(started_at, started_at)

    async def _retry(self, policy: RetryPolicy, count: int, last: InvocationResult) -> InvocationResult:
        assert last.failure
        attempt = RetryAttempt(count, policy.max_retry_count, last.failure)
        return await self._invoker.invoke(self._call(f"Retry {count} of a failed timer.", retry=attempt))

    def _remember(self, last: datetime | None, now: datetime) -> None:
        self._statuses.save(self.function.name, TimerStatus(last, self._trigger.schedule.next_after(now), now))

    def _call(self, reason: str, *, is_past_due: bool = False, retry: RetryAttempt | None = None) -> Call:
        status = self._statuses.find(self.function.name) if self._is_monitored else None
        document = {
            "Schedule": {"AdjustForDST": True},
            "ScheduleStatus": status
            and {
                "Last": write_time(status.last) if status.last else "0001-01-01T00:00:00+00:00",
                "Next": write_time(status.next),
                "LastUpdated": write_time(status.last_updated),
            },
            "IsPastDue": is_past_due,
        }
        return Call(self.function, reason, JsonText(json.dumps(document)), {}, retry)


def _delay(policy: RetryPolicy, count: int) -> float:
    """Seconds before a retry; `count` retries were made already."""
    if policy.fixed_delay is not None:
        return policy.fixed_delay
    spread = random.uniform(0.8, 1.2)
    doubled = max(policy.minimum_delay, 1.0) * 2.0 ** min(count, 30) * spread
    return max(policy.minimum_delay, min(policy.maximum_delay, doubled))


class Timers:
    """All timers of the app. Of several hosts on one data directory only one runs them, as in Azure."""

    def __init__(self, functions: Sequence[HostedFunction], invoker: Invoker, folder: Path) -> None:
        statuses = TimerStatuses(folder)
        self._stopping = asyncio.Event()
        self._timers = {
            each.name: Timer(each, invoker, statuses, self._stopping)
            for each in functions
            if isinstance(each.trigger, TimerTrigger)
        }
        self._lock_path = folder / "lock"
        self._lock: IO[str] | None = None
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._timers:
            self._running = asyncio.create_task(self._run())

    async def fire_by_hand(self, function: HostedFunction) -> None:
        await self._timers[function.name].fire_by_hand()

    def stop(self) -> None:
        """Start no new run. One that is going on is for the invoker to wait for."""
        self._stopping.set()

    async def finish(self, seconds: float) -> None:
        """Wait for what is going on."""
        if self._running:
            await asyncio.wait([self._running], timeout=seconds)
            self._running.cancel()
        if self._lock:
            self._lock.close()

    async def _run(self) -> None:
        if not self._try_lock():
            _log.warning("Another host runs the timers of %s; this one takes over when it ends", self._lock_path.parent)
            while not await is_set_within(self._stopping, _LOCK_RETRY_SECONDS):
                if self._try_lock():
                    break
            else:
                return
        await asyncio.gather(*(_run_and_report(timer) for timer in self._timers.values()), return_exceptions=True)

    def _try_lock(self) -> bool:
        lock = self._lock_path.open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            return False
        self._lock = lock
        return True


async def _run_and_report(timer: Timer) -> None:
    try:
        await timer.run()
    except Exception:
        # Said at once: the other timers go on, and the gathering ends only with the last of them.
        _log.exception("The timer of function %s ended and will not fire again", timer.function.name)
        raise
