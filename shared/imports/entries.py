"""Plan entries as they are made, and the words in them."""

from collections.abc import Sequence

from shared.imports.columns import field_of
from shared.imports.model import Action, Change, Entry, Present, Values, Wanted


def entry_of(
    wanted: Wanted,
    action: Action,
    code: str,
    message: str,
    present: Present | None = None,
    assign: Values | None = None,
    differences: tuple[Change, ...] = (),
    *,
    done: bool = False,
) -> Entry:
    """An entry about a record of the source."""
    return Entry(
        wanted.id,
        action,
        code,
        message,
        label=wanted.label,
        differences=differences,
        assign=assign or {},
        wanted=wanted,
        present=present,
        done=done,
    )


def kept_sentence(columns: Sequence[str]) -> str:
    """Which values a person holds, as a sentence; empty for none."""
    if not columns:
        return ""
    return f"A person's values stay in {', '.join(sorted(field_of(column) or column for column in columns))}."


def label_of(present: Present) -> str:
    """What a person calls the record."""
    return present.row.text("f_name") or present.row.text("source_id") or present.row.row_key


def id_of(row_key: str, present: Present) -> str:
    """The source's id of a row's record."""
    return (present.link or present.row).text("source_id") or row_key


def named(present: Present) -> str:
    """The record and where it stands, for a sentence."""
    label = label_of(present)
    return label if label == present.row.row_key else f"{label} ({present.key.partition}, {present.row.row_key})"
