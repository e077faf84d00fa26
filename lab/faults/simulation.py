"""Workers of which exactly one moves, from one storage call to the next, in an order and a time that a seed chooses.

Nothing here waits in real time: a clock of its own jumps to whatever happens next.
"""

import random
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

from lab.fakes.tables import KilledError
from shared import bootstrap

# A worker that does not come back within this many real seconds waits for a lock that another one holds.
_STUCK_SECONDS = 30.0
# What a call takes at least, so that no two moments are the same.
_INSTANT = timedelta(milliseconds=1)


class StoppedError(BaseException):
    """The schedule is over: not an Exception, so nothing in the product can catch it."""


class StuckError(RuntimeError):
    """A worker waits for something that no other worker can give it."""


@contextmanager
def instead_of_real_time(
    threads: Collection[threading.Thread], sleep: Callable[[float], None], monotonic: Callable[[], float]
) -> Iterator[None]:
    """The module `time` waits and counts so for these threads, and for nobody else.

    Whoever in the product asks for it, from whatever file: one real wait or deadline, and a busy machine would change
    what a seed does.
    """
    really_sleep, real_monotonic = time.sleep, time.monotonic

    def slept(seconds: float) -> None:
        (sleep if threading.current_thread() in threads else really_sleep)(seconds)

    def counted() -> float:
        return monotonic() if threading.current_thread() in threads else real_monotonic()

    with patch.object(time, "sleep", slept), patch.object(time, "monotonic", counted):
        yield


class Worker:
    """One process: a thread that moves only when it is its turn, and the objects that it built."""

    def __init__(self, simulation: "Simulation", name: str, live: Callable[["Worker"], None], skew: timedelta) -> None:
        self.name = name
        self.skew = skew
        self.objects: dict[str, Any] = {}
        self.wakes_at: datetime | None = None
        self.idle = False
        self.doing = ""
        self.finished = False
        self.go = threading.Lock()
        self.go.acquire()
        self.thread = threading.Thread(target=self._run, args=(simulation, live), name=name, daemon=True)

    def _run(self, simulation: "Simulation", live: Callable[["Worker"], None]) -> None:
        self.go.acquire()
        try:
            if not simulation.stopped:
                live(self)
        except StoppedError:
            pass
        except BaseException as error:  # noqa: BLE001 - handed to the thread that started the simulation
            simulation.fail(error)
        finally:
            self.finished = True
            simulation.leave(self)


class Simulation:
    """The clock, the turns and the random numbers of one schedule."""

    def __init__(self, rng: random.Random, begins_at: datetime, *, in_order: bool = False) -> None:
        self.rng = rng
        self.at = begins_at
        self.stopped = False
        self.switches = 0
        self._in_order = in_order
        self._workers: list[Worker] = []
        self._current: Worker | None = None
        self._failure: BaseException | None = None
        self._over = threading.Event()

    # Time

    def now(self) -> datetime:
        """The moment as the worker whose turn it is sees it."""
        return self.at if self._current is None else self.at + self._current.skew

    @property
    def current(self) -> Worker | None:
        """The worker whose turn it is."""
        return self._current

    @property
    def doing(self) -> str:
        """What the worker whose turn it is does."""
        return self._current.doing if self._current is not None else ""

    def monotonic(self) -> float:
        return self.at.timestamp()

    def sleep(self, seconds: float) -> None:
        """The worker whose turn it is waits; the others go on."""
        self._wait_until(self.at + timedelta(seconds=max(seconds, 0)))

    def idle_until(self, moment: datetime) -> None:
        """As `sleep`, but `wake_idle` ends it."""
        assert self._current is not None
        self._current.idle = True
        self._wait_until(max(moment, self.at + _INSTANT))

    def wake_idle(self) -> None:
        """There is new work: whoever waits for some looks again."""
        for worker in self._workers:
            if worker.idle:
                worker.idle, worker.wakes_at = False, None

    # Turns

    def add_worker(self, name: str, live: Callable[[Worker], None], skew: timedelta = timedelta(0)) -> Worker:
        worker = Worker(self, name, live, skew)
        self._workers.append(worker)
        return worker

    def run(self) -> None:
        """Let all workers live to their end; raises what one of them raised."""
        before = bootstrap.swap_instances({})
        threads = {worker.thread for worker in self._workers}
        with instead_of_real_time(threads, self.sleep, self.monotonic):
            for worker in self._workers:
                worker.thread.start()
            try:
                self._hand_on()
                if not self._over.wait(_STUCK_SECONDS * 20):
                    raise StuckError("the schedule does not end")
            finally:
                self.stopped = True
                for worker in self._workers:
                    if not worker.finished and worker.go.locked():
                        worker.go.release()
                    worker.thread.join(_STUCK_SECONDS)
                bootstrap.swap_instances(before)
        if self._failure is not None:
            raise self._failure

    def pause(self) -> None:
        """Called by the worker whose turn it is: perhaps it is another one's now."""
        me = self._current
        assert me is not None
        self.at += _INSTANT
        self._hand_on_and_wait(me)

    def fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self.stopped = True

    def leave(self, worker: Worker) -> None:
        if self._current is worker:
            self._hand_on()

    def _wait_until(self, moment: datetime) -> None:
        me = self._current
        assert me is not None
        me.wakes_at = moment
        self._hand_on_and_wait(me)
        me.wakes_at, me.idle = None, False

    def _hand_on_and_wait(self, me: Worker) -> None:
        # Whether it was handed on is known before the other one moves: looking afterwards would be a race.
        if self._hand_on():
            me.go.acquire()
        if self.stopped:
            raise StoppedError

    def _hand_on(self) -> bool:
        """Choose whose turn it is, and let that worker go, unless it is the one that asks: then False."""
        asking = self._current
        chosen = None if self.stopped else self._choose()
        if chosen is None:
            self._over.set()
            return False
        if chosen is asking:
            return False
        self.switches += 1
        built = bootstrap.swap_instances(chosen.objects)
        if asking is not None:
            asking.objects = built
        self._current = chosen
        chosen.go.release()
        return True

    def _choose(self) -> Worker | None:
        alive = [worker for worker in self._workers if not worker.finished]
        if not alive:
            return None
        ready = [worker for worker in alive if worker.wakes_at is None or worker.wakes_at <= self.at]
        if not ready:
            self.at = min(worker.wakes_at for worker in alive if worker.wakes_at is not None)
            ready = [worker for worker in alive if worker.wakes_at is not None and worker.wakes_at <= self.at]
        if self._in_order or len(ready) == 1:
            return ready[0]
        return ready[self.rng.randrange(len(ready))]

    def forget_objects(self) -> None:
        """The process of the worker whose turn it is has died: the next one builds everything anew."""
        bootstrap.swap_instances({})


__all__ = ["KilledError", "Simulation", "StoppedError", "StuckError", "Worker", "instead_of_real_time"]
