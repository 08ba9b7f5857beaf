"""The maps of the handbook's pages on the whole real files: every total of their README comes out, nothing is lost."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from branch_node.database.schema import LOG
from branch_node.database.store import Store
from branch_node.imports.import_summary import ImportSummary
from branch_node.imports.recorders.local_recorders import DryRunRecorder
from branch_node.imports.register.import_runs import TypeTotals
from branch_node.model import Location
from shared.runtime.clock import SystemClock
from tests.integration.branch_node.imports.handbook_pages import page_map
from tests.integration.branch_node.imports.import_runs import import_file, run
from tests.support.branch import PLACE, Branch, TestClock
from tests.support.strict_skips import shared_data

STORES = {
    "3": ("Astoria", 50_599, 70_991),
    "5": ("Lower Manhattan", 47_782, 71_742),
    "8": ("Hell's Kitchen", 50_735, 71_737),
}


@pytest.fixture
def branch(tmp_path: Path) -> Iterator[Branch]:
    store = Store(f"sqlite:///{tmp_path / 'branch.db'}", tmp_path)
    store.set_up(Location(location_id=PLACE, name="New York", timezone="America/New_York"))
    found = Branch(store, TestClock(SystemClock().now()))
    found.writer.open()
    yield found
    found.writer.close()
    store.close()


def moved(branch: Branch) -> tuple[int, int, int]:
    """By SQL alone: events that move stock, the sum of what they move in thousandths, and the items they name."""
    event = LOG.event
    query = select(func.count(), func.sum(event.c.on_hand_change), func.count(event.c.item_id.distinct()))
    with branch.store.reading() as connection:
        rows, quantity, items = connection.execute(query.where(event.c.on_hand_change.is_not(None))).one()
    return rows, int(quantity), items


def adds_up(summary: ImportSummary) -> bool:
    recorded = summary.recorded + summary.already_recorded + summary.repeated
    return summary.rows == recorded + summary.filtered + summary.skipped + summary.rejected + summary.conflicting


@pytest.mark.parametrize("store_id", STORES)
def test_each_coffee_shop(branch: Branch, tmp_path: Path, store_id: str) -> None:
    file = shared_data() / "coffee_shop_sales.csv.gz"
    _, lines, units = STORES[store_id]
    mapped = page_map("line-ids").replace('store_id = "3"', f'store_id = "{store_id}"')
    rejects = tmp_path / "rejects.csv"
    summary = import_file(branch, file, mapped, rejects=rejects)
    assert summary.by_type == {"ORDER_DEDUCTION": TypeTotals(events=lines, quantity=units * 1_000)}
    assert (summary.rows, summary.recorded, summary.filtered, summary.rejected) == (149_116, lines, 149_116 - lines, 0)
    rows, quantity, items = moved(branch)
    assert (rows, quantity) == (lines, -units * 1_000)
    assert items == summary.items_defined
    assert sum(standing.on_hand for standing in branch.standings().values()) == -units * 1_000
    head = branch.writer.head
    again = import_file(branch, file, mapped, rejects=rejects)
    assert (again.recorded, again.already_recorded) == (0, lines)
    assert branch.writer.head == head
    assert not rejects.exists()


def test_pizza_lines_take_their_time_from_the_orders(branch: Branch, tmp_path: Path) -> None:
    file = shared_data() / "order_details.csv.gz"
    summary = import_file(branch, file, page_map("two-files"), rejects=tmp_path / "rejects.csv")
    assert summary.by_type == {"ORDER_DEDUCTION": TypeTotals(events=48_620, quantity=49_574_000)}
    assert (summary.recorded, summary.rejected) == (48_620, 0)
    # Of 96 pizzas on the list five were never sold.
    assert (moved(branch), summary.items_defined) == ((48_620, -49_574_000, 91), 91)
    first, last = (event for event in branch.events() if event.command_key.endswith(("//id:1", "//id:48620")))  # type: ignore[union-attr]
    assert (first.reference.id, first.occurred_at) == ("1", 1_420_130_316_000_000)  # type: ignore[union-attr]  # 2015-01-01T11:38:36-05:00
    assert (last.reference.id, last.occurred_at) == ("21350", 1_451_620_925_000_000)  # type: ignore[union-attr]  # 2015-12-31T23:02:05-05:00


def test_uci_retail_with_its_traps(branch: Branch, tmp_path: Path) -> None:
    file = shared_data() / "uci_online_retail.csv.gz"
    with DryRunRecorder(branch.store, branch.clock.now()) as recorder:
        summary = run(recorder, file, page_map("invoices"), dry_run=True, rejects=tmp_path / "rejects.csv")
    assert adds_up(summary)
    assert (summary.rows, summary.rejected, summary.already_recorded) == (541_909, 0, 0)
    # Postage, carriage, discounts and the like, as the README counts them; the A invoices are three of the Bs.
    assert summary.skipped == 1_256 + 710 + 571 + 1 + 144 + 77 + 63 + 37 + 34 + 16 + 4 + 3
    # 4,070 codes as written, letter case and all, less the twelve that are not stock.
    assert summary.items_defined == 4_070 - 12
    assert summary.by_type["WASTE_RECORDED"] == TypeTotals(events=1_336, quantity=206_957_000)
    assert {kind: tally.events for kind, tally in summary.by_type.items()} == {
        "ORDER_DEDUCTION": 528_953, "CUSTOMER_RETURN": 8_704, "WASTE_RECORDED": 1_336,
    }  # fmt: skip


def test_uci_retail_with_everything_in_it(branch: Branch, tmp_path: Path) -> None:
    """Nothing skipped: the README's own totals, sign by sign."""
    file = shared_data() / "uci_online_retail.csv.gz"
    mapped = page_map("invoices")
    begin, end = mapped.index("# What is not stock"), mapped.index("[columns]")
    everything = mapped[:begin] + mapped[end:]
    begin, end = everything.index("# Invoices beginning with A"), everything.index("# Invoices beginning with C")
    everything = everything[:begin] + everything[end:]
    with DryRunRecorder(branch.store, branch.clock.now()) as recorder:
        summary = run(recorder, file, everything, dry_run=True, rejects=tmp_path / "rejects.csv")
    assert summary.by_type == {
        "ORDER_DEDUCTION": TypeTotals(events=541_909 - 10_624, quantity=5_660_981_000),
        "CUSTOMER_RETURN": TypeTotals(events=9_288, quantity=277_574_000),
        "WASTE_RECORDED": TypeTotals(events=1_336, quantity=206_957_000),
    }
    assert (summary.items_defined, summary.skipped, summary.rejected) == (4_070, 0, 0)


def test_a_day_of_uci_retail_in_the_log(branch: Branch, tmp_path: Path) -> None:
    """Its first rows, really recorded: equal rows all count, and 85123A is another item than 85123a."""
    file = tmp_path / "uci_first.csv"
    with gzip.open(shared_data() / "uci_online_retail.csv.gz", "rt", encoding="utf-8", newline="") as whole:
        lines = [next(whole) for _ in range(20_001)]
    lines.append(lines[1].replace("85123A", "85123a"))
    file.write_text("".join(lines), encoding="utf-8", newline="")
    summary = import_file(branch, file, page_map("invoices"))
    assert adds_up(summary)
    assert summary.rejected == 0
    kinds = {kind: tally.quantity for kind, tally in summary.by_type.items()}
    rows, quantity, items = moved(branch)
    assert rows == summary.recorded
    assert quantity == kinds["CUSTOMER_RETURN"] - kinds["ORDER_DEDUCTION"] - kinds["WASTE_RECORDED"]
    assert items == summary.items_defined
    assert {"85123A", "85123a"} <= branch.standings().keys()
