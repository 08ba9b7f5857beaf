"""A first map imports its file unedited, and every row becomes what the file says."""

from __future__ import annotations

import csv
import gzip
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook
from sqlalchemy import func, select

from branch_node.database.schema import LOG
from branch_node.database.store import Store
from branch_node.imports.guessing.file_sample import MOST_ROWS, read_sample
from branch_node.imports.guessing.map_guess import GuessContext, GuessFailed, guess_map
from branch_node.imports.guessing.sample_outcome import sample_outcome
from branch_node.imports.mapping.map_parser import parse_map
from branch_node.imports.rows.import_catalogue import ImportCatalogue, ItemsCatalogue
from branch_node.imports.source_file import STDIN, FileRefused
from branch_node.model import Item, Location
from shared.runtime.clock import SystemClock, parse_rfc3339
from tests.integration.branch_node.imports.import_runs import import_file
from tests.support.branch import PLACE, Branch, TestClock
from tests.support.strict_skips import shared_data

BERLIN = ZoneInfo("Europe/Berlin")
NOW = parse_rfc3339("2026-03-01T12:00:00Z")[0]
AT_BERLIN = Location(location_id=PLACE, name="Berlin", timezone="Europe/Berlin")


@pytest.fixture
def branch(tmp_path: Path) -> Iterator[Branch]:
    store = Store(f"sqlite:///{tmp_path / 'branch.db'}", tmp_path)
    store.set_up(AT_BERLIN)
    found = Branch(store, TestClock(SystemClock().now()))
    found.writer.open()
    yield found
    found.writer.close()
    store.close()


def guessed(
    path: Path, *, location: Location | None = AT_BERLIN, catalogue: ImportCatalogue | None = None, stdin: bytes = b""
) -> str:
    """The first map of a file, which is valid and records all rows of the sample but for totals."""
    sample = read_sample(path, stdin=io.BytesIO(stdin) if path == STDIN else None)
    context = GuessContext(name=path.name, location=location, catalogue=catalogue, written_at=NOW)
    text = guess_map(sample, context)
    outcome = sample_outcome(text, sample, context)
    assert outcome.rejected == 0, (outcome.reasons, text)
    return text


