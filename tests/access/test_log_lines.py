"""What comes from outside never makes a line of the log's own, and a flood of refusals is a line a minute."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import azure.functions as func
import pytest
from azure.functions.queue import QueueMessage

from functions.http.endpoints import declared_endpoints
from shared import bootstrap
from shared.access.strangers import REFUSALS, RefusalLog
from shared.errors import NotAuthorisedError, TryLaterError
from shared.log_lines import OneLineRecord, keep_log_lines_whole, on_one_line
from shared.reasons import Reason
from shared.storage.rows import Row, Save
from tests.fakes.tables import MemoryTables
from tests.registered import FUNCTIONS

FORGED = "2026-12-02 ERROR shared: all secrets are lost"
HEADERS = (
    *("Authorization", "If-Match", "X-MS-CLIENT-PRINCIPAL-NAME", "X-MS-CLIENT-PRINCIPAL-ID", "X-Api-Key"),
    *("aeg-subscription-name", "aeg-event-type", "WebHook-Request-Origin"),
)
BREAKS = ("\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\x1b[2J", "\x00", "\u202e")


class Captured:
    """A log as a host writes it: formatted records, one after the other."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.handler = logging.StreamHandler(self.stream)
        self.handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()


@pytest.fixture
def log() -> Iterator[Captured]:
    captured = Captured()
    before = logging.getLogRecordFactory()
    keep_log_lines_whole()
    root = logging.getLogger()
    level = root.level
    root.addHandler(captured.handler)
    root.setLevel(logging.DEBUG)
    REFUSALS.forget()
    yield captured
    root.setLevel(level)
    root.removeHandler(captured.handler)
    logging.setLogRecordFactory(before)


@pytest.mark.parametrize("line_break", BREAKS)
def test_a_planted_line_break_is_shown_as_an_escape(line_break: str, log: Captured) -> None:
    logging.getLogger("any").warning("A name: %s.", f"x{line_break}{FORGED}")
    [line] = log.lines
    assert line.startswith("WARNING A name: x\\")
    assert line.isprintable()


def test_a_message_that_is_no_template_is_cleaned_too(log: Captured) -> None:
    logging.getLogger("any").warning(f"x\n{FORGED}")  # noqa: G004 - a library may log so
    assert len(log.lines) == 1


def test_what_an_exception_says_begins_no_line(log: Captured) -> None:
    try:
        int(f"x\n{FORGED}\u2028{FORGED}")
    except ValueError:
        logging.getLogger("any").exception("It failed.")
    assert log.lines[0] == "ERROR It failed."
    assert len(log.lines) > 3
    assert all(line.startswith("  | ") and line.isprintable() for line in log.lines[1:])


def test_a_record_that_was_formatted_before_is_not_changed() -> None:
    assert on_one_line("grüße 😀") == "grüße 😀"
    record = OneLineRecord("x", logging.INFO, "x", 1, "plain %s", ("text",), None)
    assert record.getMessage() == "plain text"


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AzureWebJobsStorage", "UseDevelopmentStorage=true")
    bootstrap.reset()
    bootstrap.replace("tables", MemoryTables())
    yield
    bootstrap.reset()


@pytest.mark.parametrize("name", sorted(declared_endpoints()))
def test_no_door_lets_a_line_of_its_caller_into_the_log(name: str, desk: None, log: Captured) -> None:
    """Every endpoint, with line breaks in whatever a caller chooses: path, query, headers, body."""
    declared = declared_endpoints()[name]
    planted = f"x\r\n{FORGED}\u2028{FORGED}"
    for body in (planted.encode(), b'{"%s": "y"}' % b"x\\n2026 ERROR", f'[{{"id": "{FORGED}"}}]'.encode()):
        request = func.HttpRequest(
            method=declared.methods[0],
            url=f"https://desk.example/api/{planted}",
            headers=dict.fromkeys(HEADERS, planted),
            params={planted: planted},
            route_params=dict.fromkeys(declared.path_parameters, planted),
            body=body,
        )
        outputs = {
            binding.name: _Sent()
            for binding in FUNCTIONS[name].get_bindings()
            if binding.type == "queue" and str(binding.direction) not in {"0", "BindingDirection.IN"}
        }
        try:
            FUNCTIONS[name].get_user_function()(req=request, **outputs)
        except Exception:
            # As the worker does with what a function lets through.
            logging.getLogger("worker").exception("The function failed.")
    assert all(line.isprintable() for line in log.lines)
    assert not [line for line in log.lines if line.startswith(FORGED[:10])]


