"""Conditions of the desk itself: one ticket each, whatever the order and number of reports, ended by themselves."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.conditions import ConditionKind, ConditionReport, over
from shared.errors import MisconfiguredError
from shared.reasons import Reason
from shared.storage.tables import scan
from shared.tickets.desk.lists import TicketQuery
from shared.tickets.documents import CONDITION_FIELDS
from shared.tickets.domain.conditions import conditions_of
from shared.tickets.domain.model import Context, ObjectType, RuleRecord, RuleResult, TicketKind
from shared.tickets.domain.observations import ObjectState
from shared.tickets.inbound.desk_conditions import DeskConditions
from tests.fakes.tables import KilledError, MemoryTables, WatchedTables
from tests.tickets.desk import NOW, Desk, configuration

FAILING = ConditionReport(
    ConditionKind.IMPORT_FAILING,
    "aws-tenants/acorn",
    NOW,
    NOW,
    reason="import_failed",
    message="The last import failed: No.",
    remedy="Look at GET /api/v1/runs?status=failed.",
)


def _hours(number: float) -> Any:
    return NOW + timedelta(hours=number)


def _failing(since: float, at: float, reason: str = "import_failed") -> ConditionReport:
    return replace(FAILING, since=_hours(since), at=_hours(at), reason=reason)


def _over(at: float) -> ConditionReport:
    return over(FAILING.kind, FAILING.about, _hours(at))


def _conditions(desk: Desk) -> DeskConditions:
    return DeskConditions(
        desk.repository, lambda: desk.configured, lambda _about, _site: ("leeds", "st-johns"), lambda _seconds: None
    )


def _reported(*reports: ConditionReport, desk: Desk | None = None) -> Desk:
    desk = desk or Desk()
    for report in reports:
        _conditions(desk).report(report)
    return desk


def _listed(desk: Desk) -> list[Any]:
    desk.settle()
    query = TicketQuery(filters={"source": frozenset({"deskbridge"})})
    return list(desk.lists.page(query).items)


def test_a_condition_is_one_ticket_however_often_it_is_reported() -> None:
    desk = _reported(FAILING, FAILING)
    stored = dict(desk.tables.contents())  # type: ignore[attr-defined] # in memory
    _reported(FAILING, desk=desk)
    assert desk.tables.contents() == stored  # type: ignore[attr-defined] # in memory
    [ticket] = _listed(desk)
    assert ticket.ticket_id.startswith("DB-")
    assert (ticket.kind, ticket.source, ticket.scope) == ("import_failing", "Deskbridge", "acorn")
    assert (ticket.object_type, ticket.object_name) == ("desk", "aws-tenants/acorn")
    assert (ticket.status, ticket.priority, ticket.site) == ("open", "high", "leeds")
    assert ticket.summary == "The import of aws-tenants/acorn does not succeed"
    [row] = desk.tickets()
    assert row["details"] == "The last import failed: No.\n\nLook at GET /api/v1/runs?status=failed."
    assert desk.lists.find(ticket.ticket_id) is not None


def test_it_ends_by_itself_and_opens_again_when_it_comes_again() -> None:
    desk = _reported(_failing(0, 0), _over(5))
    assert _listed(desk) == []
    [ticket] = desk.tickets()
    assert (ticket["status"], ticket["finished_at"]) == ("resolved", _hours(5))
    _reported(_failing(30, 30, "import_partly_failed"), desk=desk)
    [again] = desk.tickets()
    assert (again["ticket_id"], again["status"], again["opened_at"]) == (ticket["ticket_id"], "open", _hours(30))
    assert desk.texts(ticket["ticket_id"]) == [
        "The last import failed: No. (import_failed)",
        "Resolved: it was over.",
        "The last import failed: No. (import_partly_failed)",
    ]


def test_what_holds_at_the_moment_of_an_end_holds() -> None:
    for reports in ([_failing(5, 5), _over(5)], [_over(5), _failing(5, 5)]):
        desk = _reported(_failing(0, 0), *reports)
        assert [ticket["status"] for ticket in desk.tickets()] == ["open"]


def test_what_goes_on_for_another_reason_is_the_same_ticket_and_news() -> None:
    desk = _reported(_failing(0, 0, "import_partly_failed"))
    [ticket] = desk.tickets()
    desk.settle()
    editor = desk.editor(lambda: _hours(1))
    editor.change(str(ticket["ticket_id"]), {"status": "resolved"}, by="kim", if_match="*")
    # It holds still, and nothing is new: what a person decided stands, as with every ticket.
    _reported(_failing(0, 24, "import_partly_failed"), desk=desk)
    assert desk.tickets()[0]["status"] == "resolved"
    _reported(_failing(48, 48, "import_failed"), desk=desk)
    [again] = desk.tickets()
    assert (again["status"], again["opened_at"]) == ("open", _hours(0))
    assert any("Reopened" in text for text in desk.texts(ticket["ticket_id"]))


def test_people_snooze_and_assign_it_and_its_end_ends_it_all_the_same() -> None:
    desk = _reported(FAILING)
    [ticket] = desk.tickets()
    desk.settle()
    editor, ticket_id = desk.editor(lambda: _hours(1)), str(ticket["ticket_id"])
    editor.change(ticket_id, {"snoozed_until": _hours(100), "assignee": "kim"}, by="kim", if_match="*")
    assert _listed(desk) == []
    _reported(_over(2), desk=desk)
    [ended] = desk.tickets()
    assert (ended["status"], ended["assignee"]) == ("resolved", "kim")


def test_ticket_rules_route_it_like_any_other() -> None:
    seen: list[RuleRecord] = []
    rule = {
        "name": "imports of acorn",
        "criteria": [
            {"field": "kind", "operator": "starts_with", "value": "import_"},
            {"field": "document", "operator": "equals", "value": "acorn"},
            {"field": "customer", "operator": "equals", "value": "st-johns"},
            {"field": "reason", "operator": "equals", "value": "import_failed"},
        ],
        "team": "Cloud",
        "priority": "critical",
        "summary": "{about}: {reason}. {message}",
    }
    off = {"name": "no", "criteria": [{"field": "document", "operator": "equals", "value": "oak"}], "open": False}
    desk = Desk(configured=configuration(ticket_rules=[rule, off]))
    _reported(FAILING, replace(FAILING, about="aws-tenants/oak"), desk=desk)
    [ticket] = desk.tickets()
    assert (ticket["team"], ticket["priority"], ticket["rule"]) == ("Cloud", "critical", "imports of acorn")
    assert ticket["summary"] == "Aws-tenants/acorn: import_failed. The last import failed: No."

    def evaluate(record: RuleRecord) -> RuleResult:
        seen.append(record)
        return RuleResult()

    state = ObjectState(ObjectType.DESK, FAILING.about, reports={FAILING.kind: (FAILING,)})
    conditions_of(state, Context("x", evaluate=evaluate), {})
    assert [tuple(record) for record in seen] == [CONDITION_FIELDS]


def test_rules_that_cannot_be_read_keep_no_condition_back() -> None:
    desk = Desk()

    def unreadable() -> None:
        raise MisconfiguredError(Reason.DOCUMENT_INVALID, "No.")

    DeskConditions(desk.repository, unreadable, lambda _about, _site: ("", ""), lambda _seconds: None).report(FAILING)
    assert [ticket["kind"] for ticket in desk.tickets()] == ["import_failing"]


def test_each_condition_is_a_line_of_the_log_when_it_opens_and_when_it_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "shared.tickets.inbound.desk_conditions")
    _reported(_failing(0, 0), _failing(0, 0), _failing(0, 24), _over(30), _over(30), _over(31))
    assert [record.getMessage() for record in caplog.records] == [
        "Condition opened: import_failing of aws-tenants/acorn (import_failed): The last import failed: No.",
        "Condition over: import_failing of aws-tenants/acorn (import_failed).",
    ]


def test_every_kind_that_a_room_can_report_is_a_ticket_of_that_kind() -> None:
    for kind in ConditionKind:
        [ticket] = _reported(replace(FAILING, kind=kind)).tickets()
        assert ticket["kind"] == TicketKind(kind)
        assert "{" not in str(ticket["summary"])


_TIMES = st.integers(0, 12)
_REPORTS = st.lists(
    st.one_of(
        st.builds(
            lambda since, later, reason: _failing(since, since + later, reason),
            _TIMES,
            _TIMES,
            st.sampled_from(["import_failed", "import_partly_failed"]),
        ),
        _TIMES.map(_over),
        st.builds(
            lambda since: replace(FAILING, kind=ConditionKind.IMPORT_WITHHELD, since=_hours(since), at=_hours(since)),
            _TIMES,
        ),
    ),
    max_size=10,
)


def _tables(reports: Sequence[ConditionReport]) -> dict[Any, Any]:
    desk = _reported(*reports)
    rows = list(scan(desk.tables.table("tickets"), []))
    desk.settle()
    rows += [row for row in scan(desk.tables.table("index"), []) if row.partition_key.startswith("tickets:")]
    return {(row.partition_key, row.row_key): row.values for row in rows if not row.row_key.startswith("~")}


@settings(max_examples=150, deadline=None)
@given(_REPORTS, st.data())
def test_any_order_and_repetition_of_reports_ends_in_the_same_tables(
    reports: list[ConditionReport], data: st.DataObject
) -> None:
    # The timer tells again what stands: an end that was no news when it came may be one after what came late.
    shuffled = [*data.draw(st.permutations([*reports, *reports])), *data.draw(st.permutations(reports))]
    assert _tables(shuffled) == _tables([*reports, *reports])


def test_what_is_over_and_told_again_writes_nothing_and_never_takes_a_reopened_ticket_away() -> None:
    desk = _reported(_failing(0, 0), _over(1))
    [ticket] = desk.tickets()
    desk.settle()
    ticket_id = str(ticket["ticket_id"])
    desk.editor(lambda: _hours(2)).change(ticket_id, {"status": "open"}, by="kim", if_match="*")
    stored = dict(desk.tables.contents())  # type: ignore[attr-defined] # in memory
    for number in range(20):
        _reported(_over(3 + number / 4), desk=desk)
    assert desk.tables.contents() == stored  # type: ignore[attr-defined] # in memory
    [kept] = desk.tickets()
    assert (kept["ticket_id"], kept["status"]) == (ticket_id, "open")
    # And it begins again at a moment before the last of those.
    _reported(_failing(3.1, 3.1), desk=desk)
    [again] = desk.tickets()
    assert (again["status"], again["opened_at"]) == ("open", _hours(3.1))


def test_a_kill_at_any_call_and_a_repetition_end_in_the_tables_of_one_clean_report() -> None:
    reports = [_failing(0, 0), _over(5), _failing(30, 30, "import_partly_failed")]
    expected, number = _tables(reports), 0
    while True:
        number += 1
        tables, calls = MemoryTables(), [0]

        def kill(table: str, verb: str, when: str, calls: list[int] = calls, at: int = number) -> None:
            calls[0] += 1
            if calls[0] == at:
                raise KilledError

        killed = False
        for report in reports:
            try:
                _reported(report, desk=Desk(WatchedTables(tables, kill)))
            except KilledError:
                killed = True
                _reported(report, desk=Desk(tables))
        desk = Desk(tables)
        desk.now = NOW + timedelta(hours=1)
        desk.settle()
        found = {
            (row.partition_key, row.row_key): row.values
            for table in ("tickets", "index")
            for row in scan(tables.table(table), [])
        }
        assert {key: found[key] for key in expected} == expected, number
        if not killed:
            break
    assert number > 15
