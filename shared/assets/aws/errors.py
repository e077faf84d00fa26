"""What AWS refuses, in words: for each code what is wrong, and what to do, with the smallest policy that does."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from botocore import exceptions as botocore_errors
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    PaginationError,
    ParamValidationError,
    ResponseStreamingError,
)
from botocore.parsers import ResponseParserError

from shared.errors import DeskbridgeError, MisconfiguredError, TryLaterError
from shared.reasons import Reason


@dataclass(frozen=True)
class AccessContext:
    """What was asked of whom, for a sentence about it. `account` is empty where it is not known yet."""

    account: str
    region: str
    action: str
    caller: str = ""
    role: str = ""

    @property
    def where(self) -> str:
        return f"account {self.account}, {self.region}" if self.account else self.region


@dataclass(frozen=True)
class AwsRefusal:
    """`message` and `remedy` with the fields of an AccessContext in braces."""

    reason: Reason
    message: str
    remedy: str
    passes: bool = False


_UNKNOWN_KEY = AwsRefusal(
    Reason.AWS_ACCESS_KEY_UNKNOWN,
    "AWS does not know the access key ({where}).",
    "Put a valid access key into the credential; a deleted or inactive key looks the same.",
)
_WRONG_SECRET = AwsRefusal(
    Reason.AWS_SECRET_KEY_WRONG,
    "The secret key does not belong to the access key ({where}).",
    "Put the secret that AWS showed with this access key into the credential, without blanks around it.",
)
_EXPIRED = AwsRefusal(
    Reason.AWS_TOKEN_EXPIRED,
    "The temporary keys ran out ({where}).",
    "It is tried again with new ones.",
    passes=True,
)
_SKEWED = AwsRefusal(
    Reason.AWS_CLOCK_SKEWED,
    "AWS finds the request's time wrong ({where}).",
    "Set the clock of the machine; in Azure it is right, and it is tried again.",
    passes=True,
)
_DENIED = AwsRefusal(
    Reason.AWS_PERMISSION_MISSING,
    "{caller_or_key} may not call {action} ({where}).",
    "Attach this policy to it, and look for a service control policy that denies the region: {policy}",
)
_REGION_DENIED = AwsRefusal(
    Reason.AWS_REGION_DENIED,
    "A policy denies {caller_or_key} the call {action} explicitly ({where}).",
    "Leave the region out: with except_regions, or by naming the others in regions. Or allow it in the service control "
    "policy, permissions boundary or IAM policy that denies it: another policy that allows it changes nothing.",
)
_DISABLED = AwsRefusal(
    Reason.AWS_REGION_DISABLED,
    "The region {region} is not enabled for the account {account_or_its}, or its policies deny it.",
    "Enable the region in the account, or take it off the tenant's regions.",
)
_BLOCKED = AwsRefusal(
    Reason.AWS_ACCOUNT_BLOCKED,
    "AWS has blocked the account {account_or_its}.",
    "Ask AWS Support; the account's billing page says why.",
)
_FILTER = AwsRefusal(
    Reason.AWS_FILTER_REFUSED,
    "EC2 does not accept the instance filters ({where}).",
    "Correct the tenant's filters: names as in the EC2 API reference of DescribeInstances.",
)
_THROTTLED = AwsRefusal(
    Reason.AWS_THROTTLED,
    "AWS throttles the account's requests ({where}).",
    "It is tried again by itself.",
    passes=True,
)
_FAILED = AwsRefusal(
    Reason.AWS_FAILED,
    "AWS failed inside ({where}).",
    "It is tried again by itself.",
    passes=True,
)
_BROKEN = AwsRefusal(
    Reason.AWS_ANSWER_BROKEN,
    "EC2's answer broke off, was too large, or its pages did not go on ({where}).",
    "It is read again from the beginning by itself.",
    passes=True,
)
_ROLE = AwsRefusal(
    Reason.AWS_ROLE_REFUSED,
    "The role {role} may not be assumed.",
    "The role's trust policy must name the caller, with the external id if there is one, and the caller must be "
    "allowed: {policy}",
)
_ORGANIZATION = AwsRefusal(
    Reason.AWS_ORGANIZATION_REFUSED,
    "AWS Organizations does not answer {caller_or_key} ({action}; {where}).",
    "Ask from the management account or a delegated administrator of AWS Organizations, with this policy: {policy}",
)
_WEB_IDENTITY = AwsRefusal(
    Reason.AWS_WEB_IDENTITY_REFUSED,
    "AWS does not take the managed identity's token for the role {role}.",
    "The account needs an identity provider for the Entra tenant's issuer with the audience of the tenant document, "
    "and the role's trust policy must name it with the identity's object id as `sub`.",
)

# Codes that pass: all that botocore itself tries again (`retries/standard.py`, `data/_retry.json`), where the queue
# goes on when it gives up, and those of AWS's pages "Error codes for the Amazon EC2 API" and "Common error types".
# What ends in `.NotFound` is judged below.
_PASSING: Mapping[AwsRefusal, str] = {
    _THROTTLED: "Throttling ThrottlingException ThrottledException RequestThrottledException RequestThrottled SlowDown "
    "TooManyRequestsException ProvisionedThroughputExceededException RequestLimitExceeded BandwidthLimitExceeded "
    "LimitExceededException EC2ThrottledException TransactionInProgressException PriorRequestNotComplete "
    "Client.RequestLimitExceeded RequestRateTooHigh",
    _FAILED: "RequestTimeout RequestTimeoutException IDPCommunicationError InternalError InternalFailure "
    "InternalServiceError InternalServerError ServerInternal ServiceException ServiceFailure Unavailable "
    "ServiceUnavailable ServiceUnavailableException",
    _BROKEN: "InvalidNextToken InvalidPaginationToken ExpiredNextToken ExpiredPaginationToken NextTokenExpired",
    _EXPIRED: "ExpiredToken ExpiredTokenException RequestExpired",
    _SKEWED: "RequestTimeTooSkewed RequestInTheFuture",
}
CODES: Mapping[str, AwsRefusal] = {
    **{code: refusal for refusal, codes in _PASSING.items() for code in codes.split()},
    "AuthFailure": _UNKNOWN_KEY,
    "InvalidClientTokenId": _UNKNOWN_KEY,
    "UnrecognizedClientException": _UNKNOWN_KEY,
    "SignatureDoesNotMatch": _WRONG_SECRET,
    "InvalidSignatureException": _WRONG_SECRET,
    "IncompleteSignature": _WRONG_SECRET,
    "UnauthorizedOperation": _DENIED,
    "AccessDenied": _DENIED,
    "AccessDeniedException": _DENIED,
    "AWSOrganizationsNotInUseException": _ORGANIZATION,
    "OptInRequired": _DISABLED,
    "RegionDisabledException": _DISABLED,
    "Blocked": _BLOCKED,
    "PendingVerification": _BLOCKED,
    "InvalidParameterValue": _FILTER,
    "FilterLimitExceeded": _FILTER,
    "InvalidIdentityToken": _WEB_IDENTITY,
    "IDPRejectedClaim": _WEB_IDENTITY,
}
_REFUSED_KEYS = frozenset({Reason.AWS_ACCESS_KEY_UNKNOWN, Reason.AWS_SECRET_KEY_WRONG})


def classify(error: Exception, context: AccessContext) -> DeskbridgeError:
    """The refusal of the product's own that an error of botocore is."""
    if isinstance(error, ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        return _to_error(_refusal_of(code, error, context), context, code)
    if isinstance(error, ResponseParserError | PaginationError | IncompleteReadError | ResponseStreamingError):
        return _to_error(_BROKEN, context, type(error).__name__)
    if isinstance(error, HTTPClientError | botocore_errors.ConnectionError):
        return _unreachable(error, context)
    if isinstance(error, ParamValidationError):
        return _to_error(_FILTER, context, "")
    if isinstance(error, BotoCoreError):
        return MisconfiguredError(
            Reason.AWS_FAILED,
            f"{context.action} could not be asked ({context.where}): {type(error).__name__}.",
            remedy="Look at the tenant's regions and partition.",
        )
    raise error


def refused_key(error: DeskbridgeError) -> bool:
    """Whether the key itself was refused, so that a newer one in the vault may help."""
    return error.reason in _REFUSED_KEYS


def smallest_policy(action: str, role: str = "") -> str:
    """The smallest IAM policy that allows the action."""
    resource = role if action == "sts:AssumeRole" else "*"
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _refusal_of(code: str, error: ClientError, context: AccessContext) -> AwsRefusal:
    if context.action.startswith("sts:AssumeRole") and CODES.get(code) is _DENIED:
        return _WEB_IDENTITY if context.action == "sts:AssumeRoleWithWebIdentity" else _ROLE
    if context.action.startswith("organizations:") and CODES.get(code) is _DENIED:
        return _ORGANIZATION
    if context.action == "ec2:DescribeInstances" and CODES.get(code) is _DENIED and _is_explicit(error):
        return _REGION_DENIED
    # In a region that is not opted in EC2 does not know the keys, though STS has just accepted them.
    if code in {"AuthFailure", "UnrecognizedClientException"} and context.action.startswith("ec2:") and context.caller:
        return _DISABLED
    if code in CODES:
        return CODES[code]
    if context.action == "ec2:DescribeInstances" and code.endswith(".NotFound"):
        # Nobody named a thing: what EC2 misses went while it put its page together.
        return _BROKEN
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return _THROTTLED
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _FAILED
    return AwsRefusal(
        Reason.AWS_FAILED, f"AWS refused {{action}} ({{where}}): {code}.", "Look the code up in the EC2 API reference."
    )


def _is_explicit(error: ClientError) -> bool:
    """Whether AWS says that a policy denies it, and not only that none allows it."""
    return "explicit deny" in str(error.response.get("Error", {}).get("Message", "")).lower()


def _to_error(refusal: AwsRefusal, context: AccessContext, code: str) -> DeskbridgeError:
    words = {
        "where": f"{context.where}{f', {code}' if code else ''}",
        "region": context.region,
        "account_or_its": context.account or "of the access key",
        "action": context.action,
        "role": context.role,
        "caller_or_key": context.caller or "The access key",
        "policy": smallest_policy(context.action, context.role),
    }
    message, remedy = refusal.message.format(**words), refusal.remedy.format(**words)
    if refusal.passes:
        return TryLaterError(refusal.reason, message, remedy=remedy)
    return MisconfiguredError(refusal.reason, message, remedy=remedy)


def _unreachable(error: Exception, context: AccessContext) -> DeskbridgeError:
    return TryLaterError(
        Reason.AWS_UNREACHABLE,
        f"AWS does not answer in {context.region} ({type(error).__name__}).",
        remedy="It is tried again by itself; if it lasts, look whether the region's name is right and reachable.",
    )
