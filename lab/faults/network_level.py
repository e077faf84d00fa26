"""The network level: every flow on sockets that break, with the client libraries that the product uses.

A scenario is played once with nothing wrong, and once through proxies that spoil what passes. Then the tables of both
are compared.
"""

import json
import random
import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from azure.functions.queue import QueueMessage

from lab.emulators.event_grid.subscription import basic_authorization
from lab.fakes.tables import MemoryTables
from lab.faults.checks import run_faults
from lab.faults.comparison import differences
from lab.faults.host import request
from lab.faults.leaks import LeakSearch
from lab.faults.logs import KeptLogs
from lab.faults.network_level_desk import NetworkLevelDesk, VirtualClock, vault_holds
from lab.faults.promises import grant_faults, undisturbed_faults
from lab.faults.scenario import (
    BEGINS,
    FLOWS,
    REALM,
    TENANT,
    VAULTS,
    Event,
    Scenario,
    ScenarioSteps,
    SweptObject,
    UserEvent,
)
from lab.faults.scenario_generator import make_scenario, swept_objects
from lab.faults.scenario_steps import make_dead_letters
from lab.faults.schedule import Outcome
from lab.faults.secret_rotation import PLANTED_SECRETS, SECRETS, WEBHOOK_USER
from shared import bootstrap
from shared.errors import ChangedMeanwhileError, ConflictError, DeskbridgeError, MisconfiguredError
from shared.imports.plan.model import Trigger
from shared.reasons import Reason
from shared.storage.names import TABLES
from shared.storage.rows import Save
from shared.storage.tables import Tables, scan

_MOST_TRIES = 40
_TRIES_OF_CALM = 5
_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
# How the lab's tokens begin, as all JSON web tokens do.
_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{8}")
# A last one for what a day before could not be read, and one after the time of grace.
_CALM_DAYS = 2

_Timed = TypeVar("_Timed", bound=tuple[datetime, Any, Any])


def run_on_network(seed: int, connection_string: str) -> Outcome:
    """Play the scenario of a seed on an empty storage account, first as if undisturbed."""
    scenario = network_scenario(seed)
    with NetworkLevelDesk(scenario, seed, connection_string) as desk:
        calm = MemoryTables()
        findings = _play(desk, calm, calm) + undisturbed_faults(scenario, calm)
        findings = [f"undisturbed: {finding}" for finding in findings]
        before = desk.requests
        direct = desk.direct_tables()
        desk.clock.restart()
        desk.begin_trouble()
        try:
            findings += _play(desk, direct, desk.spoilt_tables())
        except Exception as error:  # noqa: BLE001 - kept as a finding
            # What is no refusal of the product's is the finding.
            where = " < ".join(
                f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[::-1]
            )
            findings.append(f"an error without a reason: {type(error).__name__}: {error} at {where[:400]}")
        desk.calm_down()
        played = _copy(direct)
        findings += differences(scenario, calm, played) + run_faults(played, one_clock=True)
        findings += grant_faults(scenario, played)
        return Outcome(seed, scenario.flows, "network", findings, desk.injected, storage_calls=desk.requests - before)


def network_scenario(seed: int) -> Scenario:
    """A scenario that real vaults can hold, without people and operators: they ask tables alone."""
    scenario = make_scenario(random.Random(f"story {seed}"), FLOWS)
    # No scenario is without them here: there are few, and their requests are few.
    rng = random.Random(f"wire {seed}")
    objects = scenario.swept or swept_objects(rng)
    certified: dict[str, str] = dict(zip(VAULTS, ("mail", "disk"), strict=True))
    swept = {vault: [_as_held(one) for one in vault_holds(objects[vault], certified[vault])] for vault in VAULTS}
    # Of a certificate that is in no vault the sweep says that it is gone, at the time when it came by.
    kept = {event["id"]: _with_version(event) for event in scenario.events if _is_held(event, certified)}
    deliveries = [
        (at, [kept[event["id"]] for event in batch if event["id"] in kept], channel)
        for at, batch, channel in scenario.deliveries
    ]
    return replace(
        scenario,
        swept=swept,
        events=list(kept.values()),
        deliveries=[delivery for delivery in deliveries if delivery[1]],
        edits=(),
        previews=(),
        people_on_tickets=False,
        steps=ScenarioSteps(
            # What a brake holds depends on how many were deactivated one by one before it.
            user_events=() if scenario.policies["braking"] else scenario.steps.user_events,
            organisations=scenario.steps.organisations,
            grants=scenario.steps.grants,
            dead_letters=scenario.steps.dead_letters or make_dead_letters(rng, scenario),
        ),
    )


