"""Requests to answers: identity, permission, throttling, faults, then EC2, STS or Organizations. No sockets here."""

import json
import re
import threading
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import parse_qsl

from lab.emulators.ec2 import sts
from lab.emulators.ec2.faults import Faults, Script
from lab.emulators.ec2.identity import AccessKey, Directory, Scope, Signed, read_scope
from lab.emulators.ec2.organizations import JSON_TYPE, TARGET, OrganizationTree, refusal_body
from lab.emulators.ec2.pages import Pages, Query, read_query
from lab.emulators.ec2.records import Records
from lab.emulators.ec2.refusals import (
    RefusalError,
    Service,
    access_denied,
    auth_failure,
    opt_in_required,
    throttled,
    unauthorized_operation,
)
from lab.emulators.ec2.regions import describe_regions

_ENCODED = "3hpQ0wlHnZr7mCz0XbLab-RGVza2JyaWRnZQ-only-sts-DecodeAuthorizationMessage-reads-this"


@dataclass(frozen=True)
class Call:
    """One line of the journal: who asked what of which account and region, and what came of it."""

    at: datetime
    service: Service
    action: str
    account: str
    region: str
    page: int | None
    code: str | None
    fault: str | None
    gzip: bool
    sent_bytes: int
    parameters: Mapping[str, str] = field(compare=False)


@dataclass(frozen=True)
class Answer:
    """What goes over the wire, and how it is to be mangled on the way."""

    status: int
    body: bytes
    content_type: str = "text/xml;charset=UTF-8"
    gzip: bool = False
    broken: Literal["reset", "truncated"] | None = None


