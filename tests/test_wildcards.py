"""Wildcards against the standard library's, and in time that no pattern can stretch."""

import fnmatch
import time

from hypothesis import given
from hypothesis import strategies as st

from shared.wildcards import fits

_TEXTS = st.text("abAB-.", max_size=12)


@given(st.text("ab*?AB-.", max_size=8), _TEXTS)
def test_a_pattern_fits_what_it_fits_in_the_standard_library(pattern: str, text: str) -> None:
    assert fits(pattern, text) == fnmatch.fnmatchcase(text.lower(), pattern.lower())


def test_no_other_sign_means_anything() -> None:
    assert fits("a[b]", "A[B]")
    assert not fits("a[b]", "ab")
    assert not fits("a.c", "abc")


def test_many_stars_take_no_longer_than_the_lengths_multiplied() -> None:
    began = time.process_time()
    assert not fits("*a" * 60 + "*c", "a" * 2_000)
    assert time.process_time() - began < 2
