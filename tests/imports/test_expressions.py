"""Expressions that a record does not bear."""

import pytest

from shared.rules.expressions import ExpressionError, compile_expression


def test_an_expression_too_deep_to_be_worked_out_is_a_fault_of_the_record_and_not_of_the_import() -> None:
    read = compile_expression("tags.Name || " * 2_000 + "tags.Other")
    with pytest.raises(ExpressionError, match="nested too deeply"):
        read({"tags": {}})
