"""The report of a morning, read again later: the same to the byte, and what it would be by what is known since."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import update

from head_office.catalogue.location_levels import LevelChange, put_levels
from head_office.database.schema import LOCATION
from head_office.reports.purchasing.purchasing_records import PurchasingReport
from shared.levels.reorder_levels import ReorderLevel
from shared.runtime.problems import Problem
from tests.support.morning_rig import ZONES, MorningRig, as_bytes, utc


@pytest.fixture
def morning(rig: MorningRig) -> MorningRig:
    """A morning at which BEY-01 had 4 of milk and 50 of oil, BEY-02 and NYC-01 nothing."""
    rig.clock("2087-03-20T03:00")
    rig.record("BEY-01", "STOCKTAKE", 9_000, "2087-03-19T20:00")
    rig.record("BEY-01", "ORDER_DEDUCTION", 5_000, "2087-03-20T01:00")
    rig.record("BEY-01", "STOCKTAKE", 50_000, "2087-03-20T01:00", item_id="oil")
    rig.clock("2087-03-20T10:00")
    assert rig.make() == 3
    return rig


def changed(report: PurchasingReport) -> list[tuple[str, str, str, object, object]]:
    assert report.changes is not None
    return [
        (each.location_id, each.item_id, each.field, msgspec.json.decode(each.was), msgspec.json.decode(each.is_now))
        for each in report.changes
    ]


def test_late_events_change_nothing_of_it(morning: MorningRig) -> None:
    before = {
        (str(places), all_rows): as_bytes(morning.report("2087-03-20", location_ids=places, all_rows=all_rows))
        for places in (None, ["BEY-01"], ["NYC-01", "BEY-02"])
        for all_rows in (False, True)
    }
    morning.clock("2087-03-21T12:00")
    morning.record("BEY-01", "ORDER_DEDUCTION", 47_000, "2087-03-20T02:00", item_id="oil")
    morning.record("BEY-01", "PURCHASE_RECEIVED", 30_500, "2087-03-20T02:30")
    morning.record("BEY-02", "PURCHASE_RECEIVED", 1_250, "2087-03-19T22:00")
    morning.record("NYC-01", "PURCHASE_RECEIVED", 90_000, "2087-03-20T10:00:01")  # after its morning
    morning.make()
    for places in (None, ["BEY-01"], ["NYC-01", "BEY-02"]):
        for all_rows in (False, True):
            again = morning.report("2087-03-20", location_ids=places, all_rows=all_rows)
            assert as_bytes(again) == before[str(places), all_rows]


def test_what_is_known_since_is_shown_field_by_field(morning: MorningRig) -> None:
    morning.clock("2087-03-21T12:00")
    morning.record("BEY-01", "ORDER_DEDUCTION", 47_000, "2087-03-20T02:00", item_id="oil")
    morning.record("BEY-01", "PURCHASE_RECEIVED", 30_500, "2087-03-20T02:30")
    morning.record("BEY-02", "PURCHASE_RECEIVED", 1_250, "2087-03-19T22:00")
    morning.record("NYC-01", "PURCHASE_RECEIVED", 90_000, "2087-03-20T10:00:01")
    morning.clock("2087-03-21T13:00")
    report = morning.report("2087-03-20", known_at="2087-03-21T12:30")
    assert [each for each in changed(report) if each[2] in {"listed", "on_hand", "to_order", "packs"}] == [
        ("BEY-01", "milk", "listed", True, False),
        ("BEY-01", "oil", "listed", False, True),
        ("BEY-02", "milk", "on_hand", 0, 1.25),
    ]
    assert {(each.as_of, each.known_at) for each in report.locations if each.location_id != "NYC-01"} == {
        (utc("2087-03-20T04:00"), utc("2087-03-21T12:30"))
    }
    everything = changed(morning.report("2087-03-20", known_at="2087-03-21T12:30", all_rows=True))
    assert ("BEY-01", "oil", "on_hand", 50, 3) in everything
    assert ("BEY-01", "oil", "to_order", 0, 18) in everything
    assert ("BEY-01", "oil", "packs", 0, 3) in everything
    assert ("BEY-01", "milk", "on_hand", 4, 34.5) in everything
    assert not [each for each in everything if each[0] == "NYC-01"]
    places = [each[:2] for each in everything]
    assert places == sorted(places)


def test_known_at_the_morning_itself_nothing_has_changed(morning: MorningRig) -> None:
    morning.clock("2087-03-21T12:00")
    morning.record("BEY-02", "PURCHASE_RECEIVED", 1_250, "2087-03-19T22:00")
    report = morning.report("2087-03-20", location_ids=["BEY-02"], known_at="2087-03-20T04:00")
    assert report.changes == []
    assert list(report.rows) == list(morning.report("2087-03-20", location_ids=["BEY-02"]).rows)


def test_of_several_moments(morning: MorningRig) -> None:
    everywhere = morning.report("2087-03-20")
    assert (everywhere.as_of, everywhere.known_at, everywhere.date) == (None, None, "2087-03-20")
    assert sorted(each.location_id for each in everywhere.locations) == sorted(ZONES)
    assert {each.location_id: each.as_of for each in everywhere.locations} == {
        "BEY-01": utc("2087-03-20T04:00"),
        "BEY-02": utc("2087-03-20T04:00"),
        "NYC-01": utc("2087-03-20T10:00"),
    }
    order = [(row.supplier_id or "~", row.location_id, row.item_id) for row in everywhere.rows]
    assert order == sorted(order)
    assert list(everywhere.cut) == sorted(ZONES)
    here = morning.report("2087-03-20", location_ids=["BEY-01", "BEY-02"])
    assert here.as_of == here.known_at == utc("2087-03-20T04:00")
    assert [row for row in everywhere.rows if row.location_id != "NYC-01"] == list(here.rows)


def test_where_none_was_made(morning: MorningRig) -> None:
    with pytest.raises(Problem) as refused:
        morning.report("2087-03-19")
    assert (refused.value.code, refused.value.status) == ("report-not-made", 404)
    with morning.engine.begin() as connection:
        connection.execute(update(LOCATION).where(LOCATION.c.location_id == "BEY-02").values(report_time=1_000))
    morning.clock("2087-03-21T05:00")
    morning.make()
    assert [each.location_id for each in morning.report("2087-03-21").locations] == ["BEY-01"]
    with pytest.raises(Problem) as refused:
        morning.report("2087-03-21", location_ids=["BEY-02"])
    assert refused.value.code == "report-not-made"


def test_levels_are_those_that_were_known(morning: MorningRig) -> None:
    before = as_bytes(morning.report("2087-03-20"))
    morning.clock("2087-03-20T12:00")
    with morning.engine.begin() as connection:
        level = ReorderLevel(reorder_point=60_000, order_up_to=90_000)
        put_levels(connection, [LevelChange("BEY-01", each, level) for each in ("milk", "oil")])
    assert as_bytes(morning.report("2087-03-20")) == before
