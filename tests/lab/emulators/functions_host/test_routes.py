"""Route templates match what ASP.NET Core's would."""

import string
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.emulators.functions_host.routes import parse_route

WORDS = st.text(string.ascii_letters + string.digits + " -_.~äß%+", min_size=1).filter(
    lambda word: word not in (".", "..")
)


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        ("tickets", "tickets", {}),
        ("tickets", "/Tickets/", {}),
        ("tickets", "ticket", None),
        ("tickets/{id}", "tickets/a%20b", {"id": "a b"}),
        ("tickets/{id}", "tickets", None),
        ("tickets/{id}", "tickets/a/b", None),
        ("tickets/{id?}", "tickets", {}),
        ("tickets/{id=7}", "tickets", {"id": "7"}),
        ("tickets/{id:int?}", "tickets/x", None),
        ("{*rest}", "", {}),
        ("{*rest}", "a/b", {"rest": "a/b"}),
        ("files/{*rest:minlength(2)}", "files/ab", {"rest": "ab"}),
        ("files/{*rest:minlength(2)}", "files/a", None),
        ("report-{id:int}.{ext}", "report-12.pdf", {"id": "12", "ext": "pdf"}),
        ("report-{id:int}.{ext}", "report-x.pdf", None),
        ("{a}/x", "1/X", {"a": "1"}),
        ("{a:int:range(1,9)}", "9", {"a": "9"}),
        ("{a:int:range(1,9)}", "10", None),
        ("{a:alpha}", "abc", {"a": "abc"}),
        ("{a:alpha}", "ab1", None),
        ("{a:guid}", "0f8fad5b-d9cb-469f-a165-70867728950e", {"a": "0f8fad5b-d9cb-469f-a165-70867728950e"}),
        ("{a:guid}", "0f8fad5b", None),
        ("{a:bool}", "TRUE", {"a": "TRUE"}),
        ("{a:long}", "9223372036854775807", {"a": "9223372036854775807"}),
        ("{a:int}", "2147483648", None),
        ("{a:int}", "-5", {"a": "-5"}),
        ("{a:double}", "1.5e3", {"a": "1.5e3"}),
        ("{a:decimal}", "1.5e3", None),
        ("{a:datetime}", "2024-05-01", {"a": "2024-05-01"}),
        ("{a:datetime}", "someday", None),
        ("{a:length(3)}", "abc", {"a": "abc"}),
        ("{a:length(2,3)}", "abcd", None),
        ("{a:min(5)}", "4", None),
        ("{a:max(5)}", "4", {"a": "4"}),
        ("{a:maxlength(2)}", "abc", None),
        (r"{a:regex(^\d{{3}}$)}", "123", {"a": "123"}),
        (r"{a:regex(^\d{{3}}$)}", "1234", None),
        ("{a:required}", "x", {"a": "x"}),
    ],
)
def test_a_template_matches(template: str, path: str, values: dict[str, str] | None) -> None:
    assert parse_route(template).match(path) == values


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("a//b", "empty segment"),
        ("{a", "opening brace"),
        ("a}", "closing brace"),
        ("{a}{b}", "nothing between"),
        ("{a}/{A}", "twice"),
        ("{*a}/b", "before its end"),
        ("{a?}/b", "before its end"),
        ("x{a?}", "not a whole segment"),
        ("{}", "proper name"),
        ("{a b}", "proper name"),
        ("{a:number}", "'number' is not one of alpha"),
        ("{a:length(x)}", "not valid"),
        ("{a:regex([)}", "not valid"),
        ("~/a", "must not start with ~"),
        ("a?b", "question mark"),
    ],
)
def test_a_template_that_azure_would_refuse_is_refused(template: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        parse_route(template)


def test_the_most_specific_template_comes_first() -> None:
    templates = ["{*all}", "a/{b}", "a/{b:int}", "a/b", "a/x-{b}", "{a}/b"]
    ordered = sorted((parse_route(each) for each in templates), key=lambda route: route.precedence())
    assert [each.template for each in ordered] == ["a/b", "a/x-{b}", "a/{b:int}", "a/{b}", "{a}/b", "{*all}"]


def test_templates_that_match_the_same_paths_have_the_same_shape() -> None:
    assert parse_route("A/{id:int}/{rest?}").shape() == parse_route("a/{number:int}/{more?}").shape()
    assert parse_route("a/{id:int}").shape() != parse_route("a/{id}").shape()
    assert parse_route("a/{id}").shape() != parse_route("a/{*id}").shape()


@given(st.lists(WORDS, min_size=1, max_size=4))
def test_every_encoded_value_comes_back_decoded(words: list[str]) -> None:
    route = parse_route("/".join(f"{{p{index}}}" for index in range(len(words))))
    found = route.match("/".join(quote(word, safe="") for word in words))
    assert found == {f"p{index}": word for index, word in enumerate(words)}
