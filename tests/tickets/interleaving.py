"""Runs workers of which exactly one moves, from one storage call to the next, in an order that a test chooses."""

import threading
from collections.abc import Callable, Iterator, Sequence


class Interleaving:
    """Each worker stops before every storage call (`pause`) until the schedule lets it go on."""

    def __init__(self, schedule: Sequence[int]) -> None:
        self._schedule = schedule
        self._local = threading.local()

    def run(self, *workers: Callable[[], None]) -> None:
        """Run all workers to their end; raises what one of them raised."""
        turns = [_Turn(worker, self._local) for worker in workers]
        for turn in turns:
            turn.start()
        choices = self._choices()
        while running := [turn for turn in turns if not turn.finished]:
            running[next(choices) % len(running)].step()
        for turn in turns:
            turn.join()
            if turn.error is not None:
                raise turn.error

    def pause(self) -> None:
        """Called by the worker's own thread before a storage call."""
        turn: _Turn | None = getattr(self._local, "turn", None)
        if turn is not None:
            turn.wait()

    def _choices(self) -> Iterator[int]:
        yield from self._schedule
        while True:
            yield from (0, 1)


class _Turn:
    def __init__(self, worker: Callable[[], None], local: threading.local) -> None:
        self._worker = worker
        self._local = local
        self._go = threading.Semaphore(0)
        self._stopped = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.finished = False
        self.error: BaseException | None = None

    def start(self) -> None:
        self._thread.start()
        self._stopped.acquire(timeout=20)

    def step(self) -> None:
        self._go.release()
        if not self._stopped.acquire(timeout=20):
            raise RuntimeError("a worker does not come back from its step")

    def join(self) -> None:
        self._thread.join(20)

    def wait(self) -> None:
        self._stopped.release()
        self._go.acquire()

    def _run(self) -> None:
        self._local.turn = self
        self.wait()
        try:
            self._worker()
        except BaseException as error:  # noqa: BLE001 - handed to the thread that runs the test
            self.error = error
        finally:
            self.finished = True
            self._stopped.release()
