"""Checks of credential stores and credentials over HTTP. Never a value."""

from datetime import datetime
from typing import Literal, Self

from pydantic import Field, model_validator

from functions.schemas.shapes import Answer, Body
from shared.settings.base import Text
from shared.vaults.documents.credentials import SecretText


class StoreCheck(Body):
    """What to try: the `store` by itself, or a `secret` of it before any document names it."""

    check: Literal["store", "secret"]
    secret: SecretText | None = None
    value_field: Text | None = None
    username_field: Text | None = None
    password_field: Text | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        named = (self.secret, self.value_field, self.username_field, self.password_field)
        if self.check == "store" and any(name is not None for name in named):
            raise ValueError("a check of the store reads no secret: send check: secret, or leave the rest out")
        if self.check == "secret" and self.secret is None:
            raise ValueError("secret is missing: name the one to try")
        return self


class SecretFound(Answer):
    """What may be said about a secret."""

    name: str
    version: str
    length: int = Field(description="In characters.")
    expires_at: datetime | None
    fields: list[str] = Field(description="The names of its fields, when it is a JSON object.")


class CheckAnswer(Answer):
    """The outcome of a check: 200 whether or not it went well, as the check itself was done."""

    ok: bool
    summary: str
    reason: str | None = Field(description="A code of docs/errors.md; null when all is well.")
    remedy: str = Field(description="The command or step that fixes it. Empty when all is well.")
    may_pass: bool = Field(description="Whether the same check may succeed later without anybody doing anything.")
    store: str
    vault: str
    identity: str
    secret: SecretFound | None
    notes: list[str]


class UseAnswer(Answer):
    """A settings document that uses a credential."""

    kind: str
    name: str
    path: str
    what: str


class UsePage(Answer):
    items: list[UseAnswer]
    next: str | None
