"""`make attack`: start the lab on free ports, play every attack, and print what came of each."""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lab.attack import by_lower_roles, by_strangers, with_bodies, with_settings, with_webhook_credential
from lab.attack.attack import Attack, Outcome
from lab.attack.target import Target, TooManyRequestsError
from lab.desk import Choices, Desk, DeskError
from lab.examples import apply_examples

ATTACKS: Sequence[Attack] = (
    *by_strangers.ATTACKS,
    *by_lower_roles.ATTACKS,
    *with_webhook_credential.ATTACKS,
    *with_settings.ATTACKS,
    *with_bodies.ATTACKS,
)
_WIDEST_ANSWER = 60


@contextmanager
def attacked_desk() -> Iterator[Target]:
    """A desk of its own with the example settings, on free ports."""
    with tempfile.TemporaryDirectory(prefix="attack-") as folder:
        choices = Choices(folder=Path(folder), any_ports=True)
        desk = Desk(choices, lambda _: None)
        with desk:
            apply_examples(desk)
            yield Target(desk)


def play(attack: Attack, target: Target) -> Outcome:
    """One attack. What goes wrong in it counts as broken: an attack that did not take place shows nothing."""
    try:
        return attack.play(target)
    except TooManyRequestsError:
        raise
    except (OSError, DeskError, ValueError, KeyError, AssertionError) as error:
        return Outcome(False, f"{type(error).__name__}: {error}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.attack", description=__doc__)
    parser.add_argument("--only", default="", help="attacks whose name or door has this text")
    only = parser.parse_args().only.casefold()
    chosen = [attack for attack in ATTACKS if only in f"{attack.name} {attack.door}".casefold()]
    print("Starting a desk of its own on free ports.")
    broken = 0
    with attacked_desk() as target:
        print(f"{'attack':<42} {'door':<20} {'':<6} answer")
        for attack in chosen:
            outcome = play(attack, target)
            broken += not outcome.held
            held = "held" if outcome.held else "BROKEN"
            print(f"{attack.name:<42} {attack.door:<20} {held:<6} {outcome.answer[:_WIDEST_ANSWER]}", flush=True)
    print(f"{len(chosen)} attacks, {broken} broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
