"""Pages by EC2's rules: 5 to 1,000 instances, tokens opaque to the client, rendered once and kept compressed."""

import base64
import hashlib
import hmac
import itertools
import json
import threading
import uuid
import zlib
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from lab.emulators.ec2.filters import Filter, compile_filters, read_filters
from lab.emulators.ec2.instance_xml import describe_instances
from lab.emulators.ec2.records import Record, Records
from lab.emulators.ec2.refusals import RefusalError
from lab.emulators.ec2.regions import numbered

LEAST, MOST = 5, 1_000
_TOKEN_KEY = b"the lab's tokens are opaque to others, and the same at every start"
_KEPT_BYTES = 256 * 1024 * 1024
_GZIP = 31  # zlib's word for the gzip format


@dataclass(frozen=True)
class Query:
    """What a request asks for. `page` counts from 1; `after` is the last sequence number already shown."""

    limit: int | None
    instance_ids: tuple[str, ...]
    filters: tuple[Filter, ...]
    page: int
    after: int


@dataclass(frozen=True)
class Page:
    """A rendered answer, gzip-compressed; `count` instances."""

    compressed: bytes
    count: int


def read_query(form: Mapping[str, str], epoch: int) -> Query:
    """The query of a DescribeInstances request; raises what EC2 refuses. Tokens of an earlier `epoch` have expired."""
    instance_ids = tuple(numbered(form, "InstanceId"))
    text = form.get("MaxResults")
    if text is not None:
        if instance_ids:
            raise RefusalError(
                "InvalidParameterCombination", "The parameter instancesSet cannot be used with the parameter maxResults"
            )
        if not text.isascii() or not text.isdigit() or not LEAST <= int(text) <= MOST:
            raise RefusalError(
                "InvalidParameterValue",
                f"Value ( {text} ) for parameter maxResults is invalid. Expecting a value between {LEAST} and {MOST}.",
            )
    for instance_id in instance_ids:
        if not instance_id.startswith("i-"):
            raise RefusalError("InvalidInstanceID.Malformed", f'Invalid id: "{instance_id}"')
    filters = read_filters(form)
    page, after = 1, 0
    if token := form.get("NextToken"):
        page, after = _open_token(token, filters, epoch)
    return Query(int(text) if text else None, instance_ids, filters, page, after)


class Pages:
    """Renders pages, and keeps what it rendered until the instances change or room is needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Page] = OrderedDict()
        self._bytes = 0

    def page(self, account: str, region: str, records: Records, query: Query, epoch: int) -> Page:
        key = (account, region, records.version, query, epoch)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        page = _render(account, region, records, query, epoch)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = page
                self._bytes += len(page.compressed)
            while self._bytes > _KEPT_BYTES and len(self._kept) > 1:
                self._bytes -= len(self._kept.popitem(last=False)[1].compressed)
        return page


def _render(account: str, region: str, records: Records, query: Query, epoch: int) -> Page:
    wanted = compile_filters(query.filters, account, region)
    ids = set(query.instance_ids)
    meant = (
        (sequence, record)
        for sequence, record in records.after(query.after)
        if (not ids or record.instance_id in ids) and wanted(record)
    )
    # Without MaxResults the newer accounts get pages too. One more than shown tells whether there is a next page.
    limit = query.limit or MOST
    found = list(itertools.islice(meant, None if ids else limit + 1))
    if ids and (missing := ids - {record.instance_id for _, record in found}) and not query.filters:
        raise _unknown(sorted(missing))
    shown, more = (found, False) if ids else (found[:limit], len(found) > limit)
    token = _token(query.page + 1, shown[-1][0], query.filters, epoch) if more else None
    body = describe_instances(account, region, _by_reservation(shown), token, str(uuid.uuid4()))
    return Page(zlib.compress(body, 6, _GZIP), len(shown))


def _by_reservation(shown: list[tuple[int, Record]]) -> list[Record]:
    grouped: dict[str, list[Record]] = {}
    for _, record in shown:
        grouped.setdefault(record.reservation_id, []).append(record)
    return [record for group in grouped.values() for record in group]


def _unknown(missing: list[str]) -> RefusalError:
    named = ", ".join(missing)
    if len(missing) == 1:
        return RefusalError("InvalidInstanceID.NotFound", f"The instance ID '{named}' does not exist")
    return RefusalError("InvalidInstanceID.NotFound", f"The instance IDs '{named}' do not exist")


def _token(page: int, after: int, filters: tuple[Filter, ...], epoch: int) -> str:
    claims = json.dumps([page, after, _fingerprint(filters), epoch]).encode()
    return base64.urlsafe_b64encode(hmac.digest(_TOKEN_KEY, claims, "sha256")[:16] + claims).decode().rstrip("=")


def _open_token(token: str, filters: tuple[Filter, ...], epoch: int) -> tuple[int, int]:
    try:
        sealed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except ValueError:
        sealed = b""
    seal, claims = sealed[:16], sealed[16:]
    if not hmac.compare_digest(seal, hmac.digest(_TOKEN_KEY, claims, "sha256")[:16]):
        raise RefusalError("InvalidParameterValue", "Unable to parse pagination token")
    page, after, fingerprint, made_in = json.loads(claims)
    if made_in != epoch:
        raise RefusalError("InvalidNextToken", "The token has expired.")
    if fingerprint != _fingerprint(filters):
        raise RefusalError("InvalidNextToken", "The token was made for a request with other parameters.")
    return page, after


def _fingerprint(filters: tuple[Filter, ...]) -> str:
    return hashlib.sha256(repr(filters).encode()).hexdigest()[:12]
