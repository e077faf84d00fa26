"""Readiness over HTTP."""

from typing import Literal

from pydantic import Field

from functions.schemas.shapes import Answer

State = Literal["ready", "degraded", "failing"]


class PartAnswer(Answer):
    """One thing that the desk needs."""

    name: str
    state: State
    message: str
    reason: str = Field(description="A code of docs/errors.md, or empty.")
    remedy: str


class ReadinessAnswer(Answer):
    """`status` is the worst state of all."""

    status: State
    items: list[PartAnswer]
