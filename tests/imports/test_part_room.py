"""Parts of imports at once in one worker: as many as fit into its memory, whatever the queues' common bound."""

import json
import threading
from typing import Any

import pytest
from azure.functions.queue import QueueMessage

from functions import import_parts
from shared import bootstrap
from tests.api.calling import Sent

MESSAGE = {"run_id": "998204690743439166-aws-tenants-93e54c", "part": "111122223333:eu-west-2"}


def test_a_part_too_many_goes_back_to_the_queue_and_counts_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, over = threading.Semaphore(0), threading.Event()

    class Slow:
        def do_part(self, part: Any, *, redelivered: bool) -> list[Any]:
            assert (part, redelivered) == (MESSAGE, False)
            begun.release()
            assert over.wait(20)
            return []

    monkeypatch.setattr(import_parts, "_WAIT_SECONDS", 0.05)
    bootstrap.replace("imports", Slow())

    def work(sent: Sent) -> None:
        import_parts.import_part(QueueMessage(body=json.dumps(MESSAGE).encode(), dequeue_count=1), sent)

    workers = [threading.Thread(target=work, args=(Sent(),)) for _ in range(import_parts.PARTS_AT_ONCE)]
    for worker in workers:
        worker.start()
        assert begun.acquire(timeout=20)
    fifth = Sent()
    work(fifth)
    assert [json.loads(text) for text in fifth.value] == [MESSAGE]
    over.set()
    for worker in workers:
        worker.join()
    sixth = Sent()
    work(sixth)
    assert sixth.value is None
    bootstrap.reset()
