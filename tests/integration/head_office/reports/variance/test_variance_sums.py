"""Variance by item and by location is the sum of the counts, in each unit for itself; now and at past cuts."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from head_office.database.office_schema import ITEM_ALIAS
from head_office.log import decoder
from head_office.reports.known_at import SettledMoment
from head_office.reports.tables.table_report import TableScope
from head_office.reports.variance.variance_sums import VarianceBy
from head_office.reports.variance.variance_table import variance_table
from shared import stock
from shared.events import Event
from tests.integration.head_office.reports.test_reports import GIVEN, pair, shipped, stories  # noqa: F401 - a fixture
from tests.integration.head_office.reports.usage.test_usage import paged, periods
from tests.support.consolidation import Branch, OldVersion
from tests.support.events import MINUTE, NOON, an_event
from tests.support.groups import groups

SUMS = ("counts", "short", "over", "counted", "expected", "variance", "shrinkage", "surplus")
UNITS = {"milk": "l", "tea": "kg"}


def told(rows: list[Any], subject: str, among: str) -> dict[tuple[str, str], dict[str, int]]:
    found = {}
    for record in rows:
        row = msgspec.json.decode(msgspec.json.encode(record))
        key = (row[subject], row["unit"])
        assert key not in found
        found[key] = {name: row[name] if name in SUMS[:3] else round(row[name] * 1_000) for name in SUMS}
        found[key][among] = row[among]
        assert not row["incomplete"]
    return found


@GIVEN
@given(groups(), periods, st.sampled_from([None, "milk", "dairy"]))
def test_sums_are_those_of_the_fold(
    pair: Engine,  # noqa: F811
    logs: dict[str, list[Event]],
    period: tuple[int, int],
    item: str | None,
) -> None:
    with pair.connect() as connection, connection.begin() as transaction:
        known = shipped(connection, logs)
        mapped = {("BEY-02", "milk"): "dairy", ("BEY-02", "tea"): "dairy"}
        for (place, code), name in mapped.items():
            connection.execute(ITEM_ALIAS.insert().values(location_id=place, alias=code, item_id=name))
        told_stories = stories(connection)
        for moment, cut in [(None, known[-1][1]), *known]:
            names = mapped if moment is None else {}
            counts = []
            for (place, code), story in told_stories.items():
                standing = stock.history(story, as_of=None, known_through=cut[place]).standing
                for count in standing:
                    if count.counted is None or not period[0] <= count.occurred_at < period[1]:
                        continue
                    expected = stock.fold(each for each in standing if each.place < count.place).on_hand
                    counts.append((place, names.get((place, code), code), UNITS[code], count.counted, expected))
            meant = {"milk": {"milk", "dairy"} if moment is None else {"milk"}, "dairy": {"dairy"}}
            if item is not None:
                counts = [each for each in counts if each[1] in meant[item]]
            scope = TableScope(connection, None if moment is None else SettledMoment(moment), None, item, *period)
            for by, place_of, among in ((VarianceBy.ITEM, 1, "locations"), (VarianceBy.LOCATION, 0, "items")):
                sums: dict[tuple[str, str], dict[str, int]] = {}
                others: dict[tuple[str, str], set[str]] = {}
                for each in counts:
                    key = (each[:2][place_of], each[2])
                    row = sums.setdefault(key, dict.fromkeys(SUMS, 0))
                    others.setdefault(key, set()).add(each[:2][1 - place_of])
                    variance = each[3] - each[4]
                    for name, value in zip(
                        SUMS,
                        (
                            1,
                            variance < 0,
                            variance > 0,
                            each[3],
                            each[4],
                            variance,
                            max(-variance, 0),
                            max(variance, 0),
                        ),
                        strict=True,
                    ):
                        row[name] += value
                    row[among] = len(others[key])
                table = variance_table(by)
                rows = [*table.rows(scope)]
                assert told(rows, "item_id" if by is VarianceBy.ITEM else "location_id", among) == sums
                assert paged(table, scope, 1) == rows
                assert [msgspec.json.encode(row) for row in paged(table, scope, 2)] == [
                    msgspec.json.encode(row) for row in rows
                ]
            whole = paged(variance_table(VarianceBy.COUNT), scope, 2)
            assert len(whole) == len(counts)
            assert [row["event"].event_id for row in variance_table(VarianceBy.COUNT).rows(scope)] == [
                row["event"].event_id for row in whole
            ]
        transaction.rollback()


def test_a_sum_that_an_event_in_quarantine_may_change_is_incomplete(pair: Engine) -> None:  # noqa: F811
    branch = Branch().record(
        [
            an_event("PURCHASE_RECEIVED", seed=1, note="new"),
            an_event("STOCKTAKE", seed=2, counted=1_000, expected=0, occurred_at=NOON + MINUTE),
            an_event("STOCKTAKE", seed=3, item_id="bread", counted=1_000, expected=0, occurred_at=NOON + MINUTE),
            an_event("STOCKTAKE", seed=4, counted=1_000, expected=0, occurred_at=NOON - MINUTE),
        ]
    )
    with pytest.MonkeyPatch.context() as old:
        old.setattr(decoder, "understand", OldVersion.understand)
        branch.ship(pair)
    with pair.connect() as connection:
        for end, incomplete in ((NOON, False), (None, True)):
            scope = TableScope(connection, None, None, None, None, end)
            by_item = {row.item_id: row.incomplete for row in variance_table(VarianceBy.ITEM).rows(scope)}
            assert by_item == ({"milk": False} if end else {"milk": True, "bread": False})
            (row,) = variance_table(VarianceBy.LOCATION).rows(scope)
            assert row.incomplete is incomplete
