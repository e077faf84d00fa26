"""What a few records of a source tell of an import of all."""

from collections.abc import Sequence

from shared.errors import MisconfiguredError
from shared.imports.plan.model import DesiredRecord
from shared.reasons import Reason
from shared.text import few


def refuse_all_errors(records: Sequence[DesiredRecord]) -> None:
    """Raise MisconfiguredError when not one of some living records could be imported: a run of such alone fails."""
    living = [record for record in records if not record.gone]
    if living and all(record.error for record in living):
        raise MisconfiguredError(
            Reason.RECORDS_ALL_REFUSED,
            f"Of the {len(living)} records that were read not one can be imported: {few([living[0].error])}",
            remedy="Look at the mappings: what all have in common is usually one setting.",
        )
