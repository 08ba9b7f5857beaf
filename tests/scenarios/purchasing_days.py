"""What a purchasing office does on a day, in the system and in its own books; and whether both say the same."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.scenarios.purchasing_books import Movement, OfficeBooks, PaperLine, PaperOrder, ParLevel
from tests.scenarios.purchasing_desk import Service, check, say, until, write_csv

ONE, TWO = "BEY-01", "BEY-02"
REPORT = "/v1/reports/purchasing"
SUPPLIERS = [("mill", "Mühle am Fluss", 2), ("dairy", "Bekaa Dairy", 1)]
LEVELS = {
    (ONE, "flour"): ParLevel(reorder_point=20, order_up_to=60, pack_size=10, supplier_id="mill", lead_days=2),
    (ONE, "milk"): ParLevel(reorder_point=15, order_quantity=24, pack_size=12, supplier_id="dairy", lead_days=1),
    (ONE, "oil"): ParLevel(reorder_point=5, order_up_to=20, supplier_id="mill", lead_days=4),
    (TWO, "flour"): ParLevel(reorder_point=20, order_up_to=60, pack_size=10, supplier_id="mill", lead_days=2),
    (TWO, "milk"): ParLevel(reorder_point=15, order_quantity=24, pack_size=12, supplier_id="dairy", lead_days=1),
}


class PurchasingDays:
    """The days of a week that ended yesterday; the office's books beside the system."""

    def __init__(self, told: dict[str, Any], folder: Path) -> None:
        self.office = Service("head-office", **told["office"])
        self.branches = {place: Service("branch", **each) for place, each in told["branches"].items()}
        self.books = OfficeBooks(LEVELS)
        self.sequences: dict[str, int] = {}
        self.mornings: list[tuple[datetime, str, bytes]] = []
        self._folder = folder
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        self._first = today - timedelta(days=8)

    def at(self, day: int, hour: int) -> datetime:
        return self._first + timedelta(days=day, hours=hour)

    # At the branches

    def moved(
        self, day: int, place: str, item_id: str, change: int, kind: str, order: tuple[str, int] | None = None
    ) -> str:
        """Record that goods came or went on a day, at noon; the event's id."""
        at = self.at(day, 12)
        body = {"type": kind, "item_id": item_id, "quantity": abs(change), "occurred_at": at.isoformat()}
        if kind == "WASTE_RECORDED":
            body["reason"] = "spoiled"
        if order is not None:
            body["reference"] = {"kind": "purchase-order", "id": order[0], "line": order[1]}
        event = self.branches[place].post("/v1/events", body)
        used = kind in {"ORDER_DEDUCTION", "WASTE_RECORDED"}
        return self._enter(event, place, at, change, used=used, order=order)

    def received(self, day: int, order_id: str, quantities: dict[int, int]) -> list[str]:
        """Receive on an order's lines at its branch, which pulled it; the events' ids."""
        place = self.books.orders[order_id].location_id
        branch = self.branches[place]
        path = f"/v1/purchase-orders/{order_id}"
        until(lambda: branch.ask(path).is_success, f"{order_id} at {place}")
        lines = [{"line": number, "quantity": quantity} for number, quantity in quantities.items()]
        answer = branch.post(f"{path}/receive", {"lines": lines, "occurred_at": self.at(day, 12).isoformat()})
        return self.enter_received(day, order_id, answer["recorded"])

    def enter_received(self, day: int, order_id: str, events: list[dict[str, Any]]) -> list[str]:
        """Enter what a branch answered to a delivery into the books; the events' ids."""
        place = self.books.orders[order_id].location_id
        return [
            self._enter(each, place, self.at(day, 12), each["quantity"], order=(order_id, each["reference"]["line"]))
            for each in events
        ]

    def void(self, place: str, event_id: str) -> None:
        answer = self.branches[place].post(f"/v1/events/{event_id}/void", {"reason": "mistake"})
        self.books.void(event_id)
        self.sequences[place] = max(self.sequences[place], answer["sequence"])

    def _enter(self, event: dict[str, Any], place: str, at: datetime, change: int, **more: Any) -> str:
        self.books.movements.append(Movement(event["event_id"], (place, event["item_id"]), at, change, **more))
        self.sequences[place] = max(self.sequences.get(place, 0), event["sequence"])
        return str(event["event_id"])

    # At head office

    def write_order(
        self, day: int, place: str, supplier_id: str, lines: list[tuple[str, int]], order_id: str | None = None
    ) -> str:
        """Order on a day, due two days later; the order's id."""
        due = self.at(day + 2, 0).date().isoformat()
        body: dict[str, Any] = {"location_id": place, "supplier_id": supplier_id, "due": due}
        body["lines"] = [{"item_id": item_id, "quantity": quantity} for item_id, quantity in lines]
        if order_id is not None:
            body["purchase_order_id"] = order_id
        made = str(self.office.post("/v1/purchase-orders", body)["purchase_order_id"])
        self.books.orders[made] = PaperOrder(place, supplier_id, due, [PaperLine(*each) for each in lines])
        return made

    def close(self, order_id: str, number: int, reason: str) -> None:
        """Close one line of an order."""
        body = {"lines": [number], "reason": reason}
        closed = self.office.post(f"/v1/purchase-orders/{order_id}/close", body)
        for line, answered in zip(self.books.orders[order_id].lines, closed["lines"], strict=True):
            line.closed = answered["closed"]

    def arrived(self) -> None:
        """Wait until head office has all that the branches were told to record, but of a node that is stopped."""

        def so() -> bool:
            cut = self.office.get(REPORT)["cut"]
            return all(cut.get(place, 0) >= last for place, last in self.sequences.items())

        until(so, "the branches' logs at head office")

    def morning(self, day: int, what: str) -> list[str]:
        """The report of a morning at six: is it what the books say? Order what it says; the ids of the orders."""
        self.arrived()
        at = self.at(day, 6)
        self.compare(f"{what}: the report is what the books say", at)
        known_at = self.office.get(REPORT)["known_at"]
        kept = self.office.ask(REPORT, as_of=at.isoformat(), known_at=known_at).content
        self.mornings.append((at, known_at, kept))
        rows = json.loads(kept)["items"]
        wanted: dict[tuple[str, str], list[tuple[str, int]]] = {}
        for row in rows:
            wanted.setdefault((row["location_id"], row["supplier_id"]), []).append((row["item_id"], row["to_order"]))
        made = [self.write_order(day, *key, lines) for key, lines in wanted.items()]
        told = (
            f"{order_id} {place} from {supplier_id}, " + " and ".join(f"{item_id} {n}" for item_id, n in lines)
            for order_id, ((place, supplier_id), lines) in zip(made, wanted.items(), strict=True)
        )
        say(f"{what}: {'; '.join(told) or 'nothing to order'}")
        return made

    def compare(self, what: str, at: datetime) -> None:
        """Check every row of the report as of a moment, the listed ones too; and every order by what is known now."""
        expected = self.books.report(at)
        everything = self.office.get(REPORT, as_of=at.isoformat(), all="true")["items"]
        found = {(row["location_id"], row["item_id"]): row for row in everything}
        wrong = [
            f"{pair} {name}: {found[pair][name]} for {value}"
            for pair, row in expected.items()
            for name, value in row.items()
            if pair in found and found[pair][name] != value
        ]
        for each in wrong:
            say(each)
        listed = {
            (row["location_id"], row["item_id"]) for row in self.office.get(REPORT, as_of=at.isoformat())["items"]
        }
        due = {pair for pair, row in expected.items() if row["projected"] <= row["reorder_point"]}
        check(what, not wrong and set(found) == set(expected) and listed == due)

    def compare_orders(self, what: str) -> None:
        """Check every order, at head office and at its branch, against the books; and that its lines add up."""
        now = datetime.now(UTC)
        same, adds_up = True, True
        for order_id, order in self.books.orders.items():
            path, expected = f"/v1/purchase-orders/{order_id}", self.books.order(order_id, now)
            of_office, of_branch = (each.get(path) for each in (self.office, self.branches[order.location_id]))
            for record in (of_office, of_branch):
                same = same and _as_in_books(record) == expected
            for line in of_office["lines"]:
                rest = max(line["quantity"] - line["received"], 0) if line["closed"] else 0
                adds_up = adds_up and line["quantity"] == line["received"] + line["open"] + rest - line["over"]
            lines = (
                ", ".join(f"{name} {line[name]}" for name in ("quantity", "received", "returned", "open", "over"))
                for line in of_office["lines"]
            )
            say(f"{order_id} {of_office['state']}: {'; '.join(lines)}")
        check(f"{what}: each order at head office and at its branch is what the books say", same)
        check(f"{what}: ordered = received + open + closed rest - over, on every line", adds_up)

    def files(self, at: datetime, known_at: str) -> dict[str, bytes]:
        """The report as of and known at, in every format."""
        params = {"as_of": at.isoformat(), "known_at": known_at}
        return {form: self.office.ask(REPORT, format=form, **params).content for form in ("json", "csv", "xlsx", "pdf")}

    def import_files(self) -> None:
        suppliers = write_csv(self._folder / "suppliers.csv", ("supplier_id", "name", "lead_days"), list(SUPPLIERS))
        names = ("reorder_point", "order_up_to", "order_quantity", "pack_size", "supplier_id")
        rows: list[tuple[Any, ...]] = [
            (*pair, *(getattr(level, name) for name in names), 4 if pair[1] == "oil" else None)
            for pair, level in LEVELS.items()
        ]
        levels = write_csv(self._folder / "levels.csv", ("location_id", "item_id", *names, "lead_days"), rows)
        found = self.office.larder("suppliers", "import", suppliers), self.office.larder("levels", "import", levels)
        check(
            "suppliers and levels are imported whole",
            [each["added"] for each in found] == [len(SUPPLIERS), len(LEVELS)],
        )


def _as_in_books(record: dict[str, Any]) -> dict[str, Any]:
    """The part of an order's record that the books have."""
    lines = [{name: value for name, value in line.items() if name not in {"unit", "cost"}} for line in record["lines"]]
    names = ("purchase_order_id", "location_id", "supplier_id", "due", "state")
    return {name: record[name] for name in names} | {"lines": lines}
