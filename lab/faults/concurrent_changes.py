"""Users who change just when an import has read them, and of whom AuthRocket tells at once.

They are as the scenario has them again once nothing goes wrong any more, so that it still ends in one state only.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from lab.faults.disturbances import Disturbances
from lab.faults.flows import Flow
from lab.faults.scenario import BEGINS, REALM_ID, Scenario, SimulatedRecord, UserEvent
from lab.faults.scenario_steps import staying
from lab.faults.simulation import Simulation

# The import waits, and whoever is told of the change has the time to write it.
_WAITS = (0.03, 0.1, 0.3)
_AT_MOST = 4


class ConcurrentChanges:
    """The users of a scenario's realm, and the changes that nobody foresaw. `deliver_user_event` delivers an event."""

    def __init__(self, scenario: Scenario, simulation: Simulation, disturbances: Disturbances) -> None:
        self.deliver_user_event: Callable[[UserEvent], object] = lambda _: None
        self.events: list[UserEvent] = list(scenario.steps.user_events)
        self.changed_at: list[datetime] = []
        self._scenario = scenario
        self._simulation = simulation
        self._disturbances = disturbances
        self._names: dict[str, tuple[datetime, str]] = {}
        self._until = scenario.calm_from + timedelta(hours=6)
        granted = {user for user, _ in scenario.steps.grants}
        known = staying(scenario) if "users" in scenario.flows else []
        self._may_change = {record for part, record in known if part == REALM_ID} - granted

    def users_at(self, moment: datetime) -> Mapping[str, SimulatedRecord]:
        users = self._scenario.records_at(REALM_ID, moment)
        if not self._names or moment >= self._until:
            return users
        return {user: self._as_changed(user, record, moment) for user, record in users.items()}

    def was_read(self, users: Sequence[str]) -> None:
        """An import was given these users; perhaps one of them changes now."""
        # One that the import has something to write of; and each once, or a later event would mend what is lost.
        able = [user for user in sorted(self._may_change & set(users)) if self._is_news(user)]
        is_early = self._simulation.at < self._scenario.calm_from and len(self.changed_at) < _AT_MOST
        if self._simulation.doing != Flow.USERS or not able or not is_early:
            return
        if not self._disturbances.happens("users", self._disturbances.rates.interference, ("change meanwhile",)):
            return
        user, at = self._disturbances.rng.choice(able), self._simulation.at
        self.changed_at.append(at)
        number = len(self.changed_at)
        self._names[user] = (at, f"meanwhile-{number}")
        self._may_change.remove(user)
        self.events.append(UserEvent(f"ev_meanwhile{number}", "user.updated", user, at, (at,)))
        self.deliver_user_event(self.events[-1])
        self._simulation.sleep(self._disturbances.rng.choice(_WAITS))

    def _is_news(self, user: str) -> bool:
        at, day = self._simulation.at, timedelta(days=1)
        before, now = (self._scenario.records_at(REALM_ID, moment).get(user) for moment in (at - day, at))
        return before != now or at < BEGINS + day

    def _as_changed(self, user: str, record: SimulatedRecord, moment: datetime) -> SimulatedRecord:
        at, name = self._names.get(user, (self._until, ""))
        return replace(record, name=name) if at <= moment else record
