"""Access tokens of each role, in whatever tables the app has at present."""

import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from weakref import WeakKeyDictionary

from shared import bootstrap
from shared.access.roles import Role
from shared.access.tokens import AccessTokens
from shared.errors import AlreadyExistsError
from shared.storage.tables import Tables
from tests.fakes.tables import MemoryTables

_made: WeakKeyDictionary[AccessTokens, dict[str, str]] = WeakKeyDictionary()


def token_of(role: str = "administrator") -> str:
    """A token named `the-<role>`, or a longer name when a former app of the same tables had that. Made once."""
    tokens = bootstrap.access_tokens()
    made = _made.setdefault(tokens, {})
    if role not in made:
        name = f"the-{role}"
        try:
            _, made[role] = tokens.make(name, by="tests", role=Role(role))
        except AlreadyExistsError:
            _, made[role] = tokens.make(f"{name}-{secrets.token_hex(4)}", by="tests", role=Role(role))
        # The use is noted now, so that a test that watches storage sees only what it is about.
        tokens.authenticate(made[role])
    return made[role]


def token_header(role: str = "administrator") -> Mapping[str, str]:
    return {"X-Api-Key": token_of(role)}


def begin_anew(tables: Tables) -> None:
    """Build the app anew over these tables. It knows its tokens, so that what watches the tables sees no call of
    theirs."""
    token_of()
    tokens = bootstrap.access_tokens()
    bootstrap.reset()
    bootstrap.replace("access_tokens", tokens)
    bootstrap.replace("tables", tables)


def tokens_in_memory() -> AccessTokens:
    """For an app that has no tables."""
    return AccessTokens(MemoryTables().table("access"), lambda: datetime.now(UTC), time.monotonic)
