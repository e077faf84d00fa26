"""Plan entries as they are made, and the words in them."""

from collections.abc import Sequence

from shared.imports.plan.model import Action, DesiredRecord, ExistingRecord, PlanEntry
from shared.records.columns import field_of
from shared.records.model import FieldChange, Values


def plan_entry(
    wanted: DesiredRecord,
    action: Action,
    code: str,
    message: str,
    present: ExistingRecord | None = None,
    assign: Values | None = None,
    differences: tuple[FieldChange, ...] = (),
    *,
    done: bool = False,
) -> PlanEntry:
    """An entry about a record of the source."""
    return PlanEntry(
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


def label_of(present: ExistingRecord) -> str:
    """What a person calls the record."""
    return present.row.text("f_name") or present.row.text("source_id") or present.row.row_key


def id_of(row_key: str, present: ExistingRecord) -> str:
    """The source's id of a row's record."""
    return (present.link or present.row).text("source_id") or row_key


def named(present: ExistingRecord) -> str:
    """The record and where it stands, for a sentence."""
    label = label_of(present)
    return label if label == present.row.row_key else f"{label} ({present.key.partition}, {present.row.row_key})"
