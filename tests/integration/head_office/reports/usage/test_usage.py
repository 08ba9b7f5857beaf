"""Usage by item, dish and order agrees with sums over the decoded lines: now, at past cuts, in pages and as a file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine

from head_office.database.office_schema import ITEM_ALIAS
from head_office.problems import REPORT_TOO_LARGE
from head_office.reports.known_at import SettledMoment
from head_office.reports.tables.table_report import TableReport, TableScope
from head_office.reports.usage import caused_usage, spilled_sums
from head_office.reports.usage.caused_usage import UsageBy
from head_office.reports.usage.usage_table import usage_table
from shared import chain
from shared.events import Event
from shared.runtime.problems import Problem
from tests.integration.head_office.reports.test_reports import GIVEN, pair, shipped  # noqa: F401 - a fixture
from tests.support.consolidation import Branch, log_of
from tests.support.events import MINUTE, NOON, an_event
from tests.support.groups import PLACES
from tests.support.used_groups import used_groups

FIGURE = {
    "ORDER_DEDUCTION": "sold", "RESERVATION_CONFIRMED": "sold", "INTERNAL_USE": "internal_use",
    "PRODUCTION_USED": "production", "WASTE_RECORDED": "waste", "TRANSFER_OUT": "transferred_out",
    "CUSTOMER_RETURN": "returned",
}  # fmt: skip
FIGURES = ("sold", "internal_use", "production", "waste", "transferred_out", "returned")
periods = st.tuples(st.integers(-1, 9), st.integers(-1, 9)).map(
    lambda ends: (NOON + min(ends) * MINUTE, NOON + max(ends) * MINUTE)
)


def decoded(connection: Connection) -> dict[str, list[Event]]:
    return {place: [chain.understand(line) for line in log_of(connection, place)] for place in PLACES}


def used(logs: dict[str, list[Event]], cut: dict[str, int], period: tuple[int, int]) -> Iterable[Event]:
    """Usage that stands within the cut and occurred in the period, by its definition."""
    for place, log in logs.items():
        known = log[: cut[place]]
        undone = {event.voided_sequence for event in known if event.voided_sequence is not None}
        for event in known:
            if event.sequence not in undone and event.type in FIGURE and period[0] <= event.occurred_at < period[1]:
                yield event


def summed(events: Iterable[Event], by: UsageBy, mapped: dict[tuple[str, str], str]) -> dict[Any, dict[str, int]]:
    sums: dict[Any, dict[str, int]] = {}
    for event in events:
        reference = event.reference
        cause: tuple[str | None, ...] = ()
        if by is UsageBy.PRODUCT:
            cause = (reference.product if reference else None,)
        elif by is UsageBy.ORDER:
            of_order = reference is not None and reference.kind == "order"
            cause = (reference.id, event.source) if of_order and reference else (None, None)
        code = event.item_id or ""
        key = (event.location_id, *cause, mapped.get((event.location_id, code), code), event.unit)
        row = sums.setdefault(key, dict.fromkeys((*FIGURES, "total"), 0))
        figure = FIGURE[event.type]
        row[figure] += event.quantity or 0
        row["total"] += -(event.quantity or 0) if figure == "returned" else event.quantity or 0
    return sums


CAUSE = {UsageBy.ITEM: (), UsageBy.PRODUCT: ("product",), UsageBy.ORDER: ("order_id", "source")}


def told(rows: Iterable[Any], by: UsageBy) -> dict[Any, dict[str, int]]:
    found: dict[Any, dict[str, int]] = {}
    for record in rows:
        row = msgspec.json.decode(msgspec.json.encode(record))
        key = tuple(row[name] for name in ("location_id", *CAUSE[by], "item_id", "unit"))
        assert key not in found
        found[key] = {name: round(row[name] * 1_000) for name in (*FIGURES, "total")}
    return found


def paged(table: TableReport, scope: TableScope, limit: int) -> list[Any]:
    rows: list[Any] = []
    after = None
    while True:
        page = table.page(scope, after, limit)
        assert len(page.items) == limit or page.next is None
        rows += page.items
        if page.next is None:
            return rows
        after = page.next


@GIVEN
@given(used_groups(), periods, st.sampled_from(list(UsageBy)), st.sampled_from([None, "milk", "dairy", "tea"]))
def test_usage_is_what_the_lines_say(
    pair: Engine,  # noqa: F811
    logs: dict[str, list[Event]],
    period: tuple[int, int],
    by: UsageBy,
    item: str | None,
) -> None:
    with pair.connect() as connection, connection.begin() as transaction:
        known = shipped(connection, logs)
        mapped = {("BEY-01", "leche"): "milk", ("BEY-02", "milk"): "dairy", ("BEY-02", "tea"): "dairy"}
        connection.execute(
            ITEM_ALIAS.insert(),
            [{"location_id": place, "alias": code, "item_id": name} for (place, code), name in mapped.items()],
        )
        lines = decoded(connection)
        table = usage_table(by)
        with pytest.MonkeyPatch.context() as small:
            small.setattr(spilled_sums, "MOST_IN_MEMORY", 2)
            small.setattr(caused_usage, "EVENTS_AT_ONCE", 3)
            for moment, cut in [(None, known[-1][1]), *known]:
                # The mappings were made by hand after all of these moments, so none of them knew one.
                names = mapped if moment is None else {}
                scope = TableScope(connection, None if moment is None else SettledMoment(moment), None, item, *period)
                expected = summed(used(lines, cut, period), by, names)
                if item is not None:
                    meant = {"dairy", "milk"} if item == "milk" and moment is None else {item}
                    meant |= {"dairy"} if item == "tea" and moment is None else set()
                    expected = {key: row for key, row in expected.items() if key[-2] in meant}
                assert told(table.rows(scope), by) == expected
                assert [*table.rows(scope)] == paged(table, scope, 2)
                assert table.page(scope, None, 1).cut.sequences == cut
        transaction.rollback()


@GIVEN
@given(used_groups(), periods)
def test_dishes_and_orders_add_up_to_the_items(
    pair: Engine,  # noqa: F811
    logs: dict[str, list[Event]],
    period: tuple[int, int],
) -> None:
    with pair.connect() as connection, connection.begin() as transaction:
        shipped(connection, logs)
        scope = TableScope(connection, None, None, None, *period)
        by_item = told(usage_table(UsageBy.ITEM).rows(scope), UsageBy.ITEM)
        for by in (UsageBy.PRODUCT, UsageBy.ORDER):
            sums: dict[Any, dict[str, int]] = {}
            for (place, *_, item, unit), row in told(usage_table(by).rows(scope), by).items():
                total = sums.setdefault((place, item, unit), dict.fromkeys(row, 0))
                for name, quantity in row.items():
                    total[name] += quantity
            assert sums == by_item
        transaction.rollback()


def test_more_events_than_one_answer_reads_are_refused(pair: Engine, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    Branch().record([an_event(seed=number) for number in range(4)]).ship(pair)
    monkeypatch.setattr(caused_usage, "MOST_EVENTS", 3)
    with pair.connect() as connection:
        scope = TableScope(connection, None, None, None, NOON, NOON + MINUTE)
        with pytest.raises(Problem) as refused:
            list(usage_table(UsageBy.ORDER).rows(scope))
        assert refused.value.code == REPORT_TOO_LARGE.code
