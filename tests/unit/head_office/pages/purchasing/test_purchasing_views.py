"""What the page of the purchasing report says: whom not to trust and why, which rows, what changed, which morning."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from head_office.pages.purchasing import purchasing_views
from head_office.pages.purchasing.purchasing_question import NOW, read_question, settled_question
from head_office.pages.purchasing.purchasing_views import report_view
from head_office.reports.freshness import Freshness
from head_office.reports.purchasing.purchasing_records import (
    LocationState,
    PurchasingChange,
    PurchasingLocation,
    PurchasingReport,
    PurchasingRow,
)
from shared.catalogue_messages import CatalogueLocation
from shared.runtime.pages.forms import Form
from shared.runtime.problems import Problem


def a_location(place: str, state: str, **fresh: Any) -> PurchasingLocation:
    made: dict[str, Any] = {
        "name": None, "epoch": 1, "sequence": 7, "received_at": None, "occurred_at": None, "contacted_at": None,
        "branch_sequence": None, "verdict": None, "quarantined": 0,
    }  # fmt: skip
    return PurchasingLocation(
        location_id=place,
        name=f"Place {place}",
        as_of=0,
        known_at=0,
        state=LocationState(state),
        freshness=Freshness(location_id=place, **{**made, **fresh}),
    )


def a_row(place: str, item: str, supplier: str | None = "farm") -> PurchasingRow:
    return PurchasingRow(
        location_id=place, item_id=item, name=item.title(), unit="l", supplier_id=supplier, supplier_name=None,
        on_hand=0, reserved=0, available=0, in_transit=0, on_order=0, next_due=None, projected=0, reorder_point=0,
        order_up_to=1_000, order_quantity=None, pack_size=None, to_order=1_000, packs=None, daily_usage=None,
        days_left=7, lead_days=None, suggested_reorder_point=None, flags=("negative",),
        location_state=LocationState.FRESH,
    )  # fmt: skip


def a_report(**given: Any) -> PurchasingReport:
    made: dict[str, Any] = {"locations": [], "rows": [], "cut": {}, "window_days": 28, "date": None}
    return PurchasingReport(as_of=0, known_at=0, **{**made, **given})


@pytest.mark.parametrize(
    ("location", "why"),
    [
        (a_location("A", "BLIND"), "no call of its branch for 24 hours, so nothing of that time is in its figures"),
        (a_location("A", "INCOMPLETE", quarantined=1), "1 event is in quarantine"),
        (a_location("A", "INCOMPLETE", branch_sequence=9), "2 events had not arrived at its last call"),
        (a_location("A", "INCOMPLETE", verdict="FORKED"), "its log must be recovered"),
        # Of a morning what its branch had then is not kept.
        (a_location("A", "INCOMPLETE"), "not all that its branch recorded was in its figures"),
    ],
)
def test_why_a_location_is_not_to_be_trusted(location: PurchasingLocation, why: str) -> None:
    view = report_view(a_report(locations=[location, a_location("B", "FRESH")]), 1)
    (worry,) = view.worries
    assert (worry.why, worry.bad, view.fresh) == (why, location.state is LocationState.BLIND, 1)


def test_of_many_locations_so_many_are_named() -> None:
    view = report_view(a_report(locations=[a_location(f"L{n}", "BLIND") for n in range(60)]), 1)
    assert (len(view.worries), view.worries_left, view.fresh) == (50, 10, 0)


def test_every_row_is_on_one_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purchasing_views, "ROWS_SHOWN", 3)
    rows = [a_row(place, f"item-{n}", supplier) for supplier in ("a", "b", None) for place in "XY" for n in range(2)]
    shown = []
    for page in range(1, 5):
        view = report_view(a_report(rows=rows), page)
        assert (view.page, view.pages, view.shown) == (page, 4, 3)
        shown += [row.row for supplier in view.suppliers for place in supplier.locations for row in place.rows]
    assert shown == rows
    assert report_view(a_report(rows=rows), 99).page == 4
    assert report_view(a_report(), 1).pages == 1


def test_changes_in_words() -> None:
    def change(field: str, was: Any, now: Any) -> PurchasingChange:
        return PurchasingChange(
            location_id="X",
            item_id="milk",
            field=field,
            was=msgspec.Raw(msgspec.json.encode(was)),
            is_now=msgspec.Raw(msgspec.json.encode(now)),
        )

    changes = [
        change("listed", True, False),
        change("on_hand", 1.5, 2),
        change("supplier_id", None, "farm"),
        change("flags", ["short"], []),
    ]
    view = report_view(a_report(changes=changes, rows=[a_row("X", "milk")]), 1)
    assert view.changes is not None
    assert [(each.item, each.what, each.was, each.now) for each in view.changes] == [
        ("Milk", "listed", "yes", "no"),
        ("Milk", "on hand", "1.5", "2"),
        ("Milk", "supplier", "nothing", "farm"),
        ("Milk", "flags", "short", "none"),
    ]


def a_place(zone: str) -> CatalogueLocation:
    return CatalogueLocation(location_id=zone, name=zone, timezone=zone, day_start=240)


def test_this_morning_is_one_of_a_location_where_it_is_that_date() -> None:
    asked = read_question(Form({}))
    late = 1_774_047_600_000_000  # 2026-03-20T23:00Z, when it is the 21st in Beirut
    for zone, date in (("Asia/Beirut", "2026-03-21"), ("America/New_York", "2026-03-20")):
        places = [a_place(zone)]
        assert settled_question(asked, [date, "2026-03-01"], places, late).date == date
        assert settled_question(asked, ["2026-03-19"], places, late).date == NOW
    assert settled_question(asked, [], [], late).date == NOW
    chosen = read_question(Form({"date": "2026-03-01"}))
    assert settled_question(chosen, ["2026-03-21"], [a_place("Asia/Beirut")], late) == chosen


@pytest.mark.parametrize(
    "query", [{"date": "2026-02-30"}, {"date": "x"}, {"known_at": "x"}, {"known_at": "2026-01-01"}]
)
def test_what_is_no_question(query: dict[str, str]) -> None:
    with pytest.raises(Problem) as refused:
        read_question(Form(query))
    assert refused.value.status == 422


def test_an_address_carries_the_question() -> None:
    query = {"date": "2026-03-01", "location_id": "A", "rows": "all", "figures": "since"}
    moment = {"known_at": "2026-03-02T10:00:00.000001Z"}
    assert read_question(Form(query | moment)) == read_question(Form(read_question(Form(query | moment)).fields()))
    assert read_question(Form(query)).fields() == query
