"""The identity endpoint, an organization of AWS, STS and EC2. What they hold follows from a seed; nothing is stored."""

import gzip
import json
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

from bench.scale.doors import Answer
from bench.scale.engine import Call, Engine
from lab.emulators.ec2.instance_xml import describe_instances
from lab.emulators.ec2.records import Generated, Generation
from lab.emulators.ec2.regions import describe_regions

IDENTITY_ENDPOINT = "http://identity.example/msi/token"
_KEY = re.compile(r"Credential=ASIA(\d{12})/")
_REGION = re.compile(r"/([a-z]{2}(?:-[a-z]+)+-\d)/")
_STS = "https://sts.amazonaws.com/doc/2011-06-15/"
_SLOW_DOWN = (
    b"<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>Slow down.</Message></Error></Errors>"
    b"<RequestID>1</RequestID></Response>"
)
# Whoever calls before a role is assumed.
BASE_ACCOUNT = "999999999999"
_BETWEEN_ACCOUNTS = 190_000_019
# All that AWS gives in a page.
_LISTED = 20


def account_id(number: int) -> str:
    """The accounts of the organization, from 1. Their ids are all over what twelve digits can be, as those of AWS."""
    return f"{number * _BETWEEN_ACCOUNTS:012}"


def account_number(account: str) -> int:
    """Which one an id is of."""
    return int(account) // _BETWEEN_ACCOUNTS


class Identity:
    """Tokens of the managed identity."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def answer(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        del method, url, headers, body
        self._engine.charge(Call("identity"))
        token = {"access_token": "t", "expires_on": "4102444800", "resource": "any", "token_type": "Bearer"}
        return 200, json.dumps(token).encode(), {"Content-Type": "application/json"}


class Aws:
    """An organization of `accounts`, STS and EC2. `count_of` an account and region says how many instances it has; each
    day some of them change."""

    def __init__(
        self, engine: Engine, accounts: int, count_of: Callable[[str, str], int], changed_percent: float
    ) -> None:
        self._engine = engine
        self._accounts = accounts
        self._count_of = count_of
        self._changed = Generation(changed_percent=changed_percent)
        # What was read the day before is read so again while a part is prepared.
        self.yesterday = False

    def answer(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        del method
        if "organizations." in str(urlsplit(url).hostname):
            return self._organization(json.loads(body or b"{}"))
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        signed = str(headers.get("Authorization", b""))
        found = _KEY.search(signed)
        account = found[1] if found else BASE_ACCOUNT
        if "sts." in str(urlsplit(url).hostname):
            return self._sts(form, account)
        region = _REGION.search(signed)
        assert region is not None, signed
        return self._ec2(form, account, region[1], zipped="gzip" in str(headers.get("Accept-Encoding", "")))

    def _organization(self, asked: Mapping[str, str]) -> Answer:
        if not self._engine.charge(Call("organizations", (("accounts of an organization", "", 1),), _LISTED)):
            return 400, b'{"__type": "TooManyRequestsException", "Message": "Slow down."}', {}
        begin = int(asked.get("NextToken", "1"))
        ends = min(begin + _LISTED, self._accounts + 1)
        listed = [{"Id": account_id(one), "Name": f"account {one}", "State": "ACTIVE"} for one in range(begin, ends)]
        told = {"Accounts": listed, **({"NextToken": str(ends)} if ends <= self._accounts else {})}
        return 200, json.dumps(told).encode(), {"Content-Type": "application/x-amz-json-1.1"}

    def _sts(self, form: Mapping[str, str], account: str) -> Answer:
        if not self._engine.charge(Call("sts", (("requests to STS", account, 1),))):
            return 400, _SLOW_DOWN.replace(b"RequestLimitExceeded", b"Throttling"), {}
        action = form["Action"]
        if action == "GetCallerIdentity":
            inner = f"<Arn>arn:aws:iam::{account}:role/desk</Arn><UserId>U</UserId><Account>{account}</Account>"
        else:
            to = form["RoleArn"].split(":")[4]
            # Keys are used by what botocore takes for now, which is no virtual moment.
            ends = self._engine.now() + timedelta(hours=1)
            inner = (
                f"<AssumedRoleUser><AssumedRoleId>A</AssumedRoleId><Arn>arn:aws:sts::{to}:assumed-role/desk/d</Arn>"
                f"</AssumedRoleUser><Credentials><AccessKeyId>ASIA{to}</AccessKeyId><SecretAccessKey>k</SecretAccessKey>"
                f"<SessionToken>s</SessionToken><Expiration>{ends:%Y-%m-%dT%H:%M:%SZ}</Expiration></Credentials>"
            )
        body = f'<{action}Response xmlns="{_STS}"><{action}Result>{inner}</{action}Result></{action}Response>'
        return 200, body.encode(), {"Content-Type": "text/xml"}

    def _ec2(self, form: Mapping[str, str], account: str, region: str, *, zipped: bool) -> Answer:
        body, rows = self._page(form, account, region)
        if not self._engine.charge(Call("ec2", (("EC2 of an account and region", f"{account} {region}", 1),), rows)):
            return 503, _SLOW_DOWN, {}
        if zipped:
            return 200, gzip.compress(body, 1), {"Content-Type": "text/xml", "Content-Encoding": "gzip"}
        return 200, body, {"Content-Type": "text/xml"}

    def _page(self, form: Mapping[str, str], account: str, region: str) -> tuple[bytes, int]:
        if form["Action"] != "DescribeInstances":
            return describe_regions([region], [], form), 1
        fleet = Generated(account, region, self._count_of(account, region))
        if not self.yesterday:
            fleet.advance(self._changed)
        after, size = int(form.get("NextToken", "0")), int(form["MaxResults"])
        found = [record for number, record in fleet.after(after) if number <= after + size]
        following = str(after + size) if after + size < fleet.count else None
        return describe_instances(account, region, found, following, "r"), len(found)
