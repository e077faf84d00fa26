"""The EC2 emulator as a part of the lab: start, stop, what it holds, and how to make it refuse."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler
from typing import Any, Self, Unpack
from urllib.parse import urlsplit

from lab.emulators.ec2 import accounts
from lab.emulators.ec2.accounts import ACORN, LONDON, Credentials
from lab.emulators.ec2.faults import Kind, Script, ScriptOptions
from lab.emulators.ec2.identity import Directory, Signed
from lab.emulators.ec2.organizations import Member, OrganizationTree
from lab.emulators.ec2.records import Generated, Generation, Listed, Record, Records
from lab.emulators.ec2.service import Answer, Call, Ec2Service
from lab.emulators.ports import LOOPBACK
from lab.emulators.startable import KeepAliveServer, ServingThread, Startable, reset

Place = tuple[str, str]  # account and region


class EC2Lab(Startable):
    """EC2, STS and Organizations on one loopback port, in this process: for tests.

    `process` runs it beside, for measuring.

    `instances` says how many made-up instances an account and region holds; where it says nothing, `put` fills in.
    `regions` are those that the accounts have enabled: another partition is its regions, and keys and roles added to
    the directory. Port 0 takes any free one.
    """

    def __init__(
        self,
        instances: Mapping[Place, int] | None = None,
        *,
        port: int = 0,
        seed: int = 1,
        regions: tuple[str, ...] = accounts.REGIONS,
        not_opted_in: tuple[str, ...] = accounts.NOT_OPTED_IN,
    ) -> None:
        counts = {(ACORN, LONDON): 100} if instances is None else dict(instances)
        records: dict[Place, Records] = {
            (account, region): Generated(account, region, counts[account, region], seed)
            if (account, region) in counts
            else Listed()
            for account in accounts.ACCOUNTS
            for region in regions
        }
        self._wanted_port = port
        tree = OrganizationTree((ACORN,))
        tree.put(Member(ACORN, "Acorn Construction"), Member(accounts.ST_JOHNS, "St Johns High School"))
        self.service = Ec2Service(accounts.directory(), records, regions, not_opted_in, tree)
        self._serving: ServingThread | None = None

    def start(self) -> Self:
        self._serving = ServingThread(_Server((LOOPBACK, self._wanted_port), self))
        return self

    def stop(self) -> None:
        """Stop serving, waking whatever is slow. Safe to call twice."""
        self.service.faults.clear()
        serving, self._serving = self._serving, None
        if serving:
            serving.stop()

    @property
    def port(self) -> int:
        assert self._serving is not None, "the EC2 emulator is not started"
        return self._serving.port

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def environment(self) -> dict[str, str]:
        """The settings that lead an unchanged boto3 here."""
        services = {f"AWS_ENDPOINT_URL_{service}": self.url for service in ("EC2", "STS", "ORGANIZATIONS")}
        return {**services, "AWS_EC2_METADATA_DISABLED": "true"}

    def credentials(self) -> Credentials:
        return Credentials()

    @property
    def directory(self) -> Directory:
        """The keys and roles: add, revoke, or check web identities with a function of your own."""
        return self.service.directory

    @property
    def organization(self) -> OrganizationTree:
        """The accounts that AWS Organizations lists: put, change and remove them."""
        return self.service.organization

    @property
    def journal(self) -> list[Call]:
        """Every request since the start, in the order they were answered."""
        return self.service.journal

    def put(self, *records: Record, account: str = ACORN, region: str = LONDON) -> None:
        """Add or replace instances of an account and region that is not generated."""
        listed = self._listed(account, region)
        for record in records:
            listed.put(record)

    def remove(self, instance_id: str, account: str = ACORN, region: str = LONDON) -> None:
        self._listed(account, region).remove(instance_id)

    def advance(
        self,
        changed_percent: float = 1,
        gone_percent: float = 0,
        added: int = 0,
        account: str = ACORN,
        region: str = LONDON,
    ) -> None:
        """The generated instances of an account and region change by these shares."""
        records = self.service.records[account, region]
        assert isinstance(records, Generated), f"{account} {region} is not generated"
        records.advance(Generation(changed_percent, gone_percent, added))

    def prepare(self, page_size: int = 1_000) -> int:
        """Render all pages of this size now; returns the number of instances."""
        return self.service.prepare(page_size)

    def script(self, kind: Kind, **options: Unpack[ScriptOptions]) -> Script:
        """Have something go wrong: see `lab.emulators.ec2.faults`. By default with the next request, once."""
        script = Script(kind, **options)
        self.service.faults.add(script)
        return script

    def on_page(self, page: int, action: Callable[[], object]) -> None:
        """Run this just before the given page of a read is answered: the fleet changes while it is read."""
        self.script("call", page=page, action="DescribeInstances", run=action)

    def limit_rate(self, requests_per_second: float | None, burst: int = 1) -> None:
        """RequestLimitExceeded to whoever asks faster; None ends it."""
        self.service.faults.limit(requests_per_second, burst)

    def deny(self, action: str, account: str = ACORN, region: str = "*") -> None:
        """Policy forbids the action from now on: UnauthorizedOperation, or AccessDenied from STS."""
        self.service.denied.add((account, region, action))

    def expire_tokens(self) -> None:
        """Tokens given out so far are not taken any more."""
        self.service.epoch += 1

    def control(self, what: str, given: Mapping[str, Any]) -> object:
        """What another process asks by POST /_lab/<what>. Raises LookupError for what there is not."""
        match what:
            case "advance":
                self.advance(**given)
            case "prepare":
                return self.prepare(**given)
            case "script":
                self.script(**given)
            case "limit_rate":
                self.limit_rate(**given)
            case "deny":
                self.deny(**given)
            case "expire_tokens":
                self.expire_tokens()
            case "clear":
                self.service.faults.clear()
                self.service.denied.clear()
            case "journal":
                result = [asdict(call) for call in self.journal]
                if given.get("forget"):
                    self.journal.clear()
                return result
            case _:
                raise LookupError(what)
        return None

    def _listed(self, account: str, region: str) -> Listed:
        records = self.service.records[account, region]
        assert isinstance(records, Listed), f"{account} {region} is generated: instances cannot be put there"
        return records


class _Server(KeepAliveServer):
    def __init__(self, address: tuple[str, int], lab: EC2Lab) -> None:
        super().__init__(address, _Handler)
        self.lab = lab


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        assert isinstance(self.server, _Server)
        parts = urlsplit(self.path)
        if parts.path.startswith("/_lab/"):
            self._control(self.server.lab, parts.path.removeprefix("/_lab/"), json.loads(body or b"{}"))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._send(self.server.lab.service.answer(Signed("POST", parts.path, parts.query, headers, body)))

    def _send(self, answer: Answer) -> None:
        if answer.broken == "reset":
            reset(self.connection)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        if answer.gzip:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        if answer.broken == "truncated":
            self.wfile.write(answer.body[: len(answer.body) // 2])
            self.close_connection = True
            return
        self.wfile.write(answer.body)

    def _control(self, lab: EC2Lab, what: str, given: dict[str, Any]) -> None:
        try:
            result = lab.control(what, given)
        except LookupError:
            self._send(Answer(404, b"", "text/plain"))
            return
        except (TypeError, ValueError) as error:
            self._send(Answer(400, f"{error}\n".encode(), "text/plain"))
            return
        self._send(Answer(200, json.dumps({"result": result}, default=str).encode(), "application/json"))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Nothing: the journal has it."""
