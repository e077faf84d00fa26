"""Users who change just when an import has read them, and of whom AuthRocket tells at once.

They are as the story has them again once nothing goes wrong any more, so that it still ends in one state only.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from lab.faults.chapters import staying
from lab.faults.disturbances import Disturbances
from lab.faults.flows import Flow
from lab.faults.simulation import Simulation
from lab.faults.story import BEGINS, REALM_ID, Story, Thing, UserEvent

# The import waits, and whoever is told of the change has the time to write it.
_WAITS = (0.03, 0.1, 0.3)
_AT_MOST = 4


class Meanwhile:
    """The users of a story's realm, and the changes that nobody foresaw. `tell` delivers an event."""

    def __init__(self, story: Story, simulation: Simulation, disturbances: Disturbances) -> None:
        self.tell: Callable[[UserEvent], object] = lambda _: None
        self.events: list[UserEvent] = list(story.also.user_events)
        self.changed_at: list[datetime] = []
        self._story = story
        self._simulation = simulation
        self._disturbances = disturbances
        self._names: dict[str, tuple[datetime, str]] = {}
        self._until = story.calm_from + timedelta(hours=6)
        granted = {user for user, _ in story.also.grants}
        known = staying(story) if "users" in story.flows else []
        self._may_change = {thing for part, thing in known if part == REALM_ID} - granted

    def users_at(self, moment: datetime) -> Mapping[str, Thing]:
        users = self._story.there_at(REALM_ID, moment)
        if not self._names or moment >= self._until:
            return users
        return {user: self._as_changed(user, thing, moment) for user, thing in users.items()}

    def was_read(self, users: Sequence[str]) -> None:
        """An import was given these users; perhaps one of them changes now."""
        # One that the import has something to write of; and each once, or a later event would mend what is lost.
        able = [user for user in sorted(self._may_change & set(users)) if self._is_news(user)]
        is_early = self._simulation.at < self._story.calm_from and len(self.changed_at) < _AT_MOST
        if self._simulation.doing != Flow.USERS or not able or not is_early:
            return
        if not self._disturbances.happens("users", self._disturbances.rates.meddling, ("change meanwhile",)):
            return
        user, at = self._disturbances.chances.choice(able), self._simulation.at
        self.changed_at.append(at)
        number = len(self.changed_at)
        self._names[user] = (at, f"meanwhile-{number}")
        self._may_change.remove(user)
        self.events.append(UserEvent(f"ev_meanwhile{number}", "user.updated", user, at, (at,)))
        self.tell(self.events[-1])
        self._simulation.sleep(self._disturbances.chances.choice(_WAITS))

    def _is_news(self, user: str) -> bool:
        at, day = self._simulation.at, timedelta(days=1)
        before, now = (self._story.there_at(REALM_ID, moment).get(user) for moment in (at - day, at))
        return before != now or at < BEGINS + day

    def _as_changed(self, user: str, thing: Thing, moment: datetime) -> Thing:
        at, name = self._names.get(user, (self._until, ""))
        return replace(thing, name=name) if at <= moment else thing