def a_file(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def sums(branch: Branch) -> Counter[str]:
    """What the events of imports moved, by item, in thousandths."""
    event = LOG.event
    query = select(event.c.item_id, func.sum(event.c.on_hand_change)).where(event.c.on_hand_change.is_not(None))
    with branch.store.reading() as connection:
        return Counter({item: -int(moved) for item, moved in connection.execute(query.group_by(event.c.item_id))})


# The data sets


def test_the_coffee_shops(branch: Branch, tmp_path: Path) -> None:
    file = shared_data() / "coffee_shop_sales.csv.gz"
    summary = import_file(branch, file, guessed(file), rejects=tmp_path / "rejects.csv")
    assert (summary.rows, summary.recorded, summary.rejected) == (149_116, 149_116, 0)
    with gzip.open(file, "rt", encoding="utf-8", newline="") as text:
        wanted: Counter[str] = Counter()
        for row in csv.DictReader(text):
            wanted[row["product_id"]] += 1_000 * int(row["transaction_qty"])
    assert sums(branch) == wanted


@pytest.mark.parametrize("name", ["uci_online_retail", "order_details"])
def test_the_other_data_sets(name: str) -> None:
    found = parse_map(guessed(shared_data() / f"{name}.csv.gz").encode(), "map")
    columns = found.columns
    assert (columns.item, columns.quantity, columns.reference) == (
        ("StockCode", "Quantity", "InvoiceNo") if name == "uci_online_retail" else ("pizza_id", "quantity", "order_id")
    )


def test_a_file_without_what_is_needed() -> None:
    with pytest.raises(GuessFailed, match=r"quantity.*its columns are pizza_type_id, name"):
        guessed(shared_data() / "pizza_types.csv.gz")


# Files as tills write them

GERMAN = """\
Kassenbericht Filiale Mitte;;;;;;

Belegnr;Datum;Uhrzeit;Artikel;Menge;Einheit;Art
1001;31.01.2026;18:05;Käse;0,250;kg;Verkauf
1001;31.01.2026;18:05;Cola;2;St;Verkauf
1002;31.01.2026;18:09;Cola;-1;St;Storno
1003;31.01.2026;19:00;Käse;125;g;Bruch
Summe;;;;376,25;;
"""


def test_a_german_file(branch: Branch, tmp_path: Path) -> None:
    """Semicolons, cp1252, titles, decimal commas, kinds, units and a row of totals."""
    file = a_file(tmp_path / "kasse.csv", GERMAN, "cp1252")
    summary = import_file(branch, file, guessed(file))
    assert (summary.recorded, summary.skipped, summary.rejected) == (4, 1, 0)
    assert {kind: (each.events, each.quantity) for kind, each in summary.by_type.items()} == {
        "ORDER_DEDUCTION": (2, 2_250),
        "CUSTOMER_RETURN": (1, 1_000),
        "WASTE_RECORDED": (1, 125),
    }
    times = {event.occurred_at for event in branch.events() if event.type == "WASTE_RECORDED"}
    assert times == {parse_rfc3339("2026-01-31T19:00:00+01:00")[0]}
    assert sums(branch)["Käse"] == 375


def test_an_arabic_file(branch: Branch, tmp_path: Path) -> None:
    text = "التاريخ,الوقت,الصنف,الكمية,رقم الفاتورة\n31/01/2026,18:05,حليب,2,7\n31/01/2026,18:09,خبز,1,8\n"
    file = a_file(tmp_path / "sales.csv", text)
    summary = import_file(branch, file, guessed(file))
    assert (summary.recorded, summary.rejected) == (2, 0)
    assert sums(branch) == {"حليب": 2_000, "خبز": 1_000}


def test_a_workbook(branch: Branch, tmp_path: Path) -> None:
    """Typed dates, a title above the header and a row of totals."""
    book = Workbook()
    sheet = book.worksheets[0]
    sheet.append(["Sales of January"])
    sheet.append(["Line id", "Sold at", "SKU", "Qty", "Price"])
    for number in range(1, 6):
        sheet.append([number, datetime(2026, 1, number, 12, 30), f"A{number % 2}", number / 2, 1.5])  # noqa: DTZ001
    sheet.append(["Total", None, None, 7.5, None])
    book.save(tmp_path / "sales.xlsx")
    map_text = guessed(tmp_path / "sales.xlsx")
    summary = import_file(branch, tmp_path / "sales.xlsx", map_text)
    assert (summary.recorded, summary.skipped, summary.rejected) == (5, 1, 0)
    assert parse_map(map_text.encode(), "map").columns.id == "Line id"
    assert sums(branch) == {"A1": 4_500, "A0": 3_000}


def test_a_file_without_header(branch: Branch, tmp_path: Path) -> None:
    rows = "".join(f"2026-01-{1 + n % 28:02d} 12:00:00;cola-{n % 3};{1 + n % 2};{5000 + n}\n" for n in range(40))
    file = a_file(tmp_path / "till.csv", rows)
    text = guessed(file)
    assert "no header" in text
    assert "CHECK: the column 'column 3' was taken for quantity by its cells" in text
    summary = import_file(branch, file, text)
    assert (summary.rows, summary.recorded) == (40, 40)
    assert sum(sums(branch).values()) == 60_000


def test_standard_input() -> None:
    sale = b"sku,qty,at\nmilk,1,2026-01-31 12:00\n"
    assert 'item = "sku"' in guessed(STDIN, stdin=sale)
    assert guessed(STDIN, stdin=gzip.compress(sale)) == guessed(STDIN, stdin=sale)


def test_standard_input_of_a_workbook() -> None:
    book = Workbook()
    book.worksheets[0].append(["sku", "qty", "day"])
    book.worksheets[0].append(["milk", 1, "2026-01-31"])
    saved = io.BytesIO()
    book.save(saved)
    assert 'item = "sku"' in guessed(STDIN, stdin=saved.getvalue())


def test_a_file_without_times(branch: Branch, tmp_path: Path) -> None:
    """The rows happened when the file was written, and the map says so."""
    file = a_file(tmp_path / "sales.csv", "sku,qty\nmilk,1\nmilk,2\n")
    text = guessed(file)
    assert "--at" in text
    assert import_file(branch, file, text).recorded == 2
    assert {event.occurred_at for event in branch.events() if event.quantity} == {NOW}


def test_items_of_the_node(tmp_path: Path) -> None:
    items = [
        Item(item_id="MILK", unit="l", name="Milk"),
        Item(item_id="BREAD", unit="piece", name="Bread", barcode="96385074"),
    ]
    file = a_file(
        tmp_path / "sales.csv", "thing,other,qty,at\nmilk,x,1,2026-01-31 12:00\n96385074,x,2,2026-01-31 12:01\n"
    )
    found = parse_map(guessed(file, catalogue=ItemsCatalogue(items)).encode(), "map")
    assert (found.columns.item, found.item_by, found.item_case) == ("thing", ["code", "barcode"], "fold")
    assert found.unknown_items == "reject"


def test_day_or_month_by_the_place(tmp_path: Path) -> None:
    file = a_file(tmp_path / "sales.csv", "sku,qty,day\nmilk,1,01/02/2026\nmilk,2,03/02/2026\n")
    new_york = Location(location_id=PLACE, name="NY", timezone="America/New_York")
    here, there = guessed(file), guessed(file, location=new_york)
    assert 'date = "%d/%m/%Y"' in here
    assert 'date = "%m/%d/%Y"' in there
    assert "AMBIGUOUS" in here
    assert "AMBIGUOUS" in there


def test_columns_whose_names_act_on_a_terminal(tmp_path: Path) -> None:
    file = a_file(tmp_path / "sales.csv", 'sku,qty\x1b[2J,"at \u202e""\\"\nmilk,1,2026-01-31 12:00\n')
    text = guessed(file)
    assert {each for each in text if not each.isprintable()} == {"\n"}
    assert parse_map(text.encode(), "map").columns.quantity == "qty\x1b[2J"


def test_an_arabic_file_of_windows(tmp_path: Path) -> None:
    text = "التاريخ;الصنف;الكمية\n31/01/2026;حليب;2\n"
    found = parse_map(guessed(a_file(tmp_path / "sales.csv", text, "cp1256")).encode(), "map")
    assert (found.encoding, found.columns.quantity) == ("cp1256", "الكمية")


def test_a_damaged_byte_in_utf_8(tmp_path: Path) -> None:
    rows = "".join(f"Käse {n},1,2026-01-31 12:00\n" for n in range(40)).encode()
    (tmp_path / "sales.csv").write_bytes(b"sku,qty,at\nK\xe4se,1,2026-01-31 12:00\n" + rows)
    sample = read_sample(tmp_path / "sales.csv")
    assert (sample.encoding, sample.encoding_is_sure) == (None, False)
    assert [row.line for row in sample.rows if row.fault] == [2]


@pytest.mark.parametrize(
    ("header", "cells", "wanted"),
    [
        ("timestamp,sku,qty", "1769900000,a,1", "2026-01-31T22:53:20Z"),
        ("date,sku,qty", "46053.5,a,1", "2026-01-31T12:00:00Z"),
        ("date,sku,qty", "46053,a,1", "2026-01-31T12:00:00Z"),
    ],
)
def test_times_that_are_numbers(tmp_path: Path, header: str, cells: str, wanted: str) -> None:
    file = a_file(tmp_path / "sales.csv", f"{header}\n{cells}\n")
    text, sample = guessed(file, location=None), read_sample(file)
    context = GuessContext(name="x", location=None, catalogue=None, written_at=NOW)
    assert [row.occurred_at for row in sample_outcome(text, sample, context).rows] == [wanted]


def test_what_rows_are_is_to_be_checked_where_no_column_says_it(tmp_path: Path) -> None:
    """A sheet of counts, taken for sales, would deduct the whole stock."""
    said = "CHECK: no column says what rows are"
    assert said in guessed(a_file(tmp_path / "count.csv", "area,sku,qty\nbar,milk,24\ncellar,milk,48\n"))
    assert said not in guessed(a_file(tmp_path / "sales.csv", "sku,qty,type\nmilk,24,Sale\nmilk,1,Refund\n"))


@pytest.mark.parametrize("day", ["2026-01-31", "31.01.2026", "31/01/2026", "31 Jan 2026"])
def test_days_under_a_name_that_says_none(tmp_path: Path, day: str) -> None:
    """Days are known by their cells; digits alone, such as codes of eight, are a day only where the name says so."""
    text = guessed(
        a_file(tmp_path / "note.csv", f"Delivered,sku,lot,qty\n{day},milk,20260131,1\n{day},tea,20260130,2\n")
    )
    assert parse_map(text.encode(), "map").columns.date == "Delivered"


def test_a_name_that_stands_twice(branch: Branch, tmp_path: Path) -> None:
    """It cannot be named by a map; the file is imported by the other columns."""
    file = a_file(tmp_path / "sales.csv", "sku,sku,artikel,qty,at,\na,b,milk,2,2026-01-31 12:00,\n")
    text = guessed(file)
    assert "Names that stand twice" in text
    assert import_file(branch, file, text).recorded == 1
    assert sums(branch) == {"milk": 2_000}
    with pytest.raises(GuessFailed, match="names that stand twice cannot be used"):
        guessed(a_file(tmp_path / "other.csv", "sku,qty,qty\na,1,2\n"))


@pytest.mark.parametrize("content", [b"", b"\n\n", b"only one column\n1\n", b"%PDF-1.7\n", b"sku,qty,at\n"])
def test_what_is_no_file_of_sales(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.csv"
    file.write_bytes(content)
    with pytest.raises((FileRefused, GuessFailed)):
        guessed(file)


def test_a_long_file_is_read_in_part(tmp_path: Path) -> None:
    lines = "".join(f"{n},milk,1,2026-01-31 12:00\n" for n in range(300_000))
    sample = read_sample(a_file(tmp_path / "sales.csv", "id,sku,qty,at\n" + lines))
    assert MOST_ROWS <= len(sample.rows) <= MOST_ROWS + 100
    assert not sample.whole


# Generated files

DAYS = ["%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%Y/%m/%d", "%Y%m%d", "%d.%m.%y"]
NAMES = {
    "item": ["sku", "Artikelnummer", "Code produit", "Artículo", "Codice articolo", "Artigo", "Artikelcode", "الصنف"],
    "quantity": ["qty", "Menge", "Quantité", "Cantidad", "Quantità", "Quantidade", "Aantal", "الكمية"],
    "date": ["date", "Datum", "Jour", "Fecha", "Data", "Dia", "Dag", "التاريخ"],
    "time": ["time", "Uhrzeit", "Heure", "Hora", "Ora", "Hora", "Tijd", "الوقت"],
    "name": ["name", "Bezeichnung", "Désignation", "Descripción", "Descrizione", "Descrição", "Omschrijving", "الاسم"],
}
CODES = ["milk", "bread 2", "Käse", "crème", "pan-1", "x9"]

sale = st.tuples(
    st.sampled_from(CODES),
    st.integers(1, 9_999_999).map(lambda number: Decimal(number) / 1_000),
    st.integers(0, 400 * 24 * 60),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sales=st.lists(sale, min_size=1, max_size=12),
    language=st.integers(0, 7),
    day=st.sampled_from(DAYS),
    clock=st.sampled_from(["%H:%M", "%H:%M:%S", "%I:%M %p"]),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    decimal=st.sampled_from([".", ","]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"]),
    order=st.permutations(["item", "quantity", "date", "time", "name"]),
    titles=st.integers(0, 2),
)
def test_generated_files(
    tmp_path: Path,
    sales: Sequence[tuple[str, Decimal, int]],
    language: int,
    day: str,
    clock: str,
    delimiter: str,
    decimal: str,
    encoding: str,
    order: Sequence[str],
    titles: int,
) -> None:
    """Every row becomes what was generated, or the map says that it can be read in two ways."""
    if language == 7 and encoding == "cp1252":
        language = 0
    rows, wanted = [], []
    for code, quantity, minutes in sales:
        at = datetime(2024, 12, 1, 6, tzinfo=BERLIN) + timedelta(minutes=minutes % 900, days=minutes // 900)
        cells = {
            "item": code,
            "quantity": f"{quantity.normalize():f}".replace(".", decimal),
            "date": at.strftime(day),
            "time": at.strftime(clock),
            "name": f"name of {code}",
        }
        rows.append([cells[field] for field in order])
        wanted.append((code, int(quantity * 1_000), int(at.timestamp()) * 1_000_000))
    out = io.StringIO()
    for number in range(titles):
        out.write(f"Report {number}\n")
    lines = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    lines.writerow([NAMES[field][language] for field in order])
    lines.writerows(rows)
    file = a_file(tmp_path / "sales.csv", out.getvalue(), encoding)
    text = guessed(file)
    sample = read_sample(file)
    outcome = sample_outcome(text, sample, GuessContext(name="x", location=AT_BERLIN, catalogue=None, written_at=NOW))
    found = [(row.item, row.quantity, parse_rfc3339(row.occurred_at)[0]) for row in outcome.rows]
    assert len(found) == len(wanted)
    assert [each[0] for each in found] == [each[0] for each in wanted]
    if "AMBIGUOUS" not in text:
        assert found == wanted
