"""A refusal speaks an operator's words, wherever in a document or body the fault is: none of pydantic's or Python's."""

import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError

from functions.schemas import access, credentials, records, runs, tickets
from functions.schemas import settings as settings_bodies
from functions.schemas.shapes import Body
from shared.bootstrap.kinds import KINDS
from shared.settings.validation import faults_of

_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 1.5, float("inf"), 10**30, "", "x", "x" * 5000, "${x}"),
    *([], {}, [[]], [5], [{}], {"a": 1}, {"method": "x"}, {"method": 5}, ["x"] * 1000),
    *("2026-01-01", "2026-01-01T00:00:00", "9999-12-31T23:59:59-12:00"),
)
_THEIR_WORDS = re.compile(
    r"Input|Unable|should|Keys|Value error|pydantic|\bstring\b|integer|dictionary|literal\[|list\[|tuple\[|function-"
)
_DEEPEST = 3
_BODIES = [
    model
    for module in (access, credentials, records, runs, settings_bodies, tickets)
    for model in vars(module).values()
    if isinstance(model, type) and issubclass(model, Body) and model is not Body
]


def _contents(model: type[BaseModel], depth: int = 0) -> Iterator[dict[str, Any]]:
    """Contents with each value at each field, and at each field of what a field holds."""
    for name, field in model.model_fields.items():
        for value in _VALUES:
            yield {name: value}
        for inner in _models(field.annotation) if depth < _DEEPEST else ():
            for content in _contents(inner, depth + 1):
                yield {name: content}
                yield {name: [content]}


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for one in get_args(annotation):
        yield from _models(one)


@pytest.mark.parametrize("model", [*KINDS, *_BODIES], ids=lambda model: model.__name__)
def test_no_fault_has_the_words_of_pydantic(model: type[BaseModel]) -> None:
    told = 0
    for content in _contents(model):
        try:
            model.model_validate(content, context={})
        except ValidationError as error:
            for fault in faults_of(error):
                told += 1
                assert not _THEIR_WORDS.search(f"{fault.path}: {fault.message}"), (content, fault)
    assert told > 0
