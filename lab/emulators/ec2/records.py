"""Instances as the emulator holds them: made up from a seed, by the hundred thousand, or put there one by one."""

import random
import threading
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

STATE_CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}

_TYPES = ("t3.micro", "t3.medium", "m5.large", "m6i.xlarge", "c6a.4xlarge", "r6i.2xlarge", "m7g.large", "t4g.small")
_PREFIXES = ("ACORN-LDN", "ACORN-DUB", "ACORN-NYC", "STJ", "build", "k8s-node")
_ENVIRONMENTS = ("production", "staging", "test", "ci")
_TEAMS = ("web", "data", "platform", "Büro & Co", "finance")
_STATES = ("running",) * 17 + ("stopped", "stopped", "terminated")
_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
# How many instances each of ten reservations in a row holds: 20 in all.
_SHAPE = (1, 1, 1, 2, 1, 4, 1, 1, 3, 5)
_RESERVATION_OF = [place for place, size in enumerate(_SHAPE) for _ in range(size)]


@dataclass(frozen=True)
class Record:
    """One instance: what varies. The rendering adds the members that are alike on every machine."""

    instance_id: str
    reservation_id: str
    tags: dict[str, str] = field(default_factory=dict)
    state: str = "running"
    instance_type: str = "t3.medium"
    architecture: str = "x86_64"
    windows: bool = False
    spot: bool = False
    zone: str = "a"
    image_id: str = "ami-0a1b2c3d4e5f60001"
    vpc_id: str = "vpc-0a1b2c3d4e5f60001"
    subnet_id: str = "subnet-0a1b2c3d4e5f60001"
    private_ip: str | None = "10.0.0.10"
    public_ip: str | None = None
    ipv6: str | None = None
    key_name: str | None = None
    profile: str | None = None
    monitored: bool = False
    volumes: int = 1
    launched_at: datetime = _EPOCH


class Records(Protocol):
    """The instances of one account and region, in the order in which pages give them.

    A token points behind the sequence number of the last instance shown, so changes between pages skip nothing else.
    """

    @property
    def version(self) -> Hashable:
        """Changes with every change: what was rendered for another version is stale."""
        ...

    def after(self, sequence: int) -> Iterator[tuple[int, Record]]:
        """Sequence numbers, from 1, and instances, behind the given sequence number."""
        ...


