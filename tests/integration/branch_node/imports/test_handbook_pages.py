"""The handbook's pages about files of tills: their commands, run as they stand there, make of their rows what they say.

What the rows come to is computed here a third time, from the rows alone, by csv and Decimal.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.branch_node.cli.test_commands import Branch
from tests.integration.branch_node.imports.handbook_pages import FOLDER, PAGES, Outcome, Page
from tests.integration.branch_node.imports.import_runs import rejected
from tests.support.processes import ROOT
from tests.support.strict_skips import shared_data

Row = dict[str, str]
Counted = tuple[str, str, Decimal]
FILTERED: Counted = ("filtered", "", Decimal())
SKIPPED: Counted = ("skipped", "", Decimal())
REJECTED: Counted = ("rejected", "", Decimal())
SALE, RETURN, WASTE = "ORDER_DEDUCTION", "CUSTOMER_RETURN", "WASTE_RECORDED"


def line_ids(row: Row) -> Counted:
    if row["store_id"] != "3":
        return FILTERED
    return SALE, row["product_id"], Decimal(row["transaction_qty"])


def two_files(row: Row) -> Counted:
    return SALE, row["pizza_id"], Decimal(row["quantity"])


def invoices(row: Row) -> Counted:
    code, quantity = row["StockCode"], Decimal(row["Quantity"])
    if code in ("POST", "B"):
        return SKIPPED
    if quantity > 0:
        return SALE, code, quantity
    return RETURN if row["InvoiceNo"].startswith("C") else WASTE, code, -quantity


def workbook(row: Row) -> Counted:
    return SKIPPED if row["Date"] == "Total" else (SALE, row["Code"], Decimal(row["Sold"]))


def european(row: Row) -> Counted:
    text = row["Menge"].replace(".", "").replace(",", ".")
    if text.endswith("-"):
        return RETURN, row["Artikel"], Decimal(text[:-1])
    return SALE, row["Artikel"], Decimal(text)


def stock_take(row: Row) -> Counted:
    item = {"5449000000996": "cola", "4006381333931": "orange", "5000112637922": "tonic"}[row["barcode"]]
    return "STOCKTAKE", item, Decimal(row["counted"]) * IN_UNITS[row["unit"]]


def delivery_note(row: Row) -> Counted:
    if not row["article"]:
        return SKIPPED
    return "PURCHASE_RECEIVED", row["article"], Decimal(row["quantity"]) * IN_UNITS[row["unit"]]


def waste(row: Row) -> Counted:
    kinds = {"broken": WASTE, "waste": WASTE, "staff": "INTERNAL_USE", "correction": "ADJUSTMENT"}
    kind = kinds.get(row["kind"])
    return REJECTED if kind is None else (kind, row["article"], Decimal(row["quantity"]))


def daily_numbers(row: Row) -> Counted:
    return (SALE, row["article"], Decimal(row["quantity"])) if row["till"] == "1" else FILTERED


def month_names(row: Row) -> Counted:
    return SALE, row["article"], Decimal(row["qté"])


IN_UNITS = {"bottle": Decimal(1), "case": Decimal(24), "kg": Decimal(1), "g": Decimal("0.001")}
COMPUTED: dict[str, Callable[[Row], Counted]] = {
    "line-ids": line_ids,
    "two-files": two_files,
    "invoices": invoices,
    "workbook": workbook,
    "european": european,
    "stock-take": stock_take,
    "delivery-note": delivery_note,
    "waste": waste,
    "daily-numbers": daily_numbers,
    "month-names": month_names,
}
IN, SET = {"PURCHASE_RECEIVED", RETURN, "ADJUSTMENT"}, "STOCKTAKE"


def stock_of(outcomes: list[Outcome]) -> dict[str, Decimal]:
    """What is in stock afterwards; counts of several areas are added up."""
    stock: dict[str, Decimal] = defaultdict(Decimal)
    for each in outcomes:
        if each.item:
            stock[each.item] += each.quantity if each.becomes in IN or each.becomes == SET else -each.quantity
    return dict(stock)


def a_branch(folder: Path, page: Page) -> Branch:
    branch = Branch(folder / "node")
    branch.json("init", "--location", "BEY-01", "--timezone", page.said.get("time_zone", "Asia/Beirut"))
    return branch


def run(branch: Branch, command: str) -> tuple[int, Any]:
    """Run a command of a page; exit code and what it prints."""
    larder, service, *words = shlex.split(command)
    assert (larder, service, words.count("DIR")) == ("larder", "branch", 1)
    place = words.index("--dir")
    done = branch.run(*words[:place], *words[place + 2 :], "--json")
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)


def stock(branch: Branch) -> dict[str, Decimal]:
    return {each["item_id"]: Decimal(str(each["on_hand"])) for each in branch.json("stock")["items"]}


@pytest.mark.parametrize("served", [False, True], ids=["direct", "served"])
@pytest.mark.parametrize("name", PAGES)
def test_what_a_page_says_is_so(name: str, served: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page(name)
    computed = [Outcome(line, *COMPUTED[name](row)) for line, row in page.rows]
    assert page.outcomes == computed
    assert page.stock == stock_of(computed)
    monkeypatch.chdir(tmp_path)
    page.write_to(tmp_path)
    branch = a_branch(tmp_path, page)
    with branch.serve() if served else nullcontext():
        *prepare, dry, real = page.commands
        assert dry == f"{real} --dry-run"
        for command in prepare:
            assert run(branch, command)[0] == 0
        kinds = Counter(each.becomes for each in computed)
        summaries = [run(branch, command) for command in (dry, real)]
        for code, summary in summaries:
            assert code == (1 if kinds["rejected"] else 0)
            for word in ("filtered", "skipped", "rejected"):
                assert summary[word] == kinds[word]
            assert summary["by_type"] == by_type(computed)
        assert stock(branch) == page.stock
    if kinds["rejected"]:
        lines = [each.line for each in computed if each.becomes == "rejected"]
        assert [line for line, _ in rejected(tmp_path / page.imported)] == lines


def by_type(outcomes: list[Outcome]) -> dict[str, dict[str, object]]:
    """As in a summary: events and the sum of their quantities; the areas of an item are one event."""
    found: dict[str, dict[str, object]] = {}
    for kind in {each.becomes for each in outcomes if each.item}:
        of_kind = [each for each in outcomes if each.becomes == kind]
        events = len({each.item for each in of_kind}) if kind == SET else len(of_kind)
        total = sum((each.quantity for each in of_kind), Decimal())
        found[kind] = {"events": events, "quantity": pytest.approx(float(total), abs=1e-9)}
    return found


def test_every_page_is_in_the_index_and_nothing_else() -> None:
    index = (FOLDER / "index.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"\]\(([\w-]+)\.md\)", index)) == PAGES == sorted(COMPUTED)
    assert "imports/index.md" in (FOLDER.parent / "import.md").read_text(encoding="utf-8")
    assert "deploy/handbook/import.md" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["index", *PAGES])
def test_links_lead_somewhere(name: str) -> None:
    text = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\(([^)#]+)(?:#([^)]*))?\)", text):
        there = FOLDER / target
        assert there.is_file(), f"{name} links to {target}"
        headings = re.findall(r"^#+ (.*)$", there.read_text(encoding="utf-8"), re.M)
        anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in anchors, f"{name} links to #{anchor} in {target}"


def test_each_till_with_a_source_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second till's map, and the one for numbers that never begin again, as the page words them."""
    page = Page("daily-numbers")
    monkeypatch.chdir(tmp_path)
    page.write_to(tmp_path)
    second = page.map.replace('source = "till-1"', 'source = "till-2"').replace('till = "1"', 'till = "2"')
    (tmp_path / "till-2.toml").write_text(second)
    branch = a_branch(tmp_path, page)
    for till in ("till-1", "till-2", "till-1", "till-2"):
        assert branch.run("import", "receipts.csv", "--map", f"{till}.toml").returncode == 0
    assert stock(branch) == {"espresso": -4, "latte": -4}
    whole = page.map.replace('id_scope = "day"', 'id_scope = { column = "till" }').replace('[where]\ntill = "1"\n', "")
    (tmp_path / "tills.toml").write_text(whole.replace("till-1", "tills"))
    first_day = [line for line in page.texts[page.imported].splitlines() if "2025-01-31" not in line]
    (tmp_path / "first-day.csv").write_text("\n".join(first_day) + "\n")
    done = branch.json("import", "first-day.csv", "--map", "tills.toml")
    assert (done["recorded"], stock(branch)) == (3, {"espresso": -7, "latte": -5})


