"""DescribeInstances' filters: the values of one are alternatives, all filters must hold, `*` and `?` are wildcards."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lab.emulators.ec2.records import STATE_CODES, Record
from lab.emulators.ec2.refusals import RefusalError
from lab.emulators.ec2.regions import numbered


@dataclass(frozen=True)
class Filter:
    name: str
    values: tuple[str, ...]


def read_filters(form: Mapping[str, str]) -> tuple[Filter, ...]:
    """`Filter.1.Name`, `Filter.1.Value.1`, …; raises EC2's refusal for a filter that it does not know."""
    found: list[Filter] = []
    while name := form.get(f"Filter.{len(found) + 1}.Name"):
        if name not in _FIELDS and not name.startswith("tag:"):
            raise RefusalError("InvalidParameterValue", f"The filter '{name}' is invalid")
        values = tuple(numbered(form, f"Filter.{len(found) + 1}.Value"))
        if not values:
            raise RefusalError("InvalidParameterValue", f"The filter '{name}' has no value")
        found.append(Filter(name, values))
    return tuple(found)


def compile_filters(filters: Sequence[Filter], account: str, region: str) -> Callable[[Record], bool]:
    """Whether an instance of this account and region is meant by all the filters."""
    tests = [(_reader(each.name, account, region), _pattern(each.values)) for each in filters]
    return lambda record: all(any(pattern.fullmatch(value) for value in read(record)) for read, pattern in tests)


def _pattern(values: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(_one(value) for value in values), re.DOTALL)


def _one(value: str) -> str:
    wild = {"*": ".*", "?": "."}
    pieces = re.findall(r"\\.|.", value, re.DOTALL)
    return "".join(wild.get(piece) or re.escape(piece[1:] if len(piece) == 2 else piece) for piece in pieces)


Read = Callable[[Record], Sequence[str]]


def _reader(name: str, account: str, region: str) -> Read:
    if name.startswith("tag:"):
        key = name.removeprefix("tag:")
        return lambda record: [record.tags[key]] if key in record.tags else []
    if name == "owner-id":
        return lambda _record: [account]
    if name == "availability-zone":
        return lambda record: [region + record.zone]
    return _FIELDS[name]


def _maybe(value: str | None) -> list[str]:
    return [] if value is None else [value]


_FIELDS: dict[str, Read] = {
    "architecture": lambda record: [record.architecture],
    "availability-zone": lambda record: [record.zone],
    "image-id": lambda record: [record.image_id],
    "instance-id": lambda record: [record.instance_id],
    "instance-lifecycle": lambda record: ["spot"] if record.spot else [],
    "instance-state-code": lambda record: [str(STATE_CODES[record.state])],
    "instance-state-name": lambda record: [record.state],
    "instance-type": lambda record: [record.instance_type],
    "ip-address": lambda record: _maybe(record.public_ip),
    "key-name": lambda record: _maybe(record.key_name),
    "launch-time": lambda record: [f"{record.launched_at:%Y-%m-%dT%H:%M:%S.000Z}"],
    "owner-id": lambda _record: [],
    "platform": lambda record: ["windows"] if record.windows else [],
    "private-ip-address": lambda record: _maybe(record.private_ip),
    "reservation-id": lambda record: [record.reservation_id],
    "subnet-id": lambda record: [record.subnet_id],
    "tag-key": lambda record: list(record.tags),
    "tag-value": lambda record: list(record.tags.values()),
    "vpc-id": lambda record: [record.vpc_id],
}
