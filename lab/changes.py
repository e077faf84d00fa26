"""What a person changed in the emulators: kept in a file, so that the next start of the lab finds it as it was left.

The emulators live in memory. Each change is one line of the file, and a start repeats all lines in order.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lab.emulators.authrocket import AuthRocketLab
from lab.emulators.ec2.fleet import Fleet
from lab.emulators.key_vault import VaultLab
from lab.emulators.key_vault.state import LabError

Hear = Callable[[str, dict[str, Any]], object]
# Other calls read, or make something go wrong a counted number of times.
_EC2_CHANGES = frozenset({"tag", "set_state", "forget", "refuse"})


class KeptFleet(Fleet):
    """EC2 whose changes are heard, by whichever way they came."""

    on_change: Hear | None = None

    def control(self, what: str, given: Mapping[str, Any]) -> object:
        outcome = super().control(what, given)
        if self.on_change and what in _EC2_CHANGES:
            self.on_change(what, dict(given))
        return outcome


class KeptAuthRocket(AuthRocketLab):
    """AuthRocket whose changes are heard, by whichever way they came."""

    on_change: Hear | None = None

    def add_user(self, *given: Any, **fields: Any) -> dict[str, Any]:
        user = super().add_user(*given, **fields)
        # With its id and its times: a repetition must not make another person of it.
        self._tell("add_user", user)
        return user

    def change_user(self, user_id: str, *given: Any, **changes: Any) -> dict[str, Any]:
        user = super().change_user(user_id, *given, **changes)
        self._tell("change_user", {"user_id": user_id, "realm_id": user["realm_id"], **changes})
        return user

    def remove_user(self, user_id: str, *given: Any, **more: Any) -> None:
        super().remove_user(user_id, *given, **more)
        self._tell("remove_user", {"user_id": user_id, **more})

    def answer_with(self, status: int | None) -> None:
        """From now on answer every call so; None ends it."""
        self.faults.clear()
        if status is not None:
            self.script("status", status=status, times=None)
        self._tell("answer_with", {"status": status})

    def _tell(self, what: str, given: dict[str, Any]) -> None:
        if self.on_change:
            self.on_change(what, given)


class Changes:
    """The file of changes of one lab."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self, vaults: VaultLab, fleet: KeptFleet, authrocket: KeptAuthRocket) -> Iterator[str]:
        """Repeat what is in the file, then write down each further change. Yields what could not be repeated."""
        repeat: dict[str, Callable[[str, dict[str, Any]], object]] = {
            "key_vault": lambda what, given: vaults.call(what, **given),
            "ec2": fleet.control,
            "authrocket": lambda what, given: getattr(authrocket, what)(**given),
        }
        for number, line in enumerate(self._lines(), 1):
            try:
                emulator, what, given = json.loads(line)
                repeat[emulator](what, given)
            except (LabError, LookupError, TypeError, ValueError) as error:
                # A changed lab may no longer have what was changed; the other changes still count.
                yield f"line {number} of {self._path.name} could not be repeated: {error}"
        vaults.on_change(self._writer("key_vault"))
        fleet.on_change = self._writer("ec2")
        authrocket.on_change = self._writer("authrocket")

    def _lines(self) -> list[str]:
        return self._path.read_text("utf-8").splitlines() if self._path.exists() else []

    def _writer(self, emulator: str) -> Hear:
        def write(what: str, given: dict[str, Any]) -> None:
            # It holds values of secrets, as the vault does.
            self._path.touch(mode=0o600)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps([emulator, what, given]) + "\n")

        return write
