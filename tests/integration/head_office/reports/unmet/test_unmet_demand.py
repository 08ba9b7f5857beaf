"""Unmet demand agrees with the refusals in the decoded lines, and with a fold of what was recorded before each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from head_office.database.office_schema import ITEM_ALIAS
from head_office.problems import REPORT_TOO_LARGE
from head_office.reports.known_at import SettledMoment
from head_office.reports.tables.table_report import TableScope
from head_office.reports.unmet import unmet_demand, unmet_demand_sums
from head_office.reports.unmet.unmet_demand_sums import UnmetDemandBy
from head_office.reports.unmet.unmet_demand_table import unmet_demand_table
from shared.events import Event, Reference
from shared.runtime.clock import format_rfc3339
from shared.runtime.problems import Problem
from shared.stock import fold, history, movement
from tests.integration.head_office.reports.test_reports import GIVEN, pair, shipped  # noqa: F401 - a fixture
from tests.integration.head_office.reports.usage.test_usage import decoded, paged, periods
from tests.support.consolidation import Branch
from tests.support.events import MINUTE, NOON, an_event
from tests.support.used_groups import used_groups


class Refusal(NamedTuple):
    occurred_at: int
    location_id: str
    sequence: int
    order_id: str
    source: str
    item_id: str
    unit: str
    asked: int
    available: int
    short: int


def available(log: list[Event], codes: set[str], moment: int) -> int:
    """The figure of a branch whose log this is, at a moment: on hand less what has not expired of each reservation."""
    total = 0
    for code in codes:
        story = [movement(event) for event in log if event.item_id == code]
        held: dict[str, int] = {}
        until: dict[str, int] = {}
        for each in sorted(history(story, as_of=None, known_through=None).standing, key=lambda each: each.sequence):
            if each.reserved_change is not None:
                key = each.reservation_id or ""
                held[key] = held.get(key, 0) + each.reserved_change
                until[key] = each.expires_at or until[key]
        total += fold(story).on_hand - sum(quantity for key, quantity in held.items() if until[key] > moment)
    return total


def refusals(
    logs: dict[str, list[Event]], cut: dict[str, int], period: tuple[int, int], mapped: dict[tuple[str, str], str]
) -> list[Refusal]:
    found = []
    for place, log in logs.items():
        for event in log[: cut[place]]:
            if event.type != "RESERVATION_REFUSED" or event.reason != "unavailable":
                continue
            if not period[0] <= event.occurred_at < period[1]:
                continue
            assert event.reference is not None
            code = event.item_id or ""
            item = mapped.get((place, code), code)
            codes = {each for each in {event.item_id or "" for event in log} if mapped.get((place, each), each) == item}
            there = available(log[: event.sequence - 1], codes, event.occurred_at)
            asked = event.quantity or 0
            short = asked - min(asked, max(there, 0))
            found.append(
                Refusal(
                    event.occurred_at,
                    place,
                    event.sequence,
                    event.reference.id,
                    event.source,
                    item,
                    event.unit or "",
                    asked,
                    there,
                    short,
                )
            )
    return sorted(found)


def told(rows: Iterable[Any]) -> list[dict[str, Any]]:
    return [msgspec.json.decode(msgspec.json.encode(row)) for row in rows]


@GIVEN
@given(
    used_groups(),
    periods,
    st.sampled_from([None, "milk", "tea"]),
    st.sampled_from([None, "web"]),
    st.booleans(),
)
def test_unmet_demand_is_what_the_lines_say(
    pair: Engine,  # noqa: F811
    logs: dict[str, list[Event]],
    period: tuple[int, int],
    item: str | None,
    source: str | None,
    is_mapped: bool,
) -> None:
    with pair.connect() as connection, connection.begin() as transaction:
        known = shipped(connection, logs)
        mapped = {("BEY-01", "leche"): "milk"} if is_mapped else {}
        for (place, code), name in mapped.items():
            connection.execute(ITEM_ALIAS.insert().values(location_id=place, alias=code, item_id=name))
        lines = decoded(connection)
        for moment, cut in [(None, known[-1][1]), *known]:
            names = mapped if moment is None else {}
            scope = TableScope(connection, None if moment is None else SettledMoment(moment), None, item, *period)
            expected = [
                each
                for each in refusals(lines, cut, period, names)
                if item in {None, each.item_id} and source in {None, each.source}
            ]
            table = unmet_demand_table(UnmetDemandBy.EVENT, source)
            rows = [*table.rows(scope)]
            with pytest.MonkeyPatch.context() as few:
                few.setattr(unmet_demand, "REFUSALS_AT_ONCE", 2)
                few.setattr(unmet_demand_sums, "REFUSALS_AT_ONCE", 2)
                assert paged(table, scope, 3) == rows
                sums = [*unmet_demand_table(UnmetDemandBy.ITEM, source).rows(scope)]
            assert told(rows) == [
                {
                    "occurred_at": format_rfc3339(each.occurred_at, 120),
                    "location_id": each.location_id,
                    "order_id": each.order_id,
                    "source": each.source,
                    "item_id": each.item_id,
                    "unit": each.unit,
                    "asked": each.asked / 1_000,
                    "available": each.available / 1_000,
                    "short": each.short / 1_000,
                }
                for each in expected
            ]
            of_item: dict[tuple[str, str, str], list[Refusal]] = {}
            for each in expected:
                of_item.setdefault((each.location_id, each.item_id, each.unit), []).append(each)
            assert told(sums) == [
                {
                    "location_id": key[0],
                    "item_id": key[1],
                    "unit": key[2],
                    "refusals": len(lines_of),
                    "orders": len({(each.order_id, each.source) for each in lines_of}),
                    "asked": sum(each.asked for each in lines_of) / 1_000,
                    "short": sum(each.short for each in lines_of) / 1_000,
                    "last_at": format_rfc3339(max(each.occurred_at for each in lines_of)),
                }
                for key, lines_of in sorted(of_item.items())
            ]
            assert paged(unmet_demand_table(UnmetDemandBy.ITEM, source), scope, 1) == sums
        transaction.rollback()


def refused(seed: int, line: int, item_id: str, quantity: int) -> Event:
    return an_event(
        "RESERVATION_REFUSED", seed=seed, line=line, lines=2, item_id=item_id, quantity=quantity,
        reason="unavailable", reservation_id="r-1", reference=Reference(kind="order", id="4711", revision=1),
    )  # fmt: skip


def test_what_one_line_would_take_is_not_there_for_the_next(pair: Engine) -> None:  # noqa: F811
    """Two codes of one item in one order: together they lack what is above the stock, not each for itself."""
    log = [an_event("PURCHASE_RECEIVED", seed=1, quantity=5_000), an_event("PURCHASE_RECEIVED", seed=2, item_id="tea")]
    log += [refused(3, 1, "milk", 3_000), refused(4, 2, "leche", 3_000)]
    Branch().record([*log, an_event("PURCHASE_RECEIVED", seed=5, quantity=9_000)]).ship(pair)
    with pair.begin() as connection:
        connection.execute(ITEM_ALIAS.insert().values(location_id="BEY-01", alias="leche", item_id="milk"))
    with pair.connect() as connection:
        scope = TableScope(connection, None, None, None, NOON, NOON + MINUTE)
        rows = told(unmet_demand_table(UnmetDemandBy.EVENT, None).rows(scope))
        second = unmet_demand_table(UnmetDemandBy.EVENT, None)
        page = second.page(scope, None, 1)
        (alone,) = told(second.page(scope, page.next, 1).items)
    assert [(row["asked"], row["available"], row["short"]) for row in rows] == [(3, 5, 0), (3, 5, 1)]
    assert alone == rows[1]


def test_more_refusals_than_one_answer_sums_are_refused(pair: Engine, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    Branch().record([refused(1, 1, "milk", 1_000), refused(2, 2, "tea", 1_000)]).ship(pair)
    monkeypatch.setattr(unmet_demand_sums, "MOST_REFUSALS", 1)
    with pair.connect() as connection, pytest.raises(Problem) as error:
        list(unmet_demand_table(UnmetDemandBy.ITEM, None).rows(TableScope(connection, None, None, None, None, None)))
    assert error.value.code == REPORT_TOO_LARGE.code
