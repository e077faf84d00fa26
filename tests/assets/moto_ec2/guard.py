"""What stands before moto: checked signatures, cross-account trust with external ids, and regions that refuse.

moto accepts any key and leaves trust policies of other accounts unread; a product tested against that would be
tested against nothing.
"""

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from moto.sts.models import sts_backends

from lab.emulators.ec2.identity import AccessKey, Directory, Signed, read_scope
from lab.emulators.ec2.organizations import TARGET
from lab.emulators.ec2.refusals import RefusalError, Service, auth_failure
from lab.emulators.ec2.regions import describe_regions

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


@dataclass(frozen=True)
class Call:
    """One request in the journal: who asked what of which account and region, and what was answered."""

    service: str
    action: str
    account: str
    region: str
    parameters: dict[str, str] = field(compare=False)
    code: str | None = None


class Guard:
    """A WSGI layer around moto's application."""

    def __init__(
        self, moto: "WSGIApplication", directory: Directory, regions: Iterable[str], not_opted_in: Iterable[str]
    ) -> None:
        self._moto = moto
        self._directory = directory
        self._regions = tuple(regions)
        self._not_opted_in = tuple(not_opted_in)
        self.refusals: dict[tuple[str, str], Callable[[AccessKey, str], RefusalError]] = {}
        self.journal: list[Call] = []

    def __call__(self, environment: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        length = int(environment.get("CONTENT_LENGTH") or 0)
        body = environment["wsgi.input"].read(length)
        form = dict(parse_qsl(body.decode(), keep_blank_values=True))
        target = environment.get("HTTP_X_AMZ_TARGET", "")
        action = target.removeprefix(TARGET) or form.get("Action", "")
        authorization = environment.get("HTTP_AUTHORIZATION", "")
        scope = read_scope(authorization)
        service: Service = "sts" if action in _STS_ACTIONS or (scope and scope.service == "sts") else "ec2"
        if target:
            service = "organizations"
        region = scope.region if scope else "us-east-1"
        known = self._directory.keys.get(scope.access_key_id) if scope else None
        account = known.account if known else ""
        try:
            account = self._account(environment, form, body, service, region)
        except RefusalError as refusal:
            self.journal.append(Call(service, action, account, region, form, refusal.code))
            return _send(start_response, refusal.status, refusal.body(service))
        self.journal.append(Call(service, action, account, region, form))
        if action == "DescribeRegions":  # moto lists what is not opted in among the enabled
            return _send(start_response, 200, describe_regions(self._regions, self._not_opted_in, form))
        if service == "organizations":
            # moto chooses the service by the host, and all of the fleet's have one.
            environment["HTTP_HOST"] = "organizations.us-east-1.amazonaws.com"
        environment["wsgi.input"] = io.BytesIO(body)
        environment["HTTP_X_MOTO_ACCOUNT_ID"] = account
        answer = list(self._moto(environment, start_response))
        if action.startswith("AssumeRole"):
            self._learn_temporary_keys()
        return answer

    def _account(
        self, environment: "WSGIEnvironment", form: dict[str, str], body: bytes, service: Service, region: str
    ) -> str:
        action = form.get("Action", "")
        if action == "AssumeRoleWithWebIdentity":
            role, _ = self._directory.allow_web_identity(form.get("RoleArn", ""), form.get("WebIdentityToken", ""))
            return role.account
        headers = {
            name[5:].replace("_", "-").lower(): value for name, value in environment.items() if name[:5] == "HTTP_"
        }
        headers["content-type"] = environment.get("CONTENT_TYPE", "")
        request = Signed(
            environment["REQUEST_METHOD"], environment["PATH_INFO"], environment.get("QUERY_STRING", ""), headers, body
        )
        caller = self._directory.caller(request, service)
        if service == "ec2":
            if region not in self._regions:
                raise auth_failure()
            if refuse := self.refusals.get((caller.account, region)):
                raise refuse(caller, action)
        elif action == "AssumeRole":
            self._directory.allow_assume(caller, form.get("RoleArn", ""), form.get("ExternalId"))
        return caller.account

    def _learn_temporary_keys(self) -> None:
        for account in list(sts_backends):
            roles: list[Any] = sts_backends[account]["aws"].assumed_roles
            self._directory.add_keys(
                AccessKey(
                    role.access_key_id,
                    role.secret_access_key,
                    role.account_id,
                    role.arn,
                    session_token=role.session_token,
                    expires_at=role.expiration.replace(tzinfo=UTC),
                )
                for role in roles
                if role.access_key_id not in self._directory.keys
            )


_STS_ACTIONS = {"GetCallerIdentity", "AssumeRole", "AssumeRoleWithWebIdentity", "DecodeAuthorizationMessage"}


def _send(start_response: "StartResponse", status: int, body: bytes) -> list[bytes]:
    start_response(
        f"{status} {HTTPStatus(status).phrase}",
        [("Content-Type", "text/xml;charset=UTF-8"), ("Content-Length", str(len(body)))],
    )
    return [body]
