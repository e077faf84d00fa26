"""What is wrong with the sweeps of a vault, as a condition of the desk: the last one failed, or none comes any more."""

from datetime import datetime, timedelta

from shared.conditions import ConditionKind, ConditionReport, over
from shared.reasons import Reason
from shared.tickets.inbound.vault_rows import KnownVault

# A sweep comes daily, and takes less than two hours.
SWEEP_EXPECTED_WITHIN = timedelta(hours=26)


def about_vault(name: str) -> str:
    return f"vaults/{name}"


def overdue_at(vault: KnownVault) -> datetime:
    """From when on the vault's next sweep is overdue."""
    return (vault.tried_at or vault.first_seen_at) + SWEEP_EXPECTED_WITHIN


def report_of_vault(vault: KnownVault, now: datetime) -> ConditionReport:
    """That the sweep of the vault does not succeed, or that it does."""
    kind, about = ConditionKind.SWEEP_FAILING, about_vault(vault.name)
    again = f'When that is mended: POST /api/v1/sweeps with {{"vaults": ["{vault.name}"]}}.'
    if not vault.is_swept or vault.reason == Reason.VAULT_NOT_SWEPT:
        return over(kind, about, vault.vanished_at or vault.tried_at or now)
    if now > overdue_at(vault):
        # One back, for a sweep whose end is written just now.
        hour = (now - timedelta(hours=1)).replace(minute=0, second=0, microsecond=0)
        return ConditionReport(
            kind,
            about,
            overdue_at(vault),
            max(overdue_at(vault), hour),
            reason=str(Reason.SWEEP_OVERDUE),
            message=f"No sweep has come to the vault {vault.name} for 26 hours.",
            remedy=f"See whether the functions sweep_vaults and sweep_vault are enabled, and what they log. {again}",
            site=vault.site,
        )
    if not vault.reason or vault.tried_at is None:
        return over(kind, about, vault.tried_at or now)
    return ConditionReport(
        kind,
        about,
        vault.failing_since or vault.tried_at,
        vault.tried_at,
        reason=vault.reason,
        message=f"The last sweep could not read all of the vault {vault.name}: {vault.message}",
        remedy=again,
        site=vault.site,
    )


def tells(before: KnownVault, after: KnownVault) -> bool:
    """Whether a sweep of the vault has anything to report: it failed, or the one before did, or it came late."""
    assert after.tried_at is not None  # noqa: S101 - of a vault that was swept
    return bool(after.reason or before.reason) or after.tried_at > overdue_at(before)
