"""Made-up requests by schemathesis against the whole desk. `make api-test` tries much longer."""

import pytest

from lab.api_tester import Effort, try_api
from lab.desk import Desk

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("pinned", [True, False], ids=["things that are there", "anything"])
def test_no_made_up_request_meets_a_server_error_or_an_answer_outside_the_document(desk: Desk, pinned: bool) -> None:
    status, said = try_api(desk, Effort(examples=4, phases="examples,fuzzing"), pinned=pinned)
    assert status == 0, said