def _as_held(one: SweptObject) -> SweptObject:
    # Every certificate ends some day.
    ends = one.expires_at or (BEGINS + timedelta(days=200) if one.object_type == "certificate" else None)
    return replace(one, version=_version(one.version), expires_at=ends, deleted_at=None)


def _is_held(event: Event, certified: Mapping[str, str]) -> bool:
    vault = str(event["topic"]).rpartition("/")[2]
    return "Certificate" not in event["eventType"] or event["data"]["ObjectName"].casefold() == certified[vault]


def _with_version(event: Event) -> Event:
    return {**event, "data": {**event["data"], "Version": _version(event["data"]["Version"])}}


def _version(short: str) -> str:
    """As Key Vault's are: 32 hexadecimal digits."""
    return (short.encode().hex() * 16)[:32]


# Playing


def _play(desk: NetworkLevelDesk, direct: Tables, tables: Tables) -> list[str]:
    """All that happens, each step tried again until it is taken. `direct` are the tables without faults."""
    for name, table in desk.settings_rows().tables.items():
        for (partition_key, _), row in table.rows.items():
            direct.table(name).transact(partition_key, [Save(row)])
    container = desk.direct_letters()
    if not container.exists():
        container.create_container()
    scenario, told = desk.scenario, set[str]()
    findings: list[str] = []
    with KeptLogs(desk.clock.now, libraries=True) as logs, desk.composed(tables):
        for number in range(len(scenario.days) + _CALM_DAYS):
            is_calm = number >= len(scenario.days)
            if is_calm:
                desk.calm_down()
            # By the day and not by the clock, which trouble puts forward: no event comes before its time.
            for _, name, content in of_day(number, scenario.steps.dead_letters):
                container.upload_blob(name, content)
            for _, batch, channel in of_day(number, scenario.deliveries):
                findings += _record(desk.clock, batch) if channel == "webhook" else _record_queued(batch)
            findings += _live_a_day(desk, told, is_calm=is_calm)
            desk.clock.at += _DAY
    findings += [f"a dead letter is left: {blob.name}" for blob in container.list_blobs()]
    search = LeakSearch(PLANTED_SECRETS)
    search.search("the tables", repr(_copy(direct).contents()))
    search.search("the log", "\n".join(logs.lines))
    findings += [f"a token in the log: {line[:100]}" for line in logs.lines if _TOKEN.search(line)]
    return findings + [f"a secret leaked: {leak.purpose} as {leak.form} in {leak.place}" for leak in search.found]


def of_day(number: int, timed: Sequence[_Timed]) -> list[_Timed]:
    """What has come since the day before, in the scenario's order."""
    until = BEGINS + number * _DAY
    return [one for one in timed if until - _DAY < one[0] <= until or (number == 0 and one[0] <= until)]


def _live_a_day(desk: NetworkLevelDesk, told: set[str], *, is_calm: bool) -> list[str]:
    from functions.ticket_schedules import record_dead_letters

    timer: Any = None
    findings = _import(desk.clock, "aws-tenants", TENANT) + _import(desk.clock, "authrocket-realms", REALM)
    for event in desk.scenario.steps.user_events:
        if event.at <= desk.clock.at and event.id not in told:
            told.add(event.id)
            findings += _deliver_user_event(desk.clock, event)
    for what in (_sweep, partial(record_dead_letters, timer=timer)):
        # They come again tomorrow; of the days on which nothing goes wrong there are few, and the machine may be busy.
        for left in reversed(range(_TRIES_OF_CALM if is_calm else 1)):
            try:
                what()
                break
            except DeskbridgeError as error:
                if is_calm and not left:
                    findings.append(f"on a day on which nothing goes wrong: {error}")
    return findings