class Listed:
    """Instances put there one by one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: dict[int, Record] = {}
        self._next = 1
        self._version = 0

    @property
    def version(self) -> int:
        return self._version

    def after(self, sequence: int) -> Iterator[tuple[int, Record]]:
        with self._lock:
            held = [item for item in self._records.items() if item[0] > sequence]
        return iter(held)

    def put(self, record: Record) -> None:
        """Add an instance, or replace the one of the same id where it stands."""
        with self._lock:
            known = [number for number, held in self._records.items() if held.instance_id == record.instance_id]
            number = known[0] if known else self._next
            self._next = max(self._next, number + 1)
            self._records[number] = record
            self._version += 1

    def remove(self, instance_id: str) -> None:
        with self._lock:
            self._records = {number: held for number, held in self._records.items() if held.instance_id != instance_id}
            self._version += 1


@dataclass(frozen=True)
class Generation:
    """One step in the life of a generated fleet: shares in percent of the instances there were, and newcomers."""

    changed_percent: float = 0
    gone_percent: float = 0
    added: int = 0


class Generated:
    """`count` instances that follow from account, region, seed and the generations since. Nothing is stored."""

    def __init__(self, account: str, region: str, count: int, seed: int = 1) -> None:
        self._account, self._region, self._seed = account, region, seed
        self._count = count
        self._generations: list[tuple[int, Generation]] = []

    @property
    def version(self) -> int:
        return len(self._generations)

    @property
    def count(self) -> int:
        """How many there ever were; those that are gone keep their sequence number."""
        return self._count

    def advance(self, generation: Generation) -> None:
        """Time passes: some instances change (name, release tag, every fourth its state), some go, some come."""
        self._generations.append((self._count, generation))
        self._count += generation.added

    def after(self, sequence: int) -> Iterator[tuple[int, Record]]:
        for number in range(sequence, self._count):
            revision = self._revision(number)
            if revision is not None:
                yield number + 1, self._record(number, revision)

    def _revision(self, number: int) -> int | None:
        """How often this instance has changed; None when it is gone."""
        revision = 0
        for step, (count_before, generation) in enumerate(self._generations):
            if number >= count_before:
                continue
            lot = random.Random(f"{self._seed}/{step}/{number}").random() * 100
            if lot < generation.gone_percent:
                return None
            if lot < generation.gone_percent + generation.changed_percent:
                revision += 1
        return revision

    def _record(self, number: int, revision: int) -> Record:
        chance = random.Random(f"{self._account}/{self._region}/{self._seed}/{number}")
        bits = chance.getrandbits(128)
        block, place = divmod(number, len(_RESERVATION_OF))
        shared = random.Random(f"{self._account}/{self._region}/{self._seed}/{block}/{_RESERVATION_OF[place]}")
        kind = _TYPES[bits % 8]
        state = _STATES[(bits >> 8) % 20]
        if revision and number % 4 == 0 and state in {"running", "stopped"}:
            state = "stopped" if (state == "running") == (revision % 2 == 1) else "running"
        return Record(
            instance_id=f"i-{bits & (1 << 68) - 1:017x}",
            reservation_id=f"r-{shared.getrandbits(68):017x}",
            tags=self._tags(number, revision, bits),
            state=state,
            instance_type=kind,
            architecture="arm64" if "g." in kind else "x86_64",
            windows=(bits >> 16) % 8 == 0 and "g." not in kind,
            spot=(bits >> 20) % 10 == 0,
            zone="abc"[(bits >> 24) % 3],
            image_id=f"ami-{0xA1B2C3D4E5F60001 + (bits >> 28) % 12:017x}",
            vpc_id=f"vpc-{0xB1B2C3D4E5F60001 + (bits >> 32) % 3:017x}",
            subnet_id=f"subnet-{0xC1B2C3D4E5F60001 + (bits >> 36) % 9:017x}",
            private_ip=None if state == "terminated" else f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
            public_ip=f"198.51.{number >> 8 & 255}.{number & 255}"
            if (bits >> 40) % 3 == 0 and state == "running"
            else None,
            ipv6=f"2001:db8:{number >> 16:x}::{number & 0xFFFF:x}" if (bits >> 44) % 6 == 0 else None,
            key_name="acorn-ops" if (bits >> 48) % 2 else None,
            profile=_TEAMS[(bits >> 52) % 3] if (bits >> 52) % 5 < 3 else None,
            volumes=1 + (bits >> 56) % 3,
            launched_at=_EPOCH + timedelta(seconds=(bits >> 60) % 190_000_000),
        )

    @staticmethod
    def _tags(number: int, revision: int, bits: int) -> dict[str, str]:
        if (bits >> 70) % 50 == 0:
            return {}
        tags = {
            "Name": f"{_PREFIXES[(bits >> 76) % 6]}-{number:06}" + (f"-r{revision}" if revision else ""),
            "AssetNumber": f"{'SERV' if (bits >> 80) % 3 else 'PRX'}-{number:06}",
            "Environment": _ENVIRONMENTS[(bits >> 84) % 4],
            "Team": _TEAMS[(bits >> 88) % 5],
            "Release": f"2025.{(bits >> 92) % 12 + 1}.{revision}",
            "cost:centre": f"{(bits >> 96) % 100:04}",
            "aws:autoscaling:groupName": f"asg-{(bits >> 100) % 40}",
            "Owner": f"team-{(bits >> 104) % 30}@acorn.example",
        }
        if (bits >> 110) % 40 == 0:
            del tags["Name"]
        return tags
