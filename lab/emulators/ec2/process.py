"""The EC2 emulator in a process of its own, so that what measures a reader does not measure the emulator."""

import json
import urllib.request
from collections.abc import Mapping
from typing import Any, Self

from lab.emulators.ec2.accounts import ACORN, LONDON, Credentials
from lab.emulators.ec2.faults import Kind
from lab.emulators.ec2.server import Place
from lab.emulators.startable import ServingProcess, Startable


class EC2Process(Startable):
    """`with EC2Process({(ACORN, LONDON): 100_000}) as lab: lab.prepare()`. It ends when its owner does."""

    def __init__(self, instances: Mapping[Place, int] | None = None, *, seed: int = 1) -> None:
        self._instances = dict(instances or {(ACORN, LONDON): 100})
        self._seed = seed
        self._process: ServingProcess | None = None
        self.url = ""

    def start(self) -> Self:
        wanted = [f"--instances={account}/{region}={count}" for (account, region), count in self._instances.items()]
        self._process = ServingProcess("lab.emulators.ec2", "--until-stdin-closes", f"--seed={self._seed}", *wanted)
        self.url = self._process.url
        return self

    def stop(self) -> None:
        process, self._process = self._process, None
        if process:
            process.stop()

    @property
    def process_id(self) -> int:
        assert self._process is not None, "the EC2 emulator is not started"
        return self._process.process_id

    def environment(self) -> dict[str, str]:
        services = {f"AWS_ENDPOINT_URL_{service}": self.url for service in ("EC2", "STS", "ORGANIZATIONS")}
        return {**services, "AWS_EC2_METADATA_DISABLED": "true"}

    def credentials(self) -> Credentials:
        return Credentials()

    def prepare(self, page_size: int = 1_000) -> int:
        """Render all pages of this size now, some ten seconds for 100,000 instances; returns their number."""
        return int(self._control("prepare", page_size=page_size))

    def advance(
        self,
        changed_percent: float = 1,
        gone_percent: float = 0,
        added: int = 0,
        account: str = ACORN,
        region: str = LONDON,
    ) -> None:
        self._control(
            "advance",
            changed_percent=changed_percent,
            gone_percent=gone_percent,
            added=added,
            account=account,
            region=region,
        )

    def script(self, kind: Kind, **options: object) -> None:
        """As EC2Lab.script, without `run`."""
        self._control("script", kind=kind, **options)

    def limit_rate(self, requests_per_second: float | None, burst: int = 1) -> None:
        self._control("limit_rate", requests_per_second=requests_per_second, burst=burst)

    def deny(self, action: str, account: str = ACORN, region: str = "*") -> None:
        self._control("deny", action=action, account=account, region=region)

    def expire_tokens(self) -> None:
        self._control("expire_tokens")

    def clear(self) -> None:
        """End all scripts, rates and denials."""
        self._control("clear")

    def journal(self, *, forget: bool = False) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._control("journal", forget=forget)
        return found

    def _control(self, what: str, **given: object) -> Any:
        request = urllib.request.Request(f"{self.url}/_lab/{what}", json.dumps(given).encode(), method="POST")  # noqa: S310 - our own loopback address
        # An opener without proxies: the machine's settings must not lead away from loopback.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=300) as response:
            return json.load(response)["result"]
