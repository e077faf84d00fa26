"""What is to happen when in a play of a scenario: timers, deliveries, people and operators."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from itertools import product
from typing import Any

from lab.faults.clients import Clients
from lab.faults.disturbances import Disturbances
from lab.faults.flows import Flow
from lab.faults.host import Outputs
from lab.faults.operators import Operators
from lab.faults.people import People
from lab.faults.scenario import BEGINS, Scenario
from shared.storage.names import EVENTS_QUEUE, IMPORT_PARTS_QUEUE, OUTBOX_QUEUE, SWEEPS_QUEUE

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_HOUSEKEEPING = (0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 3, 5, 8, 14, 20)
# The last of a day find what the first ones settled to be over.
_FOLLOWING = (0.5, 3.3, 4.4, 9.2, 11.7, 14, 18, 20.5, 21, 23.4)
_COMPARING = (6.5, 18.5)
_KINDS = {"ec2": "aws-tenants", "users": "authrocket-realms"}


def fill_agenda(clients: Clients, people: People, operators: Operators, disturbances: Disturbances) -> None:
    """All that happens in the scenario of the clients."""
    scenario, host = clients.scenario, clients.host
    host.add_queue(IMPORT_PARTS_QUEUE, _flow_of_part, _do_part, _fail_part, IMPORT_PARTS_QUEUE)
    host.add_queue(OUTBOX_QUEUE, lambda _: Flow.FOLLOWING, _carry_out, _drop_follow_up)
    host.add_queue(EVENTS_QUEUE, lambda _: Flow.QUEUE, _record_event, _quarantine_event)
    host.add_queue(SWEEPS_QUEUE, lambda _: Flow.SWEEP, _sweep_vault, _fail_sweep, SWEEPS_QUEUE)
    _fill_timers(clients)
    for at, batch, channel in scenario.deliveries:
        host.at(at, partial(clients.deliver, batch, channel))
    for event in scenario.steps.user_events:
        for at in event.delivered_at:
            host.at(at, partial(clients.deliver_user_event, event))
    for at, name, content in scenario.steps.dead_letters:
        host.at(at, partial(clients.container.put, name, content))
    # Not before the first import: there is nothing to edit yet.
    for edit in scenario.edits:
        host.at(max(edit.at, BEGINS + 4 * _HOUR), partial(people.edit, edit))
    for contest in scenario.steps.concurrent_edits:
        host.at(contest.at, partial(people.edit_concurrently, contest))
    for number, at in enumerate(scenario.steps.busy_people):
        host.at(at, partial(people.be_busy, number))
    if scenario.steps.busy_people:
        host.at(scenario.calm_from + 12 * _HOUR, people.withdraw_overrides)
    _fill_operators(clients, operators)
    host.at(scenario.calm_from, disturbances.calm_down)
    if scenario.people_on_tickets:
        # What people say of a ticket stands until something new is said, so they speak when all events are told; and
        # the bad days begin again, for their sake.
        rates = disturbances.rates
        host.at(scenario.calm_from + 12 * _HOUR, lambda: disturbances.begin_again(rates))
        host.at(scenario.calm_from + 12.02 * _HOUR, people.work_on_tickets)
        for batch in [batch for _, batch, channel in scenario.deliveries if channel == "webhook"][:3]:
            host.at(scenario.calm_from + 12.1 * _HOUR, partial(clients.deliver, batch, "webhook"))
        host.at(scenario.calm_from + 20 * _HOUR, disturbances.calm_down)


def _fill_timers(clients: Clients) -> None:
    from functions.import_schedules import TIMERS, keep_house
    from functions.outbox import compare_index, follow_marked_partitions, hurry_overdue_follow_ups
    from functions.sweeps import resume_sweeps, sweep_vaults
    from functions.ticket_schedules import record_dead_letters, remove_old_ticket_rows

    scenario, host = clients.scenario, clients.host

    def timer(flow: Flow, function: Callable[..., None], queue: str = IMPORT_PARTS_QUEUE) -> Callable[[], None]:
        return lambda: host.fire(flow, lambda outputs: function(timer=None, messages=outputs), queue)

    def without_outputs(flow: Flow, function: Callable[..., None]) -> Callable[[], None]:
        return lambda: host.fire(flow, lambda _: function(timer=None))

    for day in _days(scenario):
        # A little later, what has followed by then is summed up.
        for hour, after in product(_FOLLOWING, (0.0, 0.4)):
            host.at(day + (hour + after) * _HOUR, timer(Flow.FOLLOWING, follow_marked_partitions, OUTBOX_QUEUE))
            host.at(day + (hour + after) * _HOUR, timer(Flow.FOLLOWING, hurry_overdue_follow_ups, OUTBOX_QUEUE))
        for hour in _COMPARING:
            host.at(day + hour * _HOUR, timer(Flow.FOLLOWING, compare_index, OUTBOX_QUEUE))
        if "ec2" in scenario.flows:
            host.at(day + 2 * _HOUR, timer(Flow.ASSETS, TIMERS[_KINDS["ec2"]]))
        if "users" in scenario.flows:
            host.at(day + 2.1 * _HOUR, timer(Flow.USERS, TIMERS[_KINDS["users"]]))
        if "tickets" in scenario.flows:
            host.at(day + 3 * _HOUR, without_outputs(Flow.OLD_ROWS, remove_old_ticket_rows))
        if scenario.swept:
            host.at(day + 3.1 * _HOUR, timer(Flow.SWEEP, sweep_vaults, SWEEPS_QUEUE))
            for after in (0.7, 1.4, 2.1, 2.8, 3.5):
                host.at(day + (3.1 + after) * _HOUR, timer(Flow.SWEEP, resume_sweeps, SWEEPS_QUEUE))
            if scenario.people_on_tickets and day == scenario.calm_from:
                # Once more before people speak: if the only sweep that saw a vault died, they would have no ticket of
                # it yet, and the next day's sweep would open one that nobody said anything of.
                host.at(day + 9.1 * _HOUR, timer(Flow.SWEEP, sweep_vaults, SWEEPS_QUEUE))
        if scenario.steps.dead_letters or scenario.steps.gives_up_after:
            for hour in (1, 7, 13, 19):
                host.at(day + hour * _HOUR, without_outputs(Flow.DEAD_LETTERS, record_dead_letters))
        for after in _HOUSEKEEPING if _KINDS.keys() & set(scenario.flows) else ():
            host.at(day + (2 + after) * _HOUR, timer(Flow.HOUSEKEEPING, keep_house))


def _fill_operators(clients: Clients, operators: Operators) -> None:
    scenario, host = clients.scenario, clients.host
    kinds = [kind for flow, kind in _KINDS.items() if flow in scenario.flows]
    for number, at in enumerate(scenario.previews):
        host.at(at, partial(operators.preview_and_apply, kinds[number % len(kinds)]))
    for change in scenario.steps.settings_changes:
        host.at(change.at, partial(operators.change_settings, change))
    for day in _days(scenario):
        if scenario.steps.confirms_brake:
            for kind in kinds:
                host.at(day + 8 * _HOUR, partial(operators.confirm, kind))
                host.at(day + 16 * _HOUR, partial(operators.confirm, kind))
        if scenario.steps.keeps_dead_letters:
            host.at(day + 9 * _HOUR, operators.replay_dead_letters)
        if scenario.steps.late_vault_at is not None:
            for hour in (4, 10, 16):
                host.at(day + hour * _HOUR, operators.replay_quarantine)
    if scenario.steps.late_vault_at is not None:
        host.at(scenario.steps.late_vault_at, operators.allow_the_late_vault)
    if "tickets" in scenario.flows:
        host.at(scenario.ends_at - 6 * _HOUR, partial(operators.replay_quarantine, must=True))


def _days(scenario: Scenario) -> Iterator[datetime]:
    moment = BEGINS
    while moment < scenario.ends_at:
        yield moment
        moment += _DAY


def _flow_of_part(body: str) -> Flow:
    return Flow.USERS if _KINDS["users"] in json.loads(body)["run_id"] else Flow.ASSETS


def _carry_out(message: Any, _outputs: Outputs) -> None:
    from functions.outbox import carry_out_follow_ups

    carry_out_follow_ups(message=message)


def _drop_follow_up(message: Any, _outputs: Outputs) -> None:
    from functions.outbox import drop_follow_up_message

    drop_follow_up_message(message=message)


def _do_part(message: Any, outputs: Outputs) -> None:
    from functions.import_parts import import_part

    import_part(message=message, messages=outputs)


def _fail_part(message: Any, outputs: Outputs) -> None:
    from functions.poison import fail_import_part

    fail_import_part(message=message, messages=outputs)


def _sweep_vault(message: Any, outputs: Outputs) -> None:
    from functions.sweeps import sweep_vault

    sweep_vault(message=message, messages=outputs)


def _fail_sweep(message: Any, _outputs: Outputs) -> None:
    from functions.sweeps import fail_vault_sweep

    fail_vault_sweep(message=message)


def _record_event(message: Any, outputs: Outputs) -> None:
    from functions.key_vault_event_queue import record_key_vault_event

    del outputs
    record_key_vault_event(message=message)


def _quarantine_event(message: Any, _outputs: Outputs) -> None:
    from functions.key_vault_event_queue import quarantine_key_vault_event

    quarantine_key_vault_event(message=message)
