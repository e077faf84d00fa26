"""Errors of the table service and of the SDK, as those that `Table` promises."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from azure.core.exceptions import AzureError, ClientAuthenticationError, DecodeError, HttpResponseError

from shared.errors import (
    AlreadyExistsError,
    ChangedMeanwhileError,
    DeskbridgeError,
    MisconfiguredError,
    RowRefusedError,
    TryLaterError,
)
from shared.reasons import Reason
from shared.storage import continuation
from shared.storage.rows import Delete, Operation

# The status for a continuation token that the service does not know; the emulator takes any.
_UNREADABLE = frozenset({400, 414})
# A row that outgrows the table by a merge: nobody who sends a part of a row can know.
_TOO_LARGE = frozenset({"EntityTooLarge", "PropertyValueTooLarge", "TooManyProperties"})
# 409 beside that of a row that is there: TableBeingDeleted, AccountBeingCreated.
_PASSING_STATUS = frozenset({408, 409, 429, 500, 502, 503, 504})


@contextmanager
def translated(table: str, operations: Sequence[Operation] = (), *, continued: bool = False) -> Iterator[None]:
    """Turn errors of the SDK into those of `Table`.

    `operations` are those of the transaction, if it is one. `continued` says that the caller gave a continuation token.
    """
    try:
        yield
    except AzureError as error:
        raise _translate(table, error, operations, continued) from error


def code_of(error: AzureError) -> str:
    """The service's own code of an error, such as `EntityAlreadyExists`; `None` when it gave none."""
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code))


def _translate(table: str, error: AzureError, operations: Sequence[Operation], continued: bool) -> DeskbridgeError:
    code = code_of(error)
    status = getattr(error, "status_code", None)
    if continued and status in _UNREADABLE:
        return continuation.invalid_continuation_token()
    if operations and isinstance(error, HttpResponseError):
        index = getattr(error, "index", 0)
        operation = operations[index] if isinstance(index, int) and index < len(operations) else operations[0]
        row_key = operation.row_key if isinstance(operation, Delete) else operation.row.row_key
        if code == "EntityAlreadyExists":
            return AlreadyExistsError(f"The row {row_key!r} of {table} is there already.", row_key=row_key)
        if code in {"UpdateConditionNotSatisfied", "ConditionNotMet"} or status in {404, 412}:
            return ChangedMeanwhileError(f"The row {row_key!r} of {table} changed meanwhile.", row_key=row_key)
        if code in _TOO_LARGE:
            return RowRefusedError(Reason.STORAGE_LIMIT, f"The row {row_key!r} of {table} would be too large ({code}).")
    if isinstance(error, ClientAuthenticationError) or status in {401, 403}:
        return MisconfiguredError(
            Reason.STORAGE_DENIED,
            f"The storage account refuses access to the table {table} ({code}).",
            remedy="Give the app's identity the role Storage Table Data Contributor on the storage account.",
        )
    # What cannot be read (a body cut off or changed on the way) is no answer, whatever its status.
    unreadable = isinstance(error, DecodeError) or status is None or status < 300
    if isinstance(error, HttpResponseError) and not unreadable and status not in _PASSING_STATUS:
        raise error
    return TryLaterError(
        Reason.STORAGE_UNAVAILABLE,
        f"The table {table} did not answer ({type(error).__name__}{f' {status}' if status else ''}).",
        remedy="The app tries again. If it lasts, check the health of the storage account.",
    )
