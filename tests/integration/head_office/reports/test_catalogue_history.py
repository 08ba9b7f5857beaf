"""What was known at a moment is read with the catalogue as it was known then; now, an item has one code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import Engine, text

from head_office.catalogue import item_proposals, items
from head_office.database.schema import now
from head_office.reports.explanations import LocationExplanation, explain
from head_office.reports.group_stock import stock, totals
from head_office.reports.in_transit import in_transit
from head_office.reports.known_at import report_snapshot
from head_office.reports.variances import variances
from shared.catalogue_messages import CatalogueItem
from shared.events import Definition
from shared.runtime.database.engine import postgres_engine
from tests.integration.head_office.log.conftest import one_location
from tests.support.branch_log import BranchLog
from tests.support.consolidation import PLACE, open_location
from tests.support.events import MINUTE, NOON

THERE = "BEY-02"
CODES = ("apfel", "apple", "pear")


class Group:
    """Two branches, of which one knows the apple by a code of its own, too."""

    def __init__(self, office: Engine) -> None:
        self.office = office
        with office.begin() as connection:
            open_location(connection, THERE)
            items.put(connection, [item("apple"), item("pear")])
        self.logs = {place: BranchLog(place) for place in (PLACE, THERE)}
        self.logs[PLACE].record("ITEM_DEFINED", item_id="apfel", definition=Definition(name="Apfel", unit="kg"))
        self.logs[PLACE].ship_now(office)

    def record(self, place: str, kind: str, code: str, quantity: int = 0, **fields: object) -> None:
        if kind != "STOCKTAKE":
            fields["quantity"] = quantity
        self.logs[place].record(kind, item_id=code, unit="kg", **fields)
        self.logs[place].ship_now(self.office)

    def map(self, item_id: str) -> None:
        with self.office.begin() as connection:
            item_proposals.map_to(connection, PLACE, "apfel", item_id)

    def now(self) -> int:
        with self.office.begin() as connection:
            return now(connection)

    def known_at(self, moment: int | None) -> dict[str, Any]:
        """Every report, as known at a moment; None: as of now."""
        with report_snapshot(self.office, moment) as (connection, settled):
            report = stock(connection, known_at=settled)
            return {
                "stock": report.rows,
                "totals": totals(report.rows),
                "variance": [variances(connection, known_at=settled, item_id=code).rows for code in (None, *CODES)],
                "in transit": [in_transit(connection, known_at=settled, item_id=code).rows for code in (None, *CODES)],
                "explained": [
                    counted(explain(connection, place, code, known_at=settled, as_of=moment))
                    for place in self.logs
                    for code in CODES
                ],
            }

    def on_hand(self, moment: int | None = None) -> dict[tuple[str, str], int]:
        with report_snapshot(self.office, moment) as (connection, settled):
            return {(row.location_id, row.item_id): row.on_hand for row in stock(connection, known_at=settled).rows}


def counted(found: LocationExplanation | None) -> LocationExplanation | None:
    """The explanation without the events that it lists as not known at its moment."""
    if found is None:
        return None
    return replace(found, not_counted=[each for each in found.not_counted if each.reason != "not known then"])


def item(item_id: str, name: str = "") -> CatalogueItem:
    return CatalogueItem(item_id=item_id, name=name or item_id, unit="kg")


@pytest.fixture
def group(office: Engine) -> Group:
    return Group(office)


def test_known_at_keeps_the_mapping_of_its_moment(group: Group) -> None:
    group.record(PLACE, "PURCHASE_RECEIVED", "apfel", 5_000)
    group.record(PLACE, "PURCHASE_RECEIVED", "apple", 2_000)
    first = group.now()
    group.map("apple")
    second = group.now()
    group.map("pear")
    assert group.on_hand(first) == {(PLACE, "apfel"): 5_000, (PLACE, "apple"): 2_000}
    assert group.on_hand(second) == {(PLACE, "apple"): 7_000}
    assert group.on_hand() == {(PLACE, "apple"): 2_000, (PLACE, "pear"): 5_000}
    with report_snapshot(group.office, first) as (connection, settled):
        found = explain(connection, PLACE, "apfel", known_at=settled)
        assert found is not None
        assert found.on_hand == 5_000


def test_two_codes_of_an_item_are_one_row_one_explanation_and_one_variance(group: Group) -> None:
    group.record(PLACE, "PURCHASE_RECEIVED", "apfel", 5_000)
    group.record(PLACE, "STOCKTAKE", "apple", counted=1_000, expected=0, occurred_at=NOON + MINUTE)
    group.record(PLACE, "ORDER_DEDUCTION", "apfel", 500, occurred_at=NOON + 2 * MINUTE)
    group.map("apple")
    with group.office.connect() as connection:
        (row,) = stock(connection, item_ids=["apple"]).rows
        assert (row.on_hand, row.codes, row.name) == (5_500, ("apple", "apfel"), "apple")
        found = explain(connection, PLACE, "apple")
        assert found is not None
        assert (found.on_hand, found.variance, found.codes) == (5_500, 1_000, ["apple", "apfel"])
        assert [(step.event.item_id, step.on_hand) for step in found.steps] == [
            ("apfel", 5_000),
            ("apple", 6_000),
            ("apfel", 5_500),
        ]
        (count,) = variances(connection, item_id="apple").rows
        assert (count.item_id, count.event.item_id, count.variance) == ("apple", "apple", 1_000)
        assert variances(connection, item_id="apfel").rows == [count]
        assert variances(connection, item_id="apfel", location_ids=[THERE]).rows == []


def test_pages_never_part_the_codes_of_an_item(group: Group) -> None:
    for code in CODES:
        group.record(PLACE, "PURCHASE_RECEIVED", code, 1_000)
        group.record(THERE, "PURCHASE_RECEIVED", code, 2_000)
    group.map("pear")
    with group.office.connect() as connection:
        whole = stock(connection).rows
        assert [(row.item_id, row.location_id, row.on_hand) for row in whole] == [
            ("apfel", THERE, 2_000),
            ("apple", PLACE, 1_000),
            ("apple", THERE, 2_000),
            ("pear", PLACE, 2_000),
            ("pear", THERE, 2_000),
        ]
        for limit in range(1, 7):
            seen, after = [], None
            while True:
                page = stock(connection, limit=limit, after=after)
                assert 0 < len(page.rows) <= limit
                seen += page.rows
                after = page.next
                if after is None:
                    break
            assert seen == whole


def test_goods_in_transit_are_those_of_the_item_they_are_mapped_to(group: Group) -> None:
    sent = {"transfer_id": "t-1", "transfer_line": 1}
    group.record(PLACE, "TRANSFER_OUT", "apfel", 3_000, **sent)
    before = group.now()
    group.map("apple")
    with group.office.connect() as connection:
        (row,) = in_transit(connection, item_id="apple").rows
        assert (row.item_id, row.in_transit) == ("apple", 3_000)
        assert in_transit(connection, item_id="apfel").rows == [row]
        assert in_transit(connection, item_id="pear").rows == []
    with report_snapshot(group.office, before) as (connection, settled):
        assert [row.item_id for row in in_transit(connection, known_at=settled).rows] == ["apfel"]


def conflicts(group: Group, moment: int | None) -> list[bool]:
    """Whether the units of the apple differ, as each location's row says."""
    with report_snapshot(group.office, moment) as (connection, settled):
        return [row.unit_conflict for row in stock(connection, item_ids=["apple"], known_at=settled).rows]