def _triggered(kind: str) -> list[str]:
    return sorted(
        name for name, one in FUNCTIONS.items() if any(binding.type == kind for binding in one.get_bindings())
    )


PLANTED = f"x\r\n{FORGED}\u2028{FORGED}"
PLANTED_MESSAGES = (
    PLANTED.encode(),
    b"\xff\xfe" + PLANTED.encode(),
    json.dumps([{"id": PLANTED, "topic": PLANTED, "subject": PLANTED, "eventType": PLANTED, "data": PLANTED}]).encode(),
    json.dumps({"table": "things", "partition": PLANTED, "id": PLANTED}).encode(),
    json.dumps({"run_id": PLANTED, "part": PLANTED, "kind": PLANTED, "name": PLANTED}).encode(),
)


def _run(name: str, **inputs: Any) -> None:
    outputs = {one.name: _Sent() for one in FUNCTIONS[name].get_bindings() if one.type == "queue"}
    try:
        FUNCTIONS[name].get_user_function()(**inputs, **outputs)
    except Exception:
        # As the worker does with what a function lets through.
        logging.getLogger("worker").exception("The function failed.")


def _nothing_forged(log: Captured) -> None:
    assert all(line.isprintable() for line in log.lines)
    assert not [line for line in log.lines if line.startswith(FORGED[:10])]


@pytest.mark.parametrize("name", _triggered("queueTrigger"))
def test_no_message_of_a_queue_gets_a_line_into_the_log(name: str, desk: None, log: Captured) -> None:
    for body in PLANTED_MESSAGES:
        _run(name, message=QueueMessage(id=PLANTED, body=body))
    # One keeps whatever comes, with its reason, where an operator sees it.
    assert log.lines or name == "quarantine_key_vault_event"
    _nothing_forged(log)


@pytest.mark.parametrize("name", _triggered("timerTrigger"))
def test_no_row_that_a_timer_meets_gets_a_line_into_the_log(name: str, desk: None, log: Captured) -> None:
    """Every column of every table holds line breaks, in rows such as the desk itself writes."""
    for table, keys in _ROWS.items():
        for partition_key, row_key in keys:
            planted = Row(partition_key, row_key, dict.fromkeys(_COLUMNS, PLANTED))
            bootstrap.tables().table(table).transact(partition_key, [Save(planted)])
    _run(name, timer=None)
    _nothing_forged(log)


def test_timers_do_tell_of_planted_rows(desk: None, log: Captured) -> None:
    test_no_row_that_a_timer_meets_gets_a_line_into_the_log("hurry_overdue_follow_ups", desk, log)
    assert "pending_row_damaged" in log.stream.getvalue()


_COLUMNS = (
    *("document", "version", "changed_at", "changed_by", "state", "table", "scope", "at", "kinds", "reason", "name"),
    *("kind", "message", "remedy", "started_at", "started_by", "run_id", "sha256", "role", "view", "customers"),
    *(
        "began_at",
        "touched_at",
        "place",
        "created_at",
        "expires_at",
        "received_at",
        "item_id",
        "vault",
        "mode",
        "trigger",
        "heartbeat_at",
        "etag",
    ),
)
_ROWS = {
    "outbox": [("pending", "000000000000000001-aa")],
    "settings": [(kind, "d:planted") for kind in ("aws-tenants", "authrocket-realms", "key-vault-events", "sites")],
    "access": [("tokens", "planted")],
    "runs": [("runs", "000000000000000001-planted"), ("leases", "aws-tenants:planted"), ("open", "planted:a")],
    "tickets": [("quarantine:", "at:000000000000000001:a"), ("acorn-vault", "receipt:a"), ("acorn-vault", "object:a")],
    "audit": [("99999999", "a")],
    "index": [("housekeeping", "assets")],
}


class _Sent:
    def set(self, value: Any) -> None:
        del value


# Refusals are summed up


def test_a_thousand_refusals_are_a_line_a_minute_and_the_next_line_says_how_many(log: Captured) -> None:
    seconds = 100.0
    refusals = RefusalLog(lambda: seconds)
    stranger = NotAuthorisedError(Reason.CREDENTIAL_REFUSED, "Not accepted.")
    for _ in range(1_000):
        refusals.note("A webhook", stranger)
    refusals.note("A webhook", TryLaterError(Reason.STORAGE_UNAVAILABLE, "No answer."))
    refusals.note("Another webhook", stranger)
    assert len(log.lines) == 3
    seconds += 61
    refusals.note("A webhook", stranger)
    assert log.lines[3] == (
        "WARNING A webhook: Not accepted. (credential_refused); 999 more like it since its last line"
    )
