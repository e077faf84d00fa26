"""A world of every source."""

from collections.abc import Callable

import pytest

from tests.imports.worlds import WORLDS, SourceCase, World


@pytest.fixture(params=sorted(WORLDS))
def case(request: pytest.FixtureRequest) -> Callable[[], SourceCase]:
    return WORLDS[request.param]


@pytest.fixture
def world(case: Callable[[], SourceCase]) -> World:
    new = World(case())
    new.settle()
    return new
