"""Keys of AWS, and whose they are. Plain values, which no log shows."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class AwsKeys:
    """Keys of a caller; `session_token` for an assumed role."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None

    def __repr__(self) -> str:
        return f"AwsKeys({self.access_key_id[:4]}…)"


@dataclass(frozen=True)
class Caller:
    """Who the keys are, as STS says."""

    account: str
    arn: str


@dataclass(frozen=True)
class RoleSession:
    """Keys that STS has accepted or given, whose they are, and until when that is taken as true."""

    keys: AwsKeys
    caller: Caller
    until: datetime
