"""Texts as cells of a CSV file that no spreadsheet takes for a formula, whatever separator it reads the file with."""

import re
import unicodedata

# A formula begins with one of these. Spreadsheets fold the full-width, small, raised and lowered forms.
_BEGINNINGS = "=+\\-@＝＋－＠﹦﹢﹣﹫⁼⁺⁻₌₊₋−"
# Where a cell may begin: at the beginning, and after what a reader may take for a separator, with quotes or spaces.
# A space is one too, but a dash between two words is no formula.
_CELL_BEGINS = re.compile(rf'((?:^|[;,|:])[\s"]*)(?=[{_BEGINNINGS}])|(\s"*)(?=[{_BEGINNINGS}](?:[^ ]|$))')
# Control, format (such as marks that turn the direction of writing), line and paragraph separators, surrogates.
_TAKEN_OUT = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})


def safe_cell(text: str) -> str:
    """The text without control and format characters, an apostrophe before whatever could begin a formula."""
    if not text.isprintable():
        text = "".join(
            char if unicodedata.category(char) not in _TAKEN_OUT else " " if char.isspace() else "" for char in text
        )
    return _CELL_BEGINS.sub(r"\g<0>'", text)
