"""Machines into moto's backends, nothing left to chance: a second start holds the same ids, addresses and times."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.ec2.models import ec2_backends
from moto.ec2.models.instances import StateReason
from moto.moto_api._internal import mock_random

from lab.emulators.ec2.accounts import REGIONS
from lab.emulators.ec2.machines import Machine

STATE_CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
_IMAGES = {"x86_64": "ami-0a1b2c3d4e5f60001", "arm64": "ami-0a1b2c3d4e5f60002", "windows": "ami-0a1b2c3d4e5f60003"}
_VPCS = {"main": 10, "data": 172}
_REASON = "Client.UserInitiatedShutdown"


def seed_identifiers(*parts: str) -> None:
    """Everything that moto makes up next follows from these words alone, not from what was made before."""
    mock_random.seed("/".join(parts))


def prepare_region(account: str, region: str) -> dict[str, Any]:
    """The account's networks in this region: its subnets by the name of their VPC."""
    seed_identifiers(account, region, "defaults")
    backend: Any = ec2_backends[account][region]
    subnets = {}
    number = sorted(REGIONS).index(region) + 16
    for name, first in _VPCS.items():
        seed_identifiers(account, region, "vpc", name)
        vpc = backend.create_vpc(f"{first}.{number}.0.0/16", amazon_provided_ipv6_cidr_block=True)
        [ipv6] = vpc.get_cidr_block_association_set(ipv6=True)
        ipv6_block = ipv6["cidr_block"].replace("/56", "/64")
        subnets[name] = backend.create_subnet(
            vpc.id,
            f"{first}.{number}.0.0/20",
            ipv6_cidr_block=ipv6_block,
            availability_zone=f"{region}a",
        )
    return subnets


def add(machine: Machine, subnet: Any) -> str:
    """Run this machine; returns its instance id."""
    seed_identifiers(machine.account, machine.region, "instance", machine.label)
    backend: Any = ec2_backends[machine.account][machine.region]
    launched = datetime.fromisoformat(machine.launched).astimezone(UTC)
    reservation = backend.run_instances(
        _IMAGES["windows" if machine.windows else machine.architecture],
        1,
        None,
        [],
        instance_type=machine.instance_type,
        is_instance_type_default=False,
        region_name=machine.region,
        subnet_id=subnet.id,
        private_ip=_address(subnet, machine.label),
        associate_public_ip=machine.public,
        ipv6_address_count=1 if machine.ipv6 else None,
        key_name=machine.key_name,
        monitoring_state="enabled" if machine.monitored else "disabled",
        instance_market_options="spot" if machine.spot else None,
        tags={"instance": machine.tags},
        security_group_ids=[],
        client_token=f"lab-{machine.label}",
    )
    instance = reservation.instances[0]
    instance.launch_time = launched
    instance.architecture = machine.architecture
    instance.platform = "windows" if machine.windows else None
    instance.platform_details = "Windows" if machine.windows else "Linux/UNIX"
    instance.usage_operation = "RunInstances:0002" if machine.windows else "RunInstances"
    instance.virtualization_type = "hvm"
    instance.kernel_id = None  # moto says "None", as text
    instance.ena_support = True
    if machine.profile:
        instance.iam_instance_profile = {
            "Arn": f"arn:aws:iam::{machine.account}:instance-profile/{machine.profile}",
            "Id": f"AIPA{hashlib.sha256(machine.profile.encode()).hexdigest()[:17].upper()}",
        }
    for interface in instance.nics.values():
        interface.attach_time = launched
    for _, block in instance.get_block_device_mapping:
        block.attach_time = launched + timedelta(seconds=1)
    set_state(instance, machine.state, launched + timedelta(days=30))
    instance_id: str = instance.id
    return instance_id


def set_state(instance: Any, state: str, at: datetime) -> None:
    """Put an instance into any state, those in between included, with the reason that EC2 gives."""
    if state == "terminated":
        instance.terminate()
    elif state == "stopped":
        instance.stop()
    instance._state.name, instance._state.code = state, STATE_CODES[state]
    stopped = state in {"stopped", "stopping", "terminated", "shutting-down"}
    instance._reason = f"User initiated ({at:%Y-%m-%d %H:%M:%S} GMT)" if stopped else ""
    instance.state_reason = StateReason(f"{_REASON}: User initiated shutdown", _REASON) if stopped else None


def _address(subnet: Any, label: str) -> str:
    """An address of the subnet that follows from the label; the next free one when two labels meet."""
    first = int(subnet.cidr.network_address)
    size = subnet.cidr.num_addresses
    wanted = int.from_bytes(hashlib.sha256(label.encode()).digest()[:4]) % (size - 8) + 4
    taken = set(getattr(subnet, "_subnet_ips", {}))
    for step in range(size):
        at = first + 4 + (wanted + step) % (size - 8)
        address = ".".join(str(byte) for byte in at.to_bytes(4))
        if address not in taken:
            return address
    raise RuntimeError(f"no address left in {subnet.cidr_block}")
