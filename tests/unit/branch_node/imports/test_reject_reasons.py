"""The most frequent reasons of rejects, told apart by their columns."""

from __future__ import annotations

from branch_node.imports.import_summary import RejectReasons


def test_values_do_not_count_and_columns_do() -> None:
    reasons = RejectReasons()
    for line, why in enumerate(
        ["column qty 1: 'x' is no number", "column qty 2: 'y' is no number", "column qty 2: 'z' is no number"], 2
    ):
        reasons.add(line, why)
    assert [(each.reason, each.rows, each.first_line) for each in reasons.top()] == [
        ("column qty 2: 'y' is no number", 2, 3),
        ("column qty 1: 'x' is no number", 1, 2),
    ]
