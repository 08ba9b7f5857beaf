"""Purchasing reports for the tests of their files: rows that differ in what is said of them alone."""

from __future__ import annotations

from typing import Any

import msgspec

from head_office.reports.freshness import Freshness
from head_office.reports.purchasing.purchasing_records import (
    LocationState,
    PurchasingChange,
    PurchasingLocation,
    PurchasingReport,
    PurchasingRow,
)

KNOWN_AT = 1_795_928_400_123_456  # 2026-11-29T05:00:00.123456Z
HOUR = 3_600_000_000
FORMULAS = (
    "=1+1", "+1", "-1", "@x", "\tx", "\rx", '=HYPERLINK("http://example.com";"x")', "http://example.com",
)  # fmt: skip
LONG = "Tomatoes, peeled, in a tin of two and a half kilograms, whose name goes on and on and never comes to an end"
ARABIC = "طماطم مقشورة"
NAMES = (
    ARABIC, "Crème fraîche épaisse 30 %", "Labneh لبنة 1kg (باكيت)", "番茄 🍅 ketchup", LONG, "Жито ржаное", "קפה טחון",
    "زيت زيتون بكر ممتاز Extra Virgin Olive Oil 5L من الجنوب اللبناني للمطاعم والفنادق الكبيرة والمتوسطة", None,
    "Donaudampfschifffahrtsgesellschaftskapitänsmützenfabrik", "Ñandú & œufs <b>", "_x0041_", "{nb}", *FORMULAS,
)  # fmt: skip


def row(**fields: Any) -> PurchasingRow:
    """A row with the fields given, and common values in the others."""
    common: dict[str, Any] = {
        "location_id": "BEY-01", "item_id": "tomato", "name": "Tomatoes", "unit": "kg", "supplier_id": "ACME",
        "supplier_name": "Acme Foods", "on_hand": 1_234_567_500, "reserved": 500, "available": -4_635,
        "in_transit": 3_000, "on_order": 12_500, "next_due": "2026-12-01", "projected": 10_865, "reorder_point": 20_000,
        "order_up_to": 50_000, "order_quantity": None, "pack_size": 6_000, "to_order": 42_000, "packs": 7,
        "daily_usage": 1_333, "days_left": 125, "lead_days": 3, "suggested_reorder_point": 6_665,
        "flags": ("negative", "recount"), "location_state": LocationState.FRESH,
    }  # fmt: skip
    return PurchasingRow(**{**common, **fields})


def location(
    location_id: str, name: str | None, state: LocationState = LocationState.FRESH, known_at: int = KNOWN_AT
) -> PurchasingLocation:
    fresh = Freshness(
        location_id=location_id, name=name, epoch=1, sequence=42, received_at=known_at - HOUR, occurred_at=None,
        contacted_at=None, branch_sequence=None, verdict=None, quarantined=3 if state == "INCOMPLETE" else 0,
    )  # fmt: skip
    return PurchasingLocation(
        location_id=location_id, name=name, as_of=known_at, known_at=known_at, state=state, freshness=fresh
    )


def report(rows: list[PurchasingRow], locations: list[PurchasingLocation] | None = None) -> PurchasingReport:
    """A report as of and known at `KNOWN_AT`."""
    places = [location("BEY-01", "Beirut, Hamra")] if locations is None else locations
    cut = {each.location_id: 42 for each in places}
    return PurchasingReport(
        as_of=KNOWN_AT, known_at=KNOWN_AT, date=None, window_days=28, cut=cut, locations=places, rows=rows
    )


def large(count: int) -> PurchasingReport:
    """A report with every name above, by three suppliers and none."""
    suppliers = [("ACME", "Acme Foods"), ("FRUIT", "الخضار والفواكه الطازجة"), ("ÉPI", "Épicerie =1+1"), (None, None)]
    rows = [
        row(
            item_id=f"item-{number:06d}", name=NAMES[number % len(NAMES)], on_hand=number * 999 - 5_000,
            supplier_id=suppliers[number * 4 // count][0], supplier_name=suppliers[number * 4 // count][1],
            next_due=None if number % 2 else "2026-12-01", days_left=None if number % 3 else number % 900,
        )
        for number in range(count)
    ]  # fmt: skip
    places = [
        location("BEY-02", "بيروت، الأشرفية", LocationState.BLIND),
        location("=1+1", "@x", LocationState.INCOMPLETE),
        location("BEY-01", "Beirut, Hamra"),
    ]
    return report(rows, places)


def changed(whole: PurchasingReport) -> PurchasingReport:
    """The report as one of a morning, with what has changed since."""
    change = PurchasingChange(
        location_id="BEY-01", item_id="tomato", field="on_hand", was=msgspec.Raw(b"12.5"), is_now=msgspec.Raw(b"-3")
    )
    listed = msgspec.structs.replace(change, field="listed", was=msgspec.Raw(b"true"), is_now=msgspec.Raw(b"false"))
    return msgspec.structs.replace(whole, as_of=None, known_at=None, date="2026-11-29", changes=[change, listed])


if __name__ == "__main__":  # what the tests of other processes run
    import hashlib
    import sys
    from pathlib import Path

    from head_office.reports.purchasing.files.rendered_report import FileFormat, render

    made = large(int(sys.argv[1]))
    for name in sys.argv[2:]:
        digest = hashlib.sha256()
        for part in render(made, FileFormat(name)).content:
            digest.update(part)
        print(name, digest.hexdigest())
    # The most of this program alone; what getrusage tells begins with that of the process that started it.
    (peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    print("megabytes", int(peak.split()[1]) // 1024)
