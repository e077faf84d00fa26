"""What can go wrong, as a small tree: each class says what the caller does next. Anything else raised is a bug."""

from collections.abc import Sequence
from typing import NamedTuple

from shared.reasons import Reason


class Fault(NamedTuple):
    """One fault of a document: where it is (`site_rules.0.criteria.0.operator`) and what is wrong there."""

    path: str
    message: str


def _whole(text: str) -> str:
    # An unpaired surrogate, which another service may have said, can neither be logged nor stored nor answered.
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class DeskbridgeError(Exception):
    """A refusal with its reason.

    `message` is a sentence for a person and never holds a secret; `remedy` says what to do about it; `faults` are the
    single faults of a document, with their paths.
    """

    def __init__(self, reason: Reason, message: str, *, remedy: str = "", faults: Sequence[Fault] = ()) -> None:
        self.reason = reason
        self.message = _whole(message)
        self.remedy = _whole(remedy)
        super().__init__(self.message)
        self.faults = tuple(faults)

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".rstrip()


class InvalidInputError(DeskbridgeError):
    """The caller sent what can never be accepted: send something else."""


class NotAuthorisedError(DeskbridgeError):
    """The caller is a stranger: send the right credential."""


class ForbiddenError(DeskbridgeError):
    """The caller is known and may not do this: somebody else must, or must allow it."""


class MethodNotAllowedError(DeskbridgeError):
    """The endpoint does not answer this method."""


class BodyNotArrivedError(DeskbridgeError):
    """A body was sent and did not arrive: send it with its length."""


class NotFoundError(DeskbridgeError):
    """There is no such thing."""


class ConflictError(DeskbridgeError):
    """The request does not fit the present state: look at it and decide again."""


class AlreadyExistsError(ConflictError):
    """A new row was asked for and one of that key is there."""

    def __init__(self, message: str, *, row_key: str = "", remedy: str = "") -> None:
        super().__init__(Reason.ALREADY_EXISTS, message, remedy=remedy)
        self.row_key = row_key


class ChangedMeanwhileError(ConflictError):
    """Someone else wrote in between (412): read again, decide again."""

    def __init__(self, message: str, *, row_key: str = "", present_version: str = "") -> None:
        super().__init__(
            Reason.CHANGED_MEANWHILE,
            message,
            remedy="Read it again, and send its new ETag in the header If-Match.",
        )
        self.row_key = row_key
        self.present_version = present_version


class TooLargeError(DeskbridgeError):
    """The body or a row is over a stated limit: send less."""


class RowRefusedError(DeskbridgeError):
    """A row that Table Storage would refuse: a bug of the caller, or a value that was not cut to size."""


class TryLaterError(DeskbridgeError):
    """What failed may pass: the same call later can succeed. `retry_after` is in seconds."""

    def __init__(self, reason: Reason, message: str, *, remedy: str = "", retry_after: float | None = None) -> None:
        super().__init__(reason, message, remedy=remedy)
        self.retry_after = retry_after


class MisconfiguredError(DeskbridgeError):
    """Somebody must change a setting, a permission or a far system; then the same call can succeed."""


class PassedOverError(MisconfiguredError):
    """Part of a source that cannot be read, and need not be as long as nothing of the desk's stands there."""
