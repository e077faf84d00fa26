"""No cell of an export is a formula, whatever separator a spreadsheet reads the file with."""

import csv
import io
import unicodedata
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.overview.csv_cells import safe_cell
from shared.overview.exports import csv_heading, csv_line

OUT = {"Cc", "Cf", "Zl", "Zp", "Cs"}
SEPARATORS = (",", ";", "\t", "|", ":", " ")
# What a formula is made of, what a file is made of, what hides one, and some words.
PIECES = st.sampled_from(
    [*"=+-@＝－＠﹣−;,|:\t\r\n \"'\u00a0\u200b\u202e\ufeff\x00\x0b\u2028x1", "cmd|' /C calc'!A0", "=1+1", '"=1']
)
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=12).map("".join))


def cells(text: str, separator: str, **options: Any) -> list[str]:
    """Every cell that a reader finds: by Python's csv, and by splitting alone, which knows no quotes."""
    read = [cell for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator, **options) for cell in row]
    return read + [cell for line in text.splitlines() for cell in line.split(separator)]


def is_formula(cell: str) -> bool:
    shown = unicodedata.normalize("NFKC", cell).replace("−", "-").lstrip('" \t\r\n')
    # A sign alone, as a dash between two words is when a space separates, computes nothing.
    return shown.startswith(("=", "+", "-", "@")) and len(shown) > 1


@pytest.mark.parametrize("separator", SEPARATORS)
@given(rows=st.lists(st.lists(TEXTS, min_size=2, max_size=3), min_size=1, max_size=3))
@example(rows=[['=HYPERLINK("http://evil.example";"x")', "a"]])
@example(rows=[["a;=1+1", "b\t=1+1"], ["c\n=1+1", 'd;"=1+1"']])
@example(rows=[["a - b", "x =1"], ['"', ';"'], ["\u200b=1", ""]])
def test_no_cell_is_a_formula_whatever_separates_them(separator: str, rows: list[list[str]]) -> None:
    names = ["a", "b", "c"]
    text = b"".join(csv_line(dict(zip(names, row, strict=False)), names) for row in rows).decode()
    for options in ({}, {"skipinitialspace": True}, {"quoting": csv.QUOTE_NONE}):
        formulas = [cell for cell in cells(text, separator, **options) if is_formula(cell)]
        assert not formulas


@given(TEXTS)
def test_control_and_format_characters_are_out_and_nothing_else_is_lost(text: str) -> None:
    shown = safe_cell(text)
    assert not [char for char in shown if unicodedata.category(char) in OUT]
    kept = [char for char in text if unicodedata.category(char) not in OUT and not char.isspace() and char != "'"]
    assert [char for char in shown if not char.isspace() and char != "'"] == kept


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("Acorn - London", "Acorn - London"),
        ("Ann (née Müller); IT", "Ann (née Müller); IT"),
        ("2026-11-29T10:00:00Z", "2026-11-29T10:00:00Z"),
        ("arn:aws:ec2:eu-west-2", "arn:aws:ec2:eu-west-2"),
        ("call +44 20 7946 0000", "call '+44 20 7946 0000"),
        ("a\r\n=b", "a  '=b"),
        (" ＝1", " '＝1"),
        ("x;-2", "x;'-2"),
    ],
)
def test_texts_stay_readable(text: str, shown: str) -> None:
    assert safe_cell(text) == shown


@given(st.lists(st.fixed_dictionaries({"a": TEXTS, "b": st.integers() | st.booleans() | st.none()}), max_size=5))
def test_what_is_written_as_csv_is_read_again(records: list[dict[str, Any]]) -> None:
    names = ["a", "b"]
    text = b"".join([csv_heading(names), *(csv_line(record, names) for record in records)]).decode()
    rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    assert rows[0] == ["a", "b"]
    assert [row[0] for row in rows[1:]] == [safe_cell(record["a"]) for record in records]
    kinds = {None: "", True: "true", False: "false"}
    assert [row[1] for row in rows[1:]] == [
        kinds[record["b"]] if record["b"] is None or isinstance(record["b"], bool) else str(record["b"])
        for record in records
    ]
