"""Sums that do not fit into memory are those of a dictionary, in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from head_office.reports.usage.spilled_sums import SpilledSums, SummedRow

texts = st.sampled_from(["", "a", "b\n", '"', "é", "a\\"])
added = st.lists(st.tuples(st.tuples(texts, texts), st.integers(0, 1), st.integers(0, 10**15), st.integers(0, 99)))


@given(added, st.integers(1, 5))
def test_spilled_sums_are_those_of_a_dictionary(rows: list[tuple[tuple[str, str], int, int, int]], most: int) -> None:
    expected: dict[tuple[str, str], SummedRow] = {}
    with SpilledSums(2, most) as sums:
        for key, place, quantity, at in rows:
            sums.add(key, place, quantity, at)
            row = expected.setdefault(key, SummedRow(key, [0, 0], at))
            row.sums[place] += quantity
            expected[key] = row._replace(first_at=min(row.first_at, at))
        assert [SummedRow(tuple(each.key), each.sums, each.first_at) for each in sums.rows()] == [
            expected[key] for key in sorted(expected)
        ]


def test_a_run_is_read_in_blocks() -> None:
    with SpilledSums(1, 5_000) as sums:
        for number in range(20_000):
            sums.add((f"{number % 10_000:05}", "x" * 20), 0, 1, number)
        found = list(sums.rows())
    assert [each.key[0] for each in found] == [f"{number:05}" for number in range(10_000)]
    assert {(each.sums[0], each.first_at < 10_000) for each in found} == {(2, True)}
