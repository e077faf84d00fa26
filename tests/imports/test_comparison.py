"""When two values are the same number, name or address, and when they only look alike."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.records.comparison import MEANINGLESS, comparable


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("info@strasse.example", "info@stra\u00dfe.example"),
        ("jason@acorn.example", "ja\u017fon@acorn.example"),
        ("mark@acorn.example", "mar\u212a@acorn.example"),
        ("office@acorn.example", "o\ufb03ce@acorn.example"),
        ("admin@acorn.example", "\u0430dmin@acorn.example"),
        ("SERV-1", "SERV-\uff11"),
    ],
)
def test_what_is_another_persons_stays_another_persons(one: str, other: str) -> None:
    assert comparable(one, ignore_case=True) != comparable(other, ignore_case=True)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("B\u00fcro-5", "Bu\u0308ro-5"),
        ("SERV-V3", "SERV-V3\u200b"),
        ("SERV-V4", "\ufeffSERV-V4"),
        ("SERV-V8", "SERV-V8\u200e"),
        ("SERV V10", "SERV\u00a0V10"),
        ("SERV V10", " SERV \t V10 "),
        (4713.0, "4713"),
        (12, "12"),
        (True, "true"),
        ("x@b\u00fccher.example", "x@xn--bcher-kva.example"),
        ("kim@ACORN.example", "kim@acorn.example"),
    ],
)
def test_what_people_see_as_one_is_one(one: object, other: object) -> None:
    assert comparable(one) == comparable(other)


def test_case_is_of_the_letters_a_to_z() -> None:
    assert comparable("SERV-V3", ignore_case=True) == comparable("serv-v3", ignore_case=True)
    assert comparable("SERV-V3") != comparable("serv-v3")
    assert comparable("\u0130stanbul", ignore_case=True) != comparable("istanbul", ignore_case=True)


@given(st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none()), st.booleans())
def test_any_value_has_one_form_and_keeps_it(value: object, ignore_case: bool) -> None:
    form = comparable(value, ignore_case=ignore_case)
    assert comparable(form, ignore_case=ignore_case) == form


@given(st.text(alphabet="aB\u00e9\u00fc \u00a0\u200b1-", max_size=12))
def test_how_marks_are_composed_makes_no_difference(text: str) -> None:
    assert comparable(unicodedata.normalize("NFD", text)) == comparable(text)


def test_what_means_nothing_is_listed_as_it_is_compared() -> None:
    assert [one for one in MEANINGLESS if comparable(one, ignore_case=True) != one] == []
