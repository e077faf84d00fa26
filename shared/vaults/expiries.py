"""Secrets of the desk's own that expire, by the date that the vault tells when it gives them."""

from datetime import datetime, timedelta

from shared.conditions import ConditionKind, ConditionReport, over
from shared.reasons import Reason
from shared.vaults.documents.vault_addresses import SecretAddress
from shared.vaults.model import SecretValue
from shared.vaults.remediation import set_secret

_TOLD_BEFORE = timedelta(days=30)


def about_secret(store_name: str, address: SecretAddress) -> str:
    """What the condition is about. Neither names of secrets nor versions hold a dot."""
    return f"secrets/{store_name}.{address.name}.{address.version or 'current'}"


def secret_of(about: str) -> tuple[str, SecretAddress]:
    """Store and secret of what `about_secret` made."""
    rest, _, version = about.partition("/")[2].rpartition(".")
    store_name, _, name = rest.rpartition(".")
    return store_name, SecretAddress(name, "" if version == "current" else version)


def report_of_secret(
    store_name: str, address: SecretAddress, value: SecretValue | None, now: datetime
) -> ConditionReport:
    """That the secret expires soon, or has; or that it does not. None is a secret that is not there any more."""
    kind, about = ConditionKind.SECRET_EXPIRING, about_secret(store_name, address)
    expires_at = None if value is None else value.expires_at
    if value is None or expires_at is None or expires_at - now > _TOLD_BEFORE:
        return over(kind, about, now)
    expired = expires_at <= now
    since = expires_at if expired else expires_at - _TOLD_BEFORE
    hour = now.replace(minute=0, second=0, microsecond=0)
    return ConditionReport(
        kind,
        about,
        since,
        max(since, hour),
        reason=str(Reason.SECRET_EXPIRED if expired else Reason.SECRET_EXPIRES),
        message=f"The secret {value.secret_name} in the vault {value.vault_name}, which the store {store_name} reads, "
        f"{'expired' if expired else 'expires'} at {expires_at:%Y-%m-%d %H:%M} UTC.",
        remedy="Write the new value to value.txt, store that, and delete the file: "
        f"{set_secret(value.vault_name, value.secret_name, '--expires', '<date>')}",
        expires_at=expires_at,
    )
