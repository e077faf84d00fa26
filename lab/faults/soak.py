"""A soak: the whole lab for minutes, every trigger firing; memory, handles, and errors that have no cause."""

import json
import re
import statistics
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab import first_run
from lab.desk import WEBHOOK_PASSWORD, WEBHOOK_USER, Choices, Desk, DeskError
from lab.emulators.event_grid.subscription import basic_authorization

_TIMERS = (
    "import_ec2_assets",
    "import_authrocket_users",
    "keep_house",
    "sweep_vaults",
    "remove_old_ticket_rows",
    "record_dead_letters",
)
_PAGES = ("tickets", "assets", "users", "runs", "imports", "summary", "quarantine")
_TROUBLE = re.compile(r"Traceback|\bERROR\b|\bCRITICAL\b|Unclosed|ResourceWarning|never awaited")
# Memory that a process keeps after its first busy minutes is its level; beyond this share of it is growth.
_GROWTH_ALLOWED = 0.10
_HANDLES_ALLOWED = 15
# Of each object as many as a desk may see in years: what is known must not grow with the rounds.
_VERSIONS = 20


@dataclass(frozen=True)
class Sample:
    """The host and its worker at one moment. Memory in MiB, `seconds` since the soak began."""

    seconds: float
    memory: float
    handles: int
    processes: int


@dataclass(frozen=True)
class Soaked:
    """What a soak came to. `rounds` counts how often every trigger fired."""

    samples: Sequence[Sample]
    rounds: int
    deliveries: int
    failures: Counter[str]
    trouble: Counter[str]

    def findings(self) -> list[str]:
        """What is wrong; a soak of less than three samples a third says nothing of growth."""
        found = [f"{count} × failed: {what}" for what, count in self.failures.items()]
        found += [f"{count} × in the log: {what}" for what, count in self.trouble.items()]
        third = len(self.samples) // 3
        if third >= 3:
            middle, last = self.samples[third : 2 * third], self.samples[-third:]
            before, after = (statistics.median(one.memory for one in part) for part in (middle, last))
            if after > before * (1 + _GROWTH_ALLOWED):
                found.append(f"memory grows: {before:.0f} MiB in the second third, {after:.0f} MiB in the last")
            handles_before, handles_after = (max(one.handles for one in part) for part in (middle, last))
            if handles_after > handles_before + _HANDLES_ALLOWED:
                found.append(f"handles leak: {handles_before} in the second third, {handles_after} in the last")
        return found


def soak(minutes: float, say: Callable[[str], object] = print) -> Soaked:
    """Run it. Linux only: memory and handles are read from /proc."""
    samples: list[Sample] = []
    failures: Counter[str] = Counter()
    rounds = deliveries = 0
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        with Desk(Choices(folder=Path(folder), any_ports=True), lambda _: None) as desk:
            first_run.run_once(desk, lambda _: None)
            began = time.monotonic()
            sampled = 0.0
            while time.monotonic() - began < minutes * 60:
                rounds += 1
                for name in _TIMERS:
                    _try(failures, f"timer {name}", desk.fire, name)
                for number in range(10):
                    deliveries += 1
                    _try(failures, "webhook", _deliver, desk, f"{rounds}-{number}", rounds % _VERSIONS)
                for page in _PAGES:
                    _try(failures, f"GET {page}", desk.call, "GET", f"/api/v1/{page}")
                if time.monotonic() - sampled > 5:
                    sampled = time.monotonic()
                    samples.append(_sample(desk, sampled - began))
                    one = samples[-1]
                    say(f"{one.seconds:6.0f} s  {one.memory:6.0f} MiB  {one.handles:4} handles  {rounds} rounds")
                time.sleep(1.0)
            _quiet(desk, failures)
        trouble = Counter(
            re.sub(r"[0-9a-f]{6,}|\d+", "…", line)[:160]
            for line in (Path(folder) / "host.log").read_text("utf-8").splitlines()
            if _TROUBLE.search(line)
        )
    return Soaked(samples, rounds, deliveries, failures, trouble)


def _deliver(desk: Desk, label: str, version: int) -> None:
    vault = "acorn-vault"
    group = f"/subscriptions/{_subscription(desk)}/resourceGroups/rg-acorn"
    event = {
        "id": f"soak-{label}",
        "topic": f"{group}/providers/Microsoft.KeyVault/vaults/{vault}",
        "subject": "soak",
        "eventType": "Microsoft.KeyVault.SecretNearExpiry",
        "data": {"ObjectName": f"soak-{label.split('-')[1]}", "Version": f"v{version}", "EXP": 1893456000},
        "dataVersion": "1",
        "metadataVersion": "1",
        "eventTime": datetime.now(UTC).isoformat(),
    }
    request = urllib.request.Request(  # noqa: S310 - the desk's own loopback address
        f"{desk.url}/api/events/key-vault",
        data=json.dumps([event]).encode(),
        headers={
            "Content-Type": "application/json",
            "aeg-event-type": "Notification",
            "Authorization": basic_authorization(WEBHOOK_USER, WEBHOOK_PASSWORD),
        },
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as answer:
        if json.loads(answer.read()).get("recorded") != 1:
            raise DeskError("a delivered event was quarantined")


def _subscription(desk: Desk) -> str:
    document = desk.call("GET", "/api/v1/settings/key-vault-events/default")
    entry: Any = next(one for one in document["document"]["allowed_vaults"] if one["name"] == "acorn-vault")
    return str(entry.get("resource_id", "/subscriptions/any")).split("/")[2]


def _try(failures: Counter[str], what: str, act: Callable[..., object], *arguments: Any) -> None:
    try:
        act(*arguments)
    except (DeskError, OSError) as error:
        failures[f"{what}: {re.sub(r'[0-9a-f]{6,}|[0-9]+', '…', str(error))[:160]}"] += 1


def _quiet(desk: Desk, failures: Counter[str]) -> None:
    """Wait until no run is open any more."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if all(run["finished_at"] for run in desk.call("GET", "/api/v1/runs?limit=200")["items"]):
            return
        time.sleep(1)
    failures["a run is open two minutes after the end"] += 1


def _sample(desk: Desk, seconds: float) -> Sample:
    processes = _tree(desk.host.process_id or 0)
    memory = handles = 0
    for process in processes:
        try:
            status = Path(f"/proc/{process}/status").read_text()
            found = re.search(r"VmRSS:\s+(\d+) kB", status)
            memory += int(found[1]) if found else 0
            handles += sum(1 for _ in Path(f"/proc/{process}/fd").iterdir())
        except OSError:
            # It ended between the two looks.
            continue
    return Sample(seconds, memory / 1024, handles, len(processes))


def _tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = [], [root]
    while waiting:
        process = waiting.pop()
        found.append(process)
        waiting += children.get(process, [])
    return found
