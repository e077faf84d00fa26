"""STS as far as an importer needs it: who am I, and the two ways to become someone else."""

import re
import secrets
import uuid
from collections.abc import Mapping
from datetime import timedelta
from xml.sax.saxutils import escape

from lab.emulators.ec2.identity import AccessKey, Directory, Role
from lab.emulators.ec2.refusals import RefusalError

NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
ACTIONS = frozenset({"GetCallerIdentity", "AssumeRole", "AssumeRoleWithWebIdentity"})
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)


def get_caller_identity(caller: AccessKey) -> bytes:
    """Needs no permission."""
    return _response(
        "GetCallerIdentity",
        f"<Arn>{escape(caller.arn)}</Arn><UserId>{escape(caller.user_id)}</UserId><Account>{caller.account}</Account>",
    )


def assume_role(directory: Directory, caller: AccessKey, form: Mapping[str, str]) -> bytes:
    session, seconds = _session(form)
    role = directory.allow_assume(caller, form.get("RoleArn", ""), form.get("ExternalId"))
    return _response("AssumeRole", _become(directory, role, session, seconds))


def assume_role_with_web_identity(directory: Directory, form: Mapping[str, str]) -> bytes:
    """The one action that carries no signature: the token speaks for the caller."""
    session, seconds = _session(form)
    role, claims = directory.allow_web_identity(form.get("RoleArn", ""), form.get("WebIdentityToken", ""))
    subject = f"<SubjectFromWebIdentityToken>{escape(str(claims.get('sub', '')))}</SubjectFromWebIdentityToken>"
    audience = f"<Audience>{escape(str(role.web_identity_audience))}</Audience>"
    return _response("AssumeRoleWithWebIdentity", _become(directory, role, session, seconds) + subject + audience)


def _session(form: Mapping[str, str]) -> tuple[str, int]:
    name, text = form.get("RoleSessionName", ""), form.get("DurationSeconds", "3600")
    if not _SESSION_NAME.fullmatch(name):
        raise RefusalError(
            "ValidationError",
            f"1 validation error detected: Value '{name}' at 'roleSessionName' failed to satisfy constraint",
        )
    if not text.isascii() or not text.isdigit() or not 900 <= int(text) <= 43_200:
        raise RefusalError(
            "ValidationError",
            f"1 validation error detected: Value '{text}' at 'durationSeconds' failed to satisfy constraint",
        )
    return name, int(text)


def _become(directory: Directory, role: Role, session: str, seconds: int) -> str:
    role_id = f"AROA{uuid.uuid5(uuid.NAMESPACE_URL, role.arn).hex[:17].upper()}"
    key = AccessKey(
        f"ASIA{secrets.token_hex(8).upper()}",
        secrets.token_urlsafe(30),
        role.account,
        f"arn:{role.partition}:sts::{role.account}:assumed-role/{role.name}/{session}",
        f"{role_id}:{session}",
        secrets.token_urlsafe(90),
        directory.now().replace(microsecond=0) + timedelta(seconds=seconds),  # the answer gives whole seconds
    )
    directory.add_keys([key])
    assert key.expires_at is not None
    return (
        f"<AssumedRoleUser><AssumedRoleId>{key.user_id}</AssumedRoleId><Arn>{key.arn}</Arn></AssumedRoleUser>"
        f"<Credentials><AccessKeyId>{key.access_key_id}</AccessKeyId>"
        f"<SecretAccessKey>{key.secret_access_key}</SecretAccessKey><SessionToken>{key.session_token}</SessionToken>"
        f"<Expiration>{key.expires_at:%Y-%m-%dT%H:%M:%SZ}</Expiration></Credentials>"
    )


def _response(action: str, result: str) -> bytes:
    return (
        f'<{action}Response xmlns="{NAMESPACE}"><{action}Result>{result}</{action}Result>'
        f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata></{action}Response>"
    ).encode()
