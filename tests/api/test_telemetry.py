"""What an operator sees of a worker: spans when they are turned on, and no chatter of the SDKs."""

import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared import bootstrap, telemetry
from tests.api.calling import call
from tests.api.seeding import near_expiry
from tests.storage_emulator import Storage
from tests.tickets.desk import Desk, configuration


class Tracer:
    """OpenTelemetry's own tracer, whose spans are kept."""

    def __init__(self) -> None:
        self._kept = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._kept))

    @property
    def ended(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Name, name of the span around it, and attributes, in the order in which they ended."""
        spans = self._kept.get_finished_spans()
        names = {span.context.span_id: span.name for span in spans if span.context is not None}
        return [
            (span.name, names.get(span.parent.span_id, "") if span.parent else "", dict(span.attributes or {}))
            for span in spans
        ]


@pytest.fixture
def tracer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tracer]:
    made = Tracer()
    # A process may set its provider once only.
    monkeypatch.setattr(trace, "get_tracer", made.provider.get_tracer)
    monkeypatch.setattr(telemetry, "_tracer", None)
    yield made
    made.provider.shutdown()


@pytest.fixture(autouse=True)
def desk(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AzureWebJobsStorage", storage.connection_string)
    # Turned on within a test, it is off again after it.
    monkeypatch.setattr(telemetry, "_tracer", None)
    bootstrap.reset()
    yield
    bootstrap.reset()


def deliver() -> None:
    event = near_expiry("acorn-vault", "mail", datetime.now(UTC) + timedelta(days=5))
    assert Desk(bootstrap.tables(), configuration()).post([event]).status == 200


def test_turned_on_a_delivery_and_its_transactions_are_spans(monkeypatch: pytest.MonkeyPatch, tracer: Tracer) -> None:
    monkeypatch.setenv("DESKBRIDGE_OPENTELEMETRY", "true")
    bootstrap.environment()
    deliver()
    assert tracer.ended[-1][0] == "deskbridge.delivery"
    transactions = [one for one in tracer.ended if one[0] == "deskbridge.transaction"]
    assert transactions
    assert {around for _, around, _ in transactions} == {"deskbridge.delivery"}
    assert "tickets" in {attributes["deskbridge.table"] for _, _, attributes in transactions}


def test_turned_off_nothing_is_spanned(tracer: Tracer) -> None:
    bootstrap.environment()
    deliver()
    assert tracer.ended == []


def test_turned_on_without_the_package_it_says_so_and_works(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.setenv("DESKBRIDGE_OPENTELEMETRY", "true")
    bootstrap.environment()
    assert "opentelemetry-api is not installed" in caplog.text
    deliver()


def test_every_page_is_a_span_and_what_it_raises_comes_through(tracer: Tracer) -> None:
    telemetry.turn_on()

    def pages() -> Iterator[int]:
        yield 1
        yield 2
        raise RuntimeError("the source broke")

    found: list[int] = []
    with pytest.raises(RuntimeError):
        found.extend(telemetry.spanned("page", pages(), run="r"))
    assert len([one for one in tracer.ended if one[0] == "deskbridge.page"]) == 3


def test_the_sdks_are_quiet_and_a_write_is_one_line_with_who_and_what(caplog: pytest.LogCaptureFixture) -> None:
    bootstrap.settings().put("customers", "acorn", {"title": "Acorn"}, by="tests")
    caplog.set_level(logging.INFO)
    made = call("PUT", "settings/sites/london-hq", {"title": "London HQ", "customer": "acorn"})
    assert made.status == 201
    assert [record.name for record in caplog.records if record.name.split(".")[0] in {"azure", "urllib3"}] == []
    (line,) = [record.getMessage() for record in caplog.records if "sites/london-hq" in record.getMessage()]
    assert line == "put_setting sites/london-hq by the-administrator: 201"
