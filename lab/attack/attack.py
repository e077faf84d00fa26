"""One attack: what it does, at which door, and whether the desk held."""

from collections.abc import Callable
from dataclasses import dataclass

from lab.attack.target import Answer, Target

REFUSED = frozenset({400, 401, 403, 404, 405, 409, 411, 413, 415, 422, 503})


@dataclass(frozen=True)
class Outcome:
    """What came of an attack. `answer` is what the desk said, in few words."""

    held: bool
    answer: str


@dataclass(frozen=True)
class Attack:
    """`door` is where it knocks; `play` tries it and says what came of it."""

    name: str
    door: str
    play: Callable[[Target], Outcome]


def refused(*answers: Answer, within: float = 10.0, reason: str = "") -> Outcome:
    """Every answer is a refusal, of this reason if one is given, and came within so many seconds."""
    slowest = max(answer.seconds for answer in answers)
    held = all(answer.status in REFUSED and reason in answer.reason for answer in answers) and slowest < within
    said = ", ".join(dict.fromkeys(map(str, answers)))
    return Outcome(held, said if slowest < 1 else f"{said} after {slowest:.1f} s")