def test_known_at_keeps_the_unit_of_its_moment(group: Group) -> None:
    """The catalogue had the apple in pieces, the branch weighs it, and head office puts that right later."""
    with group.office.begin() as connection:
        items.put(connection, [replace(item("apple"), unit="pcs")])
    group.record(PLACE, "PURCHASE_RECEIVED", "apple", 5_000)
    first = group.now()
    with group.office.begin() as connection:
        items.put(connection, [item("apple")])
    assert [conflicts(group, moment) for moment in (first, group.now(), None)] == [[True], [False], [False]]


def test_known_at_keeps_a_conflict_of_units_that_a_mapping_has_ended(group: Group) -> None:
    group.record(PLACE, "PURCHASE_RECEIVED", "apple", 5_000)
    group.logs[THERE].record("PURCHASE_RECEIVED", item_id="apple", unit="pcs", quantity=1_000)
    group.logs[THERE].ship_now(group.office)
    first = group.now()
    with group.office.begin() as connection:
        items.put(connection, [replace(item("piece"), unit="pcs")])
        item_proposals.map_to(connection, THERE, "apple", "piece")
    assert [conflicts(group, moment) for moment in (first, group.now(), None)] == [[True, True], [False], [False]]


def test_known_at_explains_an_item_as_before_its_other_code_had_events(group: Group) -> None:
    """The explanation starts from the count under one code, though events under the other one are received later."""
    group.map("apple")
    group.record(PLACE, "PURCHASE_RECEIVED", "apfel", 2_000)
    group.record(PLACE, "STOCKTAKE", "apfel", counted=1_000, expected=0, occurred_at=NOON + MINUTE)
    moment = group.now()
    before = group.known_at(moment)
    group.record(PLACE, "PURCHASE_RECEIVED", "apple", 5_000, occurred_at=NOON + 2 * MINUTE)
    assert group.known_at(moment) == before
    with report_snapshot(group.office, moment) as (connection, settled):
        found = explain(connection, PLACE, "apple", known_at=settled)
        assert found is not None
        assert found.start is not None
        assert (found.start.event.type, found.on_hand, found.steps) == ("STOCKTAKE", 1_000, [])
        listed = [(each.event.type, each.event.item_id, each.reason) for each in found.not_counted]
        assert ("PURCHASE_RECEIVED", "apfel", "before the count") in listed
        assert ("PURCHASE_RECEIVED", "apple", "not known then") in listed


