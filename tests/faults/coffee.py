"""The coffee-shop data set as a group of three branches, and what its stock must be, straight from the CSV in SQL.

The set has sales only. Purchases and counts follow a rule that is stated here and nowhere hidden: every Monday at 05:00
of the shop's wall clock each product p gets 30 + p mod 20 pieces, in week w of the set; every Sunday at 22:00 each
product is counted, and 40 + (7 w + 3 p) mod 50 pieces are found, whatever the book says. Nothing here uses our fold.
"""

from __future__ import annotations

import csv
import gzip
import io
import sqlite3
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "coffee_shop_sales.csv.gz"
STORES = {"AST": "3", "LOW": "5", "HEL": "8"}
ZONE = ZoneInfo("America/New_York")
LINES = 149_116
FIRST_DAY, LAST_DAY = date(2023, 1, 1), date(2023, 6, 30)
MONTH_ENDS = (
    date(2023, 1, 31), date(2023, 2, 28), date(2023, 3, 31), date(2023, 4, 30), date(2023, 5, 31), date(2023, 6, 30),
)  # fmt: skip

MAP = """
source = "coffee-till"
time_zone = "America/New_York"
fold = "earlier"
type = "ORDER_DEDUCTION"
unknown_items = "reject"

[columns]
id = "transaction_id"
item = "product_id"
quantity = "transaction_qty"
date = "transaction_date"
time = "transaction_time"

[formats]
date = "%Y-%m-%d"
time = "%H:%M:%S"

[where]
store_id = "{store}"
"""


class Coffee:
    """The set in a SQLite database of its own: `sale`, `purchase`, `stocktake`, all in micros UTC and whole pieces."""

    def __init__(self) -> None:
        self.db = sqlite3.connect(":memory:")
        self.db.executescript(
            "CREATE TABLE sale (id, store, product, pieces, at);"
            "CREATE TABLE purchase (store, product, pieces, at); CREATE TABLE stocktake (store, product, pieces, at);"
        )
        self.products: dict[str, str] = {}
        self._months: dict[int, list[str]] = {}
        with gzip.open(DATA, "rt", encoding="utf-8", newline="") as file:
            self._head, *rows = list(csv.reader(file))
        column = {name: place for place, name in enumerate(self._head)}
        sales = []
        for row in rows:
            day = date.fromisoformat(row[column["transaction_date"]])
            self._months.setdefault(day.month, []).append(_csv_line(row))
            product = row[column["product_id"]]
            self.products[product] = row[column["product_detail"]].strip()
            at = _micros(day, time.fromisoformat(row[column["transaction_time"]]))
            sales.append(
                (
                    row[column["transaction_id"]],
                    row[column["store_id"]],
                    product,
                    int(row[column["transaction_qty"]]),
                    at,
                )
            )
        self.db.executemany("INSERT INTO sale VALUES (?, ?, ?, ?, ?)", sales)
        self._make_up()

    def _make_up(self) -> None:
        day = FIRST_DAY
        while day <= LAST_DAY:
            week = (day - FIRST_DAY).days // 7
            for store in STORES.values():
                for product in self.products:
                    number = int(product)
                    if day.weekday() == 0:
                        row = (store, product, 30 + number % 20, _micros(day, time(5)))
                        self.db.execute("INSERT INTO purchase VALUES (?, ?, ?, ?)", row)
                    if day.weekday() == 6:
                        row = (store, product, 40 + (7 * week + 3 * number) % 50, _micros(day, time(22)))
                        self.db.execute("INSERT INTO stocktake VALUES (?, ?, ?, ?)", row)
            day += timedelta(days=1)

    def month_file(self, folder: Path, month: int) -> Path:
        """The lines of one month, of all stores, as a till would have left them."""
        path = folder / f"sales-2023-{month:02}.csv"
        path.write_text(_csv_line(self._head) + "".join(self._months[month]), encoding="utf-8", newline="")
        return path

    def made_up(self, store: str) -> list[dict[str, object]]:
        """The purchases and counts of a store, as events for POST /v1/events/batch, each with its key."""
        events: list[dict[str, object]] = []
        for table, kind, figure in (
            ("purchase", "PURCHASE_RECEIVED", "quantity"),
            ("stocktake", "STOCKTAKE", "counted"),
        ):
            query = f"SELECT product, pieces, at FROM {table} WHERE store = ? ORDER BY at, product"
            events += [
                {
                    "key": f"{kind}-{store}-{product}-{at}",
                    "type": kind,
                    "item_id": product,
                    figure: pieces,
                    "occurred_at": datetime.fromtimestamp(at / 1_000_000, UTC).isoformat(),
                }
                for product, pieces, at in self.db.execute(query, (store,))
            ]
        return events

    def stock(self, store: str, as_of: int | None = None) -> dict[str, int]:
        """Pieces of every product at a store: the last count not after `as_of`, and what came and went since.

        No event here shares a moment with a count, so time alone is an order.
        """
        found = {}
        bound = as_of if as_of is not None else 2**62
        for product in self.products:
            counted = self.db.execute(
                "SELECT pieces, at FROM stocktake WHERE store = ? AND product = ? AND at <= ? ORDER BY at DESC LIMIT 1",
                (store, product, bound),
            ).fetchone()
            pieces, since = counted or (0, -1)
            for table, sign in (("purchase", 1), ("sale", -1)):
                query = f"SELECT coalesce(sum(pieces), 0) FROM {table} WHERE store=? AND product=? AND at>? AND at<=?"
                pieces += sign * self.db.execute(query, (store, product, since, bound)).fetchone()[0]
            found[product] = pieces
        return found


def end_of_business(day: date) -> int:
    """The last moment of a business day that ends at 04:00 of the next morning, micros UTC."""
    return _micros(day + timedelta(days=1), time(4)) - 1


def _micros(day: date, at: time) -> int:
    return int(datetime.combine(day, at, ZONE).timestamp()) * 1_000_000


def _csv_line(row: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(row)
    return text.getvalue()
