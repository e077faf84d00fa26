"""EC2 with the lab's own machines: the same ids, addresses and times at every start, and calls to change them."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal

from lab.emulators.ec2.faults import Script
from lab.emulators.ec2.machines import MACHINES, Machine
from lab.emulators.ec2.records import STATE_CODES, Listed, Record
from lab.emulators.ec2.server import EC2Lab, Place

RefusalCode = Literal["UnauthorizedOperation", "OptInRequired", "AuthFailure", "RequestLimitExceeded", "InternalError"]

_IMAGES = {"x86_64": "ami-0a1b2c3d4e5f60001", "arm64": "ami-0a1b2c3d4e5f60002", "windows": "ami-0a1b2c3d4e5f60003"}
_VPCS = {"main": 10, "data": 172}


class Fleet(EC2Lab):
    """EC2 and STS of two accounts with `machines` in them. Port 0 takes any free one."""

    def __init__(self, port: int = 0, machines: tuple[Machine, ...] = MACHINES) -> None:
        super().__init__({}, port=port)
        self._ids: dict[Place, str] = {}  # account and label to instance id
        self._places: dict[str, Place] = {}  # instance id to account and region
        self._refusals: dict[Place, Script] = {}
        for machine in machines:
            self.add(machine)

    def instance_id(self, account: str, label: str) -> str:
        return self._ids[account, label]

    def add(self, machine: Machine) -> str:
        """Run one more machine; returns its instance id, which follows from account, region and label."""
        if (machine.account, machine.label) in self._ids:
            raise ValueError(f"account {machine.account} already has a machine labelled {machine.label!r}")
        record = record_of(machine)
        self.put(record, account=machine.account, region=machine.region)
        self._ids[machine.account, machine.label] = record.instance_id
        self._places[record.instance_id] = (machine.account, machine.region)
        return record.instance_id

    def tag(self, instance_id: str, **tags: str | None) -> None:
        """Set tags; None takes one away. For keys that are no Python names pass `**{"a:b": "c"}`."""
        kept = {**self._record(instance_id).tags, **tags}
        self._change(instance_id, tags={key: value for key, value in kept.items() if value is not None})

    def set_state(self, instance_id: str, state: str) -> None:
        """Any of pending, running, stopping, stopped, shutting-down, terminated."""
        if state not in STATE_CODES:
            raise ValueError(f"{state!r} is none of {', '.join(STATE_CODES)}")
        self._change(instance_id, state=state)

    def stop_instance(self, instance_id: str) -> None:
        self.set_state(instance_id, "stopped")

    def start_instance(self, instance_id: str) -> None:
        self.set_state(instance_id, "running")

    def terminate(self, instance_id: str) -> None:
        """Terminated, and still listed, as EC2 does for about an hour."""
        self.set_state(instance_id, "terminated")

    def forget(self, instance_id: str) -> None:
        """Not listed any more, as an hour after its termination."""
        account, region = self._places.pop(instance_id)
        self.remove(instance_id, account, region)
        self._ids = {key: value for key, value in self._ids.items() if value != instance_id}

    def machines(self) -> list[dict[str, str]]:
        """Where each machine is, its label, its id and its name."""
        return [
            {
                "account": account,
                "region": self._places[found][1],
                "label": label,
                "instance_id": found,
                "name": self._record(found).tags.get("Name", ""),
            }
            for (account, label), found in self._ids.items()
        ]

    def refuse(self, account: str, region: str, code: RefusalCode | None) -> None:
        """From now on EC2 in this account and region answers so; None ends it."""
        earlier = self._refusals.pop((account, region), None)
        if earlier:
            self.service.faults.remove(earlier)
        if code:
            script = self.script("refuse", code=code, account=account, region=region, times=None)
            self._refusals[account, region] = script

    def _change(self, instance_id: str, **changes: Any) -> None:
        account, region = self._places[instance_id]
        self.put(replace(self._record(instance_id), **changes), account=account, region=region)

    def _record(self, instance_id: str) -> Record:
        records = self.service.records[self._places[instance_id]]
        assert isinstance(records, Listed)
        return next(record for _, record in records.after(0) if record.instance_id == instance_id)

    def control(self, what: str, given: Mapping[str, Any]) -> object:
        """What another process may ask beside what EC2Lab offers: tag, set_state, forget, refuse, machines."""
        if what == "machines":
            return self.machines()
        match what:
            case "tag":
                self.tag(given["instance_id"], **given["tags"])
            case "set_state":
                self.set_state(**given)
            case "forget":
                self.forget(**given)
            case "refuse":
                self.refuse(**given)
            case _:
                return super().control(what, given)
        return None


def record_of(machine: Machine) -> Record:
    """The instance of a machine; all that is made up follows from account, region and label."""
    place = f"{machine.account}/{machine.region}"
    digest = hashlib.sha256(f"{place}/{machine.label}".encode()).digest()
    gone = machine.state in {"terminated", "shutting-down"}
    network = hashlib.sha256(f"{place}/{machine.vpc}".encode()).hexdigest()
    return Record(
        instance_id=f"i-{digest.hex()[:17]}",
        reservation_id=f"r-{digest.hex()[17:34]}",
        tags=dict(machine.tags),
        state=machine.state,
        instance_type=machine.instance_type,
        architecture=machine.architecture,
        windows=machine.windows,
        spot=machine.spot,
        image_id=_IMAGES["windows" if machine.windows else machine.architecture],
        vpc_id=f"vpc-{network[:17]}",
        subnet_id=f"subnet-{network[17:34]}",
        private_ip=None if gone else f"{_VPCS[machine.vpc]}.{digest[20] % 15 + 16}.{digest[21]}.{digest[22]}",
        public_ip=f"198.51.100.{digest[23]}" if machine.public and machine.state == "running" else None,
        ipv6=f"2001:db8:{digest[24]:x}::{digest[25]:x}" if machine.ipv6 else None,
        key_name=machine.key_name,
        profile=machine.profile,
        monitored=machine.monitored,
        launched_at=datetime.fromisoformat(machine.launched).astimezone(UTC),
    )