@dataclass
class Ec2Service:
    """EC2, STS and Organizations of several accounts. `denied` holds (account, region, action) that policy forbids."""

    directory: Directory
    records: dict[tuple[str, str], Records]
    regions: tuple[str, ...]
    not_opted_in: tuple[str, ...]
    organization: OrganizationTree = field(default_factory=lambda: OrganizationTree(()))
    faults: Faults = field(default_factory=Faults)
    denied: set[tuple[str, str, str]] = field(default_factory=set)
    journal: list[Call] = field(default_factory=list)
    epoch: int = 0
    _pages: Pages = field(default_factory=Pages)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, request: Signed) -> Answer:
        """One request, whatever it is; never raises for what a client sent."""
        scope = read_scope(request.headers.get("authorization", ""))
        service, action, form = _asked(request, scope)
        region = scope.region if scope else ""
        gzip = "gzip" in request.headers.get("accept-encoding", "")
        account, page, script, code = "", None, None, None
        try:
            caller = None if action == "AssumeRoleWithWebIdentity" else self.directory.caller(request, service)
            account = caller.account if caller else ""
            query = read_query(form, self.epoch) if action == "DescribeInstances" else None
            page = query.page if query else None
            script = self.faults.take(account, region, action, page)
            answer = self._serve(caller, service, action, region, form, query, script, gzip=gzip)
        except RefusalError as refusal:
            code = refusal.code
            answer = (
                Answer(refusal.status, refusal_body(refusal), JSON_TYPE)
                if service == "organizations"
                else Answer(refusal.status, refusal.body(service))
            )
        secret_free = {name: value for name, value in form.items() if name != "WebIdentityToken"}
        call = Call(
            datetime.now(UTC),
            service,
            action,
            account,
            region,
            page,
            code,
            script.kind if script else None,
            answer.gzip,
            len(answer.body),
            secret_free,
        )
        with self._lock:
            self.journal.append(call)
        return answer

    def prepare(self, limit: int = 1_000) -> int:
        """Render every page of every region now, so that reading measures the reader; returns the instances."""
        total = 0
        for (account, region), records in self.records.items():
            query: Query | None = read_query({"MaxResults": str(limit)}, self.epoch)
            while query:
                page = self._pages.page(account, region, records, query, self.epoch)
                total += page.count
                token = re.search(rb"<nextToken>([^<]+)</nextToken>", zlib.decompress(page.compressed, 31)[-2_000:])
                following = {"MaxResults": str(limit), "NextToken": token[1].decode()} if token else None
                query = read_query(following, self.epoch) if following else None
        return total

    def _serve(
        self,
        caller: AccessKey | None,
        service: Service,
        action: str,
        region: str,
        form: Mapping[str, str],
        query: Query | None,
        script: Script | None,
        *,
        gzip: bool,
    ) -> Answer:
        if script:
            match script.kind:
                case "refuse":
                    raise _refusal(script, caller, action)
                case "reset":
                    return Answer(0, b"", broken="reset")
                case "html":
                    return Answer(503, b"<html><body><h1>503 Service Unavailable</h1></body></html>", "text/html")
                case "slow":
                    self.faults.cleared.wait(script.seconds)
                case "call" if script.run:
                    script.run()
        if service == "ec2" and caller:
            answer = self._ec2(caller, action, region, form, query, script, gzip=gzip)
        elif service == "organizations" and caller:
            if self._denies(caller.account, region, action):
                raise RefusalError("AccessDeniedException", "You don't have permissions to access this resource.")
            answer = Answer(200, self.organization.answer(caller, action, form), JSON_TYPE)
        else:
            answer = Answer(200, self._sts(caller, action, form))
        if script and script.kind == "truncated":
            return Answer(answer.status, answer.body, gzip=answer.gzip, broken="truncated")
        if script and script.kind == "malformed":
            return Answer(answer.status, _plain(answer)[: len(_plain(answer)) // 2])
        return answer

    def _sts(self, caller: AccessKey | None, action: str, form: Mapping[str, str]) -> bytes:
        if action == "AssumeRoleWithWebIdentity":
            return sts.assume_role_with_web_identity(self.directory, form)
        if action == "AssumeRole" and caller:
            if self._denies(caller.account, "*", action):
                raise access_denied(caller.arn, "sts:AssumeRole", form.get("RoleArn", ""))
            return sts.assume_role(self.directory, caller, form)
        if action == "GetCallerIdentity" and caller:
            return sts.get_caller_identity(caller)
        raise _unknown_action(action)

    def _ec2(
        self,
        caller: AccessKey,
        action: str,
        region: str,
        form: Mapping[str, str],
        query: Query | None,
        script: Script | None,
        *,
        gzip: bool,
    ) -> Answer:
        account = caller.account
        if region not in self.regions:
            raise auth_failure()
        if self.faults.throttled(account, region):
            raise throttled()
        if self._denies(account, region, action):
            raise unauthorized_operation(caller.arn, action, _ENCODED)
        if form.get("DryRun", "").lower() == "true":
            raise RefusalError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
        if action == "DescribeRegions":
            return Answer(200, describe_regions(self.regions, self.not_opted_in, form))
        if query is None:
            raise _unknown_action(action)
        page = self._pages.page(account, region, self.records[account, region], query, self.epoch)
        body = page.compressed
        if script and script.kind == "repeat_token" and (token := form.get("NextToken")):
            body = re.sub(rb"<nextToken>[^<]*<", b"<nextToken>" + token.encode() + b"<", zlib.decompress(body, 31))
            return Answer(200, body)
        return Answer(200, body, gzip=True) if gzip else Answer(200, zlib.decompress(body, 31))

    def _denies(self, account: str, region: str, action: str) -> bool:
        with self._lock:
            return bool({(account, region, action), (account, region, "*"), (account, "*", action)} & self.denied)


def _asked(request: Signed, scope: Scope | None) -> tuple[Service, str, dict[str, str]]:
    """The service, the action and its parameters. Organizations speaks JSON, the others forms."""
    target = request.headers.get("x-amz-target", "")
    if target.startswith(TARGET):
        return "organizations", target.removeprefix(TARGET), json.loads(request.body or b"{}")
    form = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
    form |= parse_qsl(request.query, keep_blank_values=True)
    action = form.get("Action", "")
    return "sts" if action in sts.ACTIONS or (scope and scope.service == "sts") else "ec2", action, form


def _refusal(script: Script, caller: AccessKey | None, action: str) -> RefusalError:
    if script.message is None:
        match script.code:
            case "RequestLimitExceeded":
                return throttled()
            case "AuthFailure":
                return auth_failure()
            case "OptInRequired":
                return opt_in_required()
            case "UnauthorizedOperation":
                return unauthorized_operation(caller.arn if caller else "anonymous", action, _ENCODED)
    return RefusalError(script.code, script.message or f"The lab was told to answer {script.code}.")


def _plain(answer: Answer) -> bytes:
    return zlib.decompress(answer.body, 31) if answer.gzip else answer.body


def _unknown_action(action: str) -> RefusalError:
    return RefusalError("InvalidAction", f"The action {action} is not valid for this web service.")
