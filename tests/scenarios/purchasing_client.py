"""A purchasing office as a program of its own: a week of orders and deliveries, over HTTP and by the command line.

It keeps its own books and prints what it did, what it was answered, and whether that is what the books say, as lines of
JSON. What it knows of the system is in the file that is its argument: addresses, keys and folders.

    python tests/scenarios/purchasing_client.py told.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.scenarios.purchasing_days import ONE, REPORT, TWO, PurchasingDays
from tests.scenarios.purchasing_desk import ask, check, csv_says, pdf_says, say, tell, until, xlsx_says


def play(week: PurchasingDays) -> None:
    """The week, day by day."""
    week.import_files()
    for place, item_id, quantity in (
        (ONE, "flour", 50), (ONE, "milk", 40), (ONE, "oil", 12), (TWO, "flour", 30), (TWO, "milk", 30),
    ):  # fmt: skip
        week.moved(0, place, item_id, quantity, "PURCHASE_RECEIVED")
    week.moved(1, ONE, "flour", -30, "ORDER_DEDUCTION")
    week.moved(1, ONE, "milk", -10, "ORDER_DEDUCTION")
    week.moved(1, TWO, "flour", -5, "ORDER_DEDUCTION")
    week.moved(1, TWO, "milk", -18, "ORDER_DEDUCTION")
    week.moved(1, ONE, "oil", -8, "ORDER_DEDUCTION")
    milk, two_lines = week.morning(2, "day 2")
    _refused(week, two_lines)

    week.received(2, two_lines, {1: 15})  # in part
    week.moved(2, ONE, "flour", -5, "ORDER_DEDUCTION")
    week.moved(2, ONE, "milk", -20, "ORDER_DEDUCTION")
    (more_milk,) = week.morning(3, "day 3, a part came")

    week.received(3, milk, {1: 30})  # over
    twice, _ = week.received(3, two_lines, {1: 12, 2: 6})
    week.void(ONE, twice)
    week.morning(4, "day 4, one came over, one was typed twice and voided")

    week.received(4, two_lines, {1: 20})
    week.received(4, more_milk, {1: 24})
    week.moved(4, ONE, "milk", -4, "PURCHASE_RETURNED", (more_milk, 1))
    week.moved(4, TWO, "flour", -10, "WASTE_RECORDED")
    (far,) = week.morning(5, "day 5, some went back")

    _a_day_without_a_node(week, far)
    week.close(two_lines, 1, "the rest does not come")
    # By telephone: the goods were there before head office wrote the order down.
    week.moved(6, ONE, "milk", 12, "PURCHASE_RECEIVED", ("PHONE-1", 1))
    week.write_order(6, ONE, "dairy", [("milk", 24)], "PHONE-1")
    week.moved(6, ONE, "flour", -32, "ORDER_DEDUCTION")
    week.moved(6, TWO, "flour", -45, "ORDER_DEDUCTION")
    week.moved(6, TWO, "milk", -30, "ORDER_DEDUCTION")
    until(lambda: week.branches[ONE].ask("/v1/purchase-orders/PHONE-1").is_success, "PHONE-1 at its branch")
    until(lambda: week.branches[ONE].get(f"/v1/purchase-orders/{two_lines}")["lines"][0]["closed"], "the closed line")
    week.arrived()
    week.compare("day 7, one was closed, one came before its order: the report is what the books say", week.at(7, 6))
    week.compare_orders("day 7")
    _yesterday_again(week, two_lines)


def _refused(week: PurchasingDays, order_id: str) -> None:
    """What a branch does not take, and records nothing of."""
    branch = week.branches[ONE]
    until(lambda: branch.ask(f"/v1/purchase-orders/{order_id}").is_success, f"{order_id} at {ONE}")
    nobody = branch.refused("/v1/purchase-orders/PO-999999/receive", {"lines": [{"line": 1, "quantity": 1}]})
    check("an order that nobody made is not received", nobody == (404, "purchase-order-not-found"))
    reference = {"kind": "purchase-order", "id": order_id, "line": 1}
    other = {"type": "PURCHASE_RECEIVED", "item_id": "milk", "quantity": 1, "reference": reference}
    differs = branch.refused("/v1/events", other)
    check("another item than the line's is refused", differs == (422, "purchase-order-line-differs"))
    say(f"refused: {nobody[0]} {nobody[1]}; {differs[0]} {differs[1]}")


def _a_day_without_a_node(week: PurchasingDays, order_id: str) -> None:
    """The second branch's node is down for a day; what it pulled before is received there all the same."""
    branch = week.branches[TWO]
    until(lambda: branch.ask(f"/v1/purchase-orders/{order_id}").is_success, f"{order_id} at {TWO}")
    ask("stop", TWO)
    done = branch.larder("receive", order_id, "--line", "1=30", "--occurred-at", week.at(5, 12).isoformat())
    week.compare("day 6, a branch is away: the report still counts on its order", week.at(6, 6))
    say(f"{TWO} away: {order_id} received there by the command line, 30")
    ask("serve", TWO)
    week.enter_received(5, order_id, done["recorded"])
    week.morning(6, "day 6, the branch is back")


def _yesterday_again(week: PurchasingDays, late_order: str) -> None:
    """The report of yesterday, kept as files; the same after late events where it is known at yesterday."""
    at = week.at(7, 6)
    known_at = week.office.get(REPORT)["known_at"]
    kept = week.files(at, known_at)
    report = json.loads(kept["json"])
    rows, places = report["items"], [each["location_id"] for each in report["locations"]]
    check("yesterday's report lists something", bool(rows))
    printed = week.office.larder("report", "purchasing", "--as-of", at.isoformat(), "--known-at", known_at)
    check("the command prints the same report", printed == report)
    check("the CSV has the rows of the JSON", csv_says(kept["csv"], rows))
    check("the XLSX has the rows of the JSON, and its locations", xlsx_says(kept["xlsx"], rows, places))
    check("the PDF has a line of each row", pdf_says(kept["pdf"], rows))
    week.received(6, late_order, {2: 10})
    week.moved(6, ONE, "milk", -42, "ORDER_DEDUCTION")
    week.moved(5, TWO, "milk", -2, "ORDER_DEDUCTION")
    week.arrived()
    again = week.files(at, known_at)
    for form, content in kept.items():
        check(f"after late events it is the same to the byte at its cut: {form}", again[form] == content)
    anew = week.office.get(REPORT, as_of=at.isoformat())
    check("without known_at it tells of the late events", anew["items"] != rows and anew["cut"] != report["cut"])
    week.compare("with the late events the report is what the books say", at)
    for day, (morning, known, content) in enumerate(week.mornings, 2):
        made_again = week.office.ask(REPORT, as_of=morning.isoformat(), known_at=known).content
        check(
            f"the report of day {day}, made again at the end of the week, is the same to the byte",
            made_again == content,
        )
        week.compare(f"the report of day {day} by what is known at the end is what the books say", morning)
    week.compare_orders("after late events")


def main() -> int:
    path = Path(sys.argv[1])
    week = PurchasingDays(json.loads(path.read_text(encoding="utf-8")), path.parent)
    play(week)
    tell("end")
    return 0


if __name__ == "__main__":
    sys.exit(main())
