"""The whole desk after its first run, with the API as its callers see it."""

from collections.abc import Iterator

import pytest

from lab.api_tester import desk_at_work
from lab.desk import Desk


@pytest.fixture(scope="package")
def desk() -> Iterator[Desk]:
    with desk_at_work() as at_work:
        yield at_work