def test_known_at_explains_what_was_reserved_whatever_is_received_later(group: Group) -> None:
    """A reservation that had not expired at the moment counts, though an event from after its expiry is received."""
    later = group.now() + 60 * MINUTE
    group.record(PLACE, "PURCHASE_RECEIVED", "apple", 2_000)
    group.record(
        PLACE, "STOCK_RESERVED", "apple", 500, reservation_id="r-1", expires_at=later, occurred_at=NOON + MINUTE
    )
    moment = group.now()

    def reserved() -> int:
        with report_snapshot(group.office, moment) as (connection, settled):
            found = explain(connection, PLACE, "apple", known_at=settled)
            assert found is not None
            (row,) = stock(connection, known_at=settled, item_ids=["apple"]).rows
            assert row.reserved == found.reserved
            return found.reserved

    assert reserved() == 500
    group.record(PLACE, "ORDER_DEDUCTION", "apple", 1_000, occurred_at=later + MINUTE)
    assert reserved() == 500


STEPS = st.one_of(
    st.tuples(st.just("map"), st.sampled_from(["apple", "pear"])),
    st.tuples(st.just("name"), st.sampled_from(["apple", "pear"]), st.sampled_from(["One", "Two"])),
    st.tuples(st.just("receive"), st.sampled_from([PLACE, THERE]), st.sampled_from(CODES), st.integers(1, 9)),
    st.tuples(st.just("count"), st.sampled_from([PLACE, THERE]), st.sampled_from(CODES), st.integers(0, 9)),
    st.tuples(st.just("send"), st.sampled_from([PLACE, THERE]), st.sampled_from(CODES), st.integers(1, 9)),
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEPS, min_size=3, max_size=9))
def test_what_was_known_at_a_moment_never_changes(
    postgres_url_factory: Callable[..., str], steps: list[tuple[Any, ...]]
) -> None:
    # A group of its own for each example: what fails must fail again.
    office = postgres_engine(postgres_url_factory(one_location))
    try:
        _never_changes(Group(office), steps)
    finally:
        office.dispose()


def _never_changes(group: Group, steps: list[tuple[Any, ...]]) -> None:
    said: dict[int, dict[str, Any]] = {}
    for number, (what, *arguments) in enumerate(steps):
        if what == "map":
            group.map(arguments[0])
        elif what == "name":
            with group.office.begin() as connection:
                items.put(connection, [item(*arguments)])
        else:
            place, code, quantity = arguments
            kind = {"receive": "PURCHASE_RECEIVED", "count": "STOCKTAKE", "send": "TRANSFER_OUT"}[what]
            fields: dict[str, object] = {"occurred_at": NOON + number * MINUTE}
            if kind == "STOCKTAKE":
                fields |= {"counted": quantity * 1_000, "expected": 0}
            if kind == "TRANSFER_OUT":
                fields |= {"transfer_id": f"t-{group.now()}", "transfer_line": 1}
            group.record(place, kind, code, quantity * 1_000, **fields)
        moment = group.now()
        said[moment] = group.known_at(moment)
    for moment, answers in said.items():
        assert group.known_at(moment) == answers


def test_all_changes_of_one_transaction_are_known_from_one_moment(office: Engine) -> None:
    with office.begin() as connection:
        for name in ("One", "Two"):
            items.put(connection, [item("apple", name), item("pear", name)])
    with office.connect() as connection:
        moments = connection.execute(text("SELECT DISTINCT known_from FROM catalogue_entry")).scalars().all()
    assert len(moments) == 1