def test_a_line_that_was_corrected_in_the_rejects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page("waste")
    monkeypatch.chdir(tmp_path)
    page.write_to(tmp_path)
    branch = a_branch(tmp_path, page)
    for command in page.commands:
        run(branch, command)
    ((_, why),) = rejected(tmp_path / "list.csv")
    assert "'brokn'" in why
    assert "the nearest is broken" in why
    rejects = tmp_path / "list.csv.rejects.csv"
    rejects.write_text(rejects.read_text().replace("brokn,dropped", "broken,dropped"))
    assert branch.run("import", rejects.name, "--map", "list.toml").returncode == 0
    assert stock(branch)["soup"] == page.stock["soup"] - 1


def test_what_a_delivery_cost_and_the_cell_that_was_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page("delivery-note")
    monkeypatch.chdir(tmp_path)
    page.write_to(tmp_path)
    branch = a_branch(tmp_path, page)
    *prepare, dry, real = page.commands
    for command in prepare:
        run(branch, command)
    assert run(branch, dry)[1]["left_out"] == {"price": 1}
    words = shlex.split(real.removesuffix(" --dir DIR"))[2:]
    told = " ".join(branch.run(*words).stdout.split())
    assert "1 cell of column 'price' left out" in told
    events = [each for each in branch.json("log")["items"] if each["type"] == "PURCHASE_RECEIVED"]
    costs = {each["reference"]["line"]: each.get("cost") for each in events}
    assert costs[1] == {"amount": "144", "currency": "EUR"}
    assert costs[4] is None
    assert {each["expires_on"] for each in events if each["item_id"] == "cola"} == {"2025-12-31"}


