"""The brake: so many records are not deactivated before a person has looked."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Brake:
    """Nothing is deactivated when `at_least` records and more than `share` of a part's active ones would be."""

    share: float = 0.3
    at_least: int = 10

    def holds(self, count: int, active: int) -> bool:
        return count >= self.at_least and count > self.share * active
