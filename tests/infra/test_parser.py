"""The parser reads the subset of Bicep that the files use, and refuses the rest with the line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.check.parser import parse
from infra.check.syntax import (
    Access,
    Array,
    Binary,
    Call,
    Choice,
    Condition,
    Constant,
    Loop,
    Name,
    NotNull,
    Object,
    Text,
    Var,
)
from infra.check.tokens import BicepError, tokenize


def value_of(text: str) -> object:
    statement = parse(f"var x = {text}\n", "x.bicep").statements[0]
    assert isinstance(statement, Var)
    return statement.value


def test_a_string_keeps_what_is_inserted_as_expressions() -> None:
    text = value_of("'a${b.c}d${'in${n}ner'}\\'s \\${kept}'")
    assert isinstance(text, Text)
    first, access, second, inner, last = text.parts
    assert (first, second, last) == ("a", "d", "'s ${kept}")
    assert isinstance(access, Access)
    assert access.member == "c"
    assert isinstance(inner, Text)
    assert inner.pattern == "in*ner"
    assert text.pattern == "a*d*'s ${kept}"


def test_an_object_within_an_insert_does_not_end_it() -> None:
    text = value_of("'${union({ a: 1 }, { b: '}' }).a}'")
    assert isinstance(text, Text)
    assert text.pattern == "*"


def test_properties_are_parted_by_lines_or_commas() -> None:
    apart = value_of("{\n  a: 1\n  'b-c': true // why\n\n  d: null\n}")
    together = value_of("{ a: 1, 'b-c': true, d: null }")
    assert isinstance(apart, Object)
    assert isinstance(together, Object)
    for found in (apart, together):
        assert [(item.key, item.value.value) for item in found.properties if isinstance(item.value, Constant)] == [
            ("a", 1),
            ("b-c", True),
            ("d", None),
        ]


def test_operators_bind_as_in_bicep() -> None:
    found = value_of("a || b && !c == d")
    assert isinstance(found, Binary)
    assert found.operator == "||"
    right = found.right
    assert isinstance(right, Binary)
    assert right.operator == "&&"
    assert isinstance(right.right, Binary)
    assert right.right.operator == "=="


def test_a_choice_may_stand_on_three_lines() -> None:
    found = value_of("ready\n  ? [one, 2]\n  : identity!.outputs.id")
    assert isinstance(found, Choice)
    assert isinstance(found.yes, Array)
    assert isinstance(found.no, Access)
    assert isinstance(found.no.base, Access)
    assert isinstance(found.no.base.base, NotNull)


def test_a_loop_knows_its_item_its_index_and_its_condition() -> None:
    file = parse(
        "module m 'm.bicep' = [\n  for (item, i) in items: if (i > 0) {\n"
        "    name: item\n    scope: group(item[0])\n  }\n]\n",
        "x.bicep",
    )
    module = file.modules["m"]
    assert isinstance(module.value, Loop)
    assert (module.value.item, module.value.index) == ("item", "i")
    assert isinstance(module.value.body, Condition)
    assert module.conditional
    assert isinstance(module.body.get("scope"), Call)


def test_statements_keep_decorators_types_and_lines() -> None:
    file = parse(
        "targetScope = 'subscription'\n\n@description('it\\'s')\n@secure()\nparam a string = ''\n"
        "resource r 'A.B/c@2024-01-01' existing = if (!empty(a)) {\n  name: a\n}\noutput o bool = r.id == a\n",
        "x.bicep",
    )
    param, resource, output = file.params["a"], file.resources["r"], file.outputs["o"]
    assert param.line == 5
    assert [mark.name for mark in param.decorators] == ["description", "secure"]
    assert (resource.type, resource.version, resource.existing) == ("A.B/c", "2024-01-01", True)
    assert output.type == "bool"
    assert isinstance(output.value, Binary)


def test_a_parameters_file_assigns() -> None:
    file = parse("using './main.bicep'\nparam a = json(readEnvironmentVariable('A', '[]'))\n", "x.bicepparam")
    assert [type(statement).__name__ for statement in file.statements] == ["Using", "Assignment"]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("var a = {\n  b: 1\n", 3, "expected a name, found the end"),
        ("var a = 'x\n'", 1, "a string does not end on its line"),
        ("var a = 1 var b = 2", 1, "expected the end of the line, found 'var'"),
        ("resource r 'A.B/c' = {}", 1, "'A.B/c' names no API version"),
        ("resource r 'A.B/c@1' = 5", 1, "expected '{', found '5'"),
        ("param a = {\n  b: 1\n  b: 2\n}", 3, "'b' stands twice"),
        ("var a = '${b'", 1, "a string does not end on its line"),
        ("var a = '''\nx'''", 1, "multi-line strings are outside the subset"),
        ("import 'x'", 1, "'import' begins no statement"),
        ("param a resourceInput<'x'>", 1, "the type 'resourceInput' is outside the subset"),
        ("var a = [1 2]", 1, "expected a comma, a new line or ']', found '2'"),
        ("/* open", 1, "a comment does not end"),
        ("var a = b ~ c", 1, "'~' begins nothing"),
        ("module m '${a}' = {}", 1, "nothing may be inserted here"),
    ],
)
def test_what_is_no_bicep_is_refused_with_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(BicepError) as refused:
        parse(text, "x.bicep")
    assert (refused.value.line, refused.value.message) == (line, message)


def test_a_name_is_not_a_keyword_before_it_is_one() -> None:
    assert isinstance(value_of("trueish"), Name)
    assert isinstance(value_of("true"), Constant)


@given(st.text(alphabet="ab'\\${}\n:=[]()?!., 1@/*", max_size=40))
def test_any_text_is_parsed_or_refused_and_never_anything_else(text: str) -> None:
    line = 1
    try:
        parse(text, "x.bicep")
    except BicepError as error:
        line = error.line
    assert 1 <= line <= text.count("\n") + 1


@given(st.text(max_size=30).filter(lambda text: "\n" not in text))
def test_every_text_survives_quoting(text: str) -> None:
    quoted = text.replace("\\", "\\\\").replace("'", "\\'").replace("$", "\\$")
    token = tokenize(f"'{quoted}'")[0]
    assert token.parts == (text,)
