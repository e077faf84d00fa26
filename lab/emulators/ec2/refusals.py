"""AWS refusals in the two XML shapes that boto3 parses, with the status codes that the services use."""

import uuid
from dataclasses import dataclass
from typing import Literal
from xml.sax.saxutils import escape

Service = Literal["ec2", "sts", "organizations"]

_STATUS = {
    "AuthFailure": 401,
    "RequestExpired": 400,
    "UnauthorizedOperation": 403,
    "OptInRequired": 403,
    "Blocked": 403,
    "PendingVerification": 403,
    "AccessDenied": 403,
    "InvalidClientTokenId": 403,
    "SignatureDoesNotMatch": 403,
    "ExpiredToken": 403,
    "RegionDisabledException": 403,
    "DryRunOperation": 412,
    "RequestLimitExceeded": 503,
    "Throttling": 400,
    "InternalError": 500,
    "InternalFailure": 500,
    "Unavailable": 503,
    "ServiceUnavailable": 503,
}


@dataclass
class RefusalError(Exception):
    """A request that AWS would refuse, with the code that clients branch on."""

    code: str
    message: str

    @property
    def status(self) -> int:
        return _STATUS.get(self.code, 400)

    def body(self, service: Service) -> bytes:
        code, message, request_id = escape(self.code), escape(self.message), uuid.uuid4()
        if service == "ec2":
            text = (
                f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
                f"<RequestID>{request_id}</RequestID></Response>"
            )
        else:
            text = (
                '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
                f"<Code>{code}</Code><Message>{message}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
            )
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()


def auth_failure() -> RefusalError:
    """A key that EC2 does not know, or a region that the account has not opted in to: EC2 says the same to both."""
    return RefusalError("AuthFailure", "AWS was not able to validate the provided access credentials")


def throttled() -> RefusalError:
    return RefusalError("RequestLimitExceeded", "Request limit exceeded.")


def opt_in_required() -> RefusalError:
    return RefusalError(
        "OptInRequired",
        "You are not subscribed to this service. Please go to http://aws.amazon.com to subscribe.",
    )


def unauthorized_operation(arn: str, action: str, encoded: str = "") -> RefusalError:
    """EC2's refusal by policy; with the encoded message that only sts:DecodeAuthorizationMessage can read."""
    message = (
        f"You are not authorized to perform this operation. User: {arn} is not authorized to perform: ec2:{action} "
        f"because no identity-based policy allows the ec2:{action} action"
    )
    return RefusalError(
        "UnauthorizedOperation", f"{message}. Encoded authorization failure message: {encoded}" if encoded else message
    )


def access_denied(arn: str, action: str, resource: str) -> RefusalError:
    return RefusalError("AccessDenied", f"User: {arn} is not authorized to perform: {action} on resource: {resource}")