def _sweep() -> None:
    """A sweep to its end, each message given until it is taken. Raises the last refusal, and that of a vault."""
    sweeps = bootstrap.sweeps()
    sweep, messages = sweeps.start(None, "schedule")
    while messages:
        for left in reversed(range(_MOST_TRIES)):
            try:
                messages += sweeps.do(messages[0])
                break
            except DeskbridgeError:
                if not left:
                    raise
        messages.pop(0)
    for report in sweeps.vaults.report(sweep.id, 1, None)[0]:
        raise MisconfiguredError(Reason(report.reason), report.message)


def _record(clock: VirtualClock, batch: Sequence[Event]) -> list[str]:
    from functions.key_vault_events import receive_key_vault_events

    headers = {
        "aeg-event-type": "Notification",
        "Authorization": basic_authorization(WEBHOOK_USER, SECRETS["webhook"]),
    }
    asked = request("POST", body=list(batch), headers=headers)
    return _until_taken(clock, "a delivery", lambda: receive_key_vault_events(req=asked))


def _record_queued(batch: Sequence[Event]) -> list[str]:
    from functions.key_vault_event_queue import record_key_vault_event

    for event in batch:
        message = QueueMessage(id="1", body=json.dumps(event).encode(), dequeue_count=1)
        for _ in range(_MOST_TRIES):
            try:
                record_key_vault_event(message=message)
                break
            except DeskbridgeError:
                continue
        else:
            return ["a queued event is never taken"]
    return []


def _deliver_user_event(clock: VirtualClock, event: UserEvent) -> list[str]:
    from functions.authrocket_webhook import receive_authrocket_event

    headers = {"Authorization": basic_authorization(WEBHOOK_USER, SECRETS["authrocket-webhook"])}

    def deliver() -> Any:
        clock.at += _MINUTE
        asked = request("POST", route={"realm": REALM}, body={"id": event.id}, headers=headers)
        return receive_authrocket_event(req=asked)

    return _until_taken(clock, f"the event {event.id}", deliver)


def _until_taken(clock: VirtualClock, what: str, deliver: Callable[[], Any]) -> list[str]:
    answer: Any = None
    for _ in range(_MOST_TRIES):
        answer = deliver()
        if answer.status_code == 200:
            return []
        if answer.status_code < 500 or b'"internal"' in answer.get_body():
            return [f"{what} was answered {answer.status_code}: {answer.get_body()!r}"]
        # As Event Grid waits at first; a vault in trouble is not asked again at once.
        clock.sleep(10)
    return [f"{what} is never taken: {answer.get_body()!r}"]


def _import(clock: VirtualClock, kind: str, name: str) -> list[str]:
    """A day's import, its parts given again until they are done, as the queue and the housekeeping do it."""
    messages: list[Any] = []
    for _ in range(_MOST_TRIES):
        try:
            started = bootstrap.run_starter().start(kind, name, trigger=Trigger.SCHEDULED, by="schedule")
        except (ConflictError, ChangedMeanwhileError):
            break
        except DeskbridgeError:
            clock.at += _MINUTE
            continue
        messages = list(started.messages)
        break
    for _ in range(_MOST_TRIES):
        while messages:
            message = messages.pop(0)
            for attempt in range(5):
                try:
                    messages += bootstrap.imports().do_part(message, redelivered=attempt > 0)
                    break
                except DeskbridgeError:
                    clock.at += _MINUTE
        clock.at += 16 * _MINUTE
        try:
            messages += bootstrap.run_housekeeping().run()
            if not bootstrap.runs().open_runs():
                return []
        except DeskbridgeError:
            continue
    return ["an import does not end"]


def _copy(tables: Tables) -> MemoryTables:
    copied = MemoryTables()
    for name in TABLES:
        for row in scan(tables.table(name), []):
            copied.table(name).transact(row.partition_key, [Save(row)])
    return copied