def test_the_days_of_months_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page("month-names")
    said = re.findall(r"^\| \d \|.*\| (\d{4}-\d\d-\d\d) \|$", page.text, re.M)
    monkeypatch.chdir(tmp_path)
    page.write_to(tmp_path)
    branch = a_branch(tmp_path, page)
    run(branch, page.commands[-1])
    events = [each for each in branch.json("log")["items"] if each["type"] == SALE]
    assert sorted(each["occurred_at"][:10] for each in events) == sorted(said)


def lines_of(name: str) -> Iterator[list[str]]:
    with gzip.open(shared_data() / name, "rt", encoding="utf-8", newline="") as text:
        yield from csv.reader(text)


@pytest.mark.parametrize(
    ("page", "file", "data"),
    [
        ("line-ids", "sales.csv", "coffee_shop_sales.csv.gz"),
        ("two-files", "lines.csv", "order_details.csv.gz"),
        ("two-files", "orders.csv.gz", "orders.csv.gz"),
        ("invoices", "invoices.csv", "uci_online_retail.csv.gz"),
    ],
)
def test_samples_are_of_the_data_sets(page: str, file: str, data: str) -> None:
    wanted = {tuple(row) for row in csv.reader(Page(page).texts[file].splitlines())}
    for row in lines_of(data):
        wanted.discard(tuple(row))
    assert not wanted


def test_figures_that_were_made_from_the_coffee_shop() -> None:
    header, *rows = lines_of("coffee_shop_sales.csv.gz")
    sales = [dict(zip(header, row, strict=True)) for row in rows[:2_000]]
    sold: Counter[str] = Counter()
    for sale in sales:
        if (sale["store_id"], sale["transaction_date"]) == ("3", "2023-01-01"):
            sold[sale["product_id"]] += int(sale["transaction_qty"])
    report = Page("workbook").rows
    assert all(sold[row["Code"]] == int(row["Sold"]) for _, row in report[:-1])
    assert sum(int(row["Sold"]) for _, row in report[:-1]) == int(report[-1][1]["Sold"])
    by_id = {sale["transaction_id"]: sale for sale in sales}
    for _, row in Page("european").rows[:3]:
        sale = by_id[row["Bon"]]
        assert (row["Uhrzeit"], row["Artikel"], row["Bezeichnung"], row["Menge"]) == (
            sale["transaction_time"], sale["product_id"], sale["product_detail"], sale["transaction_qty"],
        )  # fmt: skip
