"""Sweeps and known vaults over HTTP."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator

from functions.schemas.shapes import Answer, Body

MOST_SWEPT = 100
VaultName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,127}$")]


class SweepRequest(Body):
    """Which vaults: some by name, or all that have a store."""

    vaults: Literal["all"] | Annotated[list[VaultName], Field(min_length=1, max_length=MOST_SWEPT)] = Field(
        description="Names of allowed vaults, or `all`."
    )

    @field_validator("vaults", mode="before")
    @classmethod
    def _all_or_names(cls, value: object) -> object:
        # One sentence instead of the faults of both forms.
        names = value if isinstance(value, list) else []
        if value != "all" and not (0 < len(names) <= MOST_SWEPT and all(isinstance(name, str) for name in names)):
            raise ValueError(f'must be "all", or a list of 1 to {MOST_SWEPT} names of vaults')
        return value


class SweepAnswer(Answer):
    """A sweep. `done` counts the vaults that it came to, `failed` those of them that it could not read to the end."""

    id: str
    state: Literal["running", "finished", "unfinished"] = Field(
        description="`unfinished`: a day was not enough; the next sweep goes on with what is left."
    )
    started_at: datetime
    started_by: str
    vaults: Literal["all"] | list[str]
    done: int
    failed: int
    last_at: datetime | None = Field(description="When it came to the last vault so far.")


class SweepPage(Answer):
    """Newest first."""

    items: list[SweepAnswer]
    next: str | None


class VaultReportAnswer(Answer):
    """What the sweep has to tell of a vault, or of a store whose vaults it could not list."""

    vault: str = Field(description="The vault's name; with `not_listed` the name of the credential store.")
    what: str = Field(description="`refused`, `added`, `vanished` or `not_listed`.")
    reason: str = Field(description="Empty for a vault that was added.")
    message: str


class SweepWithReport(SweepAnswer):
    """A sweep, and a page of what it has to tell of single vaults."""

    items: list[VaultReportAnswer]
    next: str | None


class VaultAnswer(Answer):
    """A vault that the desk knows. `reason` is null when its last sweep read it to its end."""

    name: str
    store: str | None = Field(description="The credential store that lists it; null for a vault that is not swept.")
    site: str | None
    owner: str | None
    resource_id: str | None = Field(description="As an event, the settings or Azure say it.")
    first_seen_at: datetime
    last_event_at: datetime | None = Field(description="To the hour; only of a vault that a pattern allows.")
    tried_at: datetime | None = Field(description="When the last sweep came to it.")
    swept_at: datetime | None = Field(description="When a sweep last read it to its end.")
    vanished_at: datetime | None = Field(
        description="When Azure did not list it any more, and it did not answer. It is not swept from then on."
    )
    objects: int
    near_or_past_expiry: int
    gone: int
    reason: str | None
    message: str


class VaultPage(Answer):
    items: list[VaultAnswer]
    next: str | None
