"""What all settings documents share: unknown fields refused, text trimmed, nothing changed after reading."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints

from shared.access.roles import Role
from shared.errors import Fault
from shared.hosts import HostUse

# Names of documents are row keys and parts of addresses.
DOCUMENT_NAME = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
NAME_PATTERN = re.compile(DOCUMENT_NAME)

DocumentName = Annotated[str, StringConstraints(pattern=DOCUMENT_NAME)]


def _only_text(value: Any) -> Any:
    # YAML reads an unquoted 012345670123 as another number; guessing it back would import a stranger's account.
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError("must be text: put it in quotes")  # noqa: TRY004 - pydantic turns ValueError into a fault
    return value


Text = Annotated[str, BeforeValidator(_only_text), StringConstraints(strip_whitespace=True, min_length=1)]
ShortText = Annotated[Text, StringConstraints(max_length=200)]


class Document(BaseModel):
    """Base of every document and of every part of one."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        str_strip_whitespace=True,
        hide_input_in_errors=True,
        # A kind's checks are built with its first document (under a lock, from pydantic 2.14 on): a cold worker knows
        # all kinds, and reads two.
        defer_build=True,
    )


def standing_twice(names: Iterable[str]) -> list[str]:
    """Those that stand more than once, in order. In one pass: a document may hold many."""
    return sorted(name for name, times in Counter(names).items() if times > 1)


@dataclass(frozen=True)
class Reference:
    """A document names another one: where (`default_site`), and which."""

    path: str
    kind: str
    name: str


class SettingsDocument(Document):
    """Base of the documents that are stored under a name of their own."""

    kind: ClassVar[str]
    # What stops when its credential does, as `EC2 import of tenant {name}`. Empty for a kind that names no credential.
    credential_use: ClassVar[str] = ""
    # Who may write it. Kinds that name no credential, host, destination or access say that an operator may.
    writable_by: ClassVar[Role] = Role.ADMINISTRATOR

    def references(self) -> Sequence[Reference]:
        """The documents that must exist for this one, and cannot be removed while it does."""
        return ()

    def host_uses(self) -> Sequence[HostUse]:
        """The hosts that a secret or a token of this document is sent to."""
        return ()

    def check_change(self, before: "SettingsDocument") -> Sequence[Fault]:  # noqa: ARG002 - kinds that mind override it
        """What may not change once it is stored; `before` is an earlier document of the same kind."""
        return ()

    def check_use(self, kind: str, name: str) -> str | None:  # noqa: ARG002 - kinds that mind override it
        """Why the document kind/name may not name this one; None when it may."""
        return None

    def check_kinds(self, kinds: Iterable[type["SettingsDocument"]]) -> Sequence[Fault]:  # noqa: ARG002 - as above
        """Faults of a document that names kinds: those that there are not."""
        return ()

    def check_name(self, name: str) -> Sequence[Fault]:  # noqa: ARG002 - kinds that mind override it
        """What the name must be, beyond being one."""
        return ()
