"""Cells that are empty, left out or typed, and times that a file does not have."""

import pytest

from branch_node.commands.event_inputs import EventContent
from branch_node.imports.cells.cell_readers import RowRejected
from branch_node.imports.mapping.map_parser import MapError, parse_map
from branch_node.imports.rows.row_reader import HeaderError, RowReader
from shared.events import Cost, Reference
from shared.runtime.clock import parse_rfc3339

TOP = """\
source = "till-7"
time_zone = "Asia/Beirut"
type = "ORDER_DEDUCTION"
"""
MAP = (
    TOP
    + """\
decimal = ","
thousands = "."
null = ["NULL", "n/a", "-"]
[columns]
item = "code"
quantity = "qty"
occurred_at = "at"
reference = "receipt"
reference_line = "line"
product = "dish"
note = "note"
cost = "amount"
lot = "lot"
expires_on = "best"
actor = "who"
[constants]
currency = "EUR"
[currencies]
"€" = "EUR"
"$" = "USD"
[formats]
expires_on = ["%d/%m/%y", "%Y-%m-%d"]
"""
)
LENIENT = (
    MAP
    + "[bad_cells]\n"
    + "".join(
        f'{name} = "leave-out"\n'
        for name in ("reference", "reference_line", "product", "note", "cost", "lot", "expires_on", "actor")
    )
)
ROW = {
    "code": "milk", "qty": "1.234,5", "at": "2026-01-31 12:00", "receipt": "R-1", "line": "2", "dish": "latte",
    "note": "n", "amount": "€ 12,50", "lot": "L", "best": "28/02/26", "who": "c9",
}  # fmt: skip


def read(text: str = MAP, **cells: str) -> EventContent:
    entry = RowReader(parse_map(text.encode(), "map"), list(ROW)).read(list((ROW | cells).values()))
    assert isinstance(entry, EventContent)
    return entry


def test_numbers_and_days_as_the_map_says() -> None:
    """Also a decimal comma in a file whose delimiter is a comma: the cells are in quotes."""
    entry = read()
    assert (entry.quantity, entry.cost, entry.expires_on) == (
        1_234_500, Cost(amount="12.5", currency="EUR"), "2026-02-28",
    )  # fmt: skip
    assert read(best="2026-03-01").expires_on == "2026-03-01"
    assert read(best="\x1d2026-03-01T00:00:00").expires_on == "2026-03-01"


@pytest.mark.parametrize("nothing", ["", " ", "NULL", " n/a ", "-"])
def test_texts_that_are_empty_cells(nothing: str) -> None:
    entry = read(receipt=nothing, note=nothing, amount=nothing, lot=nothing, best=nothing, who=nothing)
    assert (entry.reference, entry.note, entry.cost, entry.lot, entry.expires_on, entry.person) == (None,) * 6
    for needed, why in (
        ("code", "there is no item"),
        ("qty", "there is no quantity"),
        ("at", "there is no date and time"),
    ):
        with pytest.raises(RowRejected, match=why):
            read(**{needed: nothing})


BAD = {
    "receipt": "a\u200bb", "line": "0", "dish": "x" * 1_001, "note": "a\x00b", "amount": "gratis", "lot": "x" * 65,
    "best": "31/02/26", "who": "x" * 32,
}  # fmt: skip


@pytest.mark.parametrize("column", BAD)
def test_a_bad_cell_is_left_out_only_where_the_map_says_so(column: str) -> None:
    with pytest.raises(RowRejected):
        read(**{column: BAD[column]})
    found = RowReader(parse_map(LENIENT.encode(), "map"), list(ROW))
    entry = found.read(list((ROW | {column: BAD[column]}).values()))
    assert isinstance(entry, EventContent)
    assert entry.quantity == 1_234_500
    assert dict(found.left_out) == {column: 1}
    with pytest.raises(RowRejected):
        found.read(list((ROW | {column: BAD[column], "at": "soon"}).values()))
    assert dict(found.left_out) == {column: 1}


def test_what_is_left_of_a_row_with_bad_cells() -> None:
    entry = read(LENIENT, **BAD | {"receipt": "R-1"})
    assert entry.reference == Reference(id="R-1", kind="order")
    assert (entry.note, entry.cost, entry.lot, entry.expires_on, entry.person) == (None,) * 5


def test_costs_in_another_currency_and_of_zero() -> None:
    with pytest.raises(RowRejected, match="is in USD, the row says EUR"):
        read(amount="$ 3")
    for zero in ("0", "-0", "-0,00", "0,0000004"):
        assert read(amount=zero).cost == Cost(amount="0", currency="EUR")
    own = MAP.replace('[constants]\ncurrency = "EUR"\n', "")
    assert read(own, amount="$ 3").cost == Cost(amount="3", currency="USD")
    assert read(own, amount="CHF 3").cost == Cost(amount="3", currency="CHF")
    with pytest.raises(RowRejected, match="the cost has no currency"):
        read(own, amount="3")


def test_a_row_without_a_cost_needs_no_currency() -> None:
    given = MAP.replace('[constants]\ncurrency = "EUR"\n', "").replace('lot = "lot"', 'currency = "lot"')
    assert read(given, amount="", lot="none").cost is None
    assert read(given, amount="3", lot="CHF").cost == Cost(amount="3", currency="CHF")
    with pytest.raises(RowRejected, match="no currency such as"):
        read(given, amount="3", lot="none")


def test_typed_cells_in_columns_of_texts() -> None:
    assert read(note="\x1d2026-01-31T12:00:00").note == "2026-01-31T12:00:00"
    assert read(at="\x1d2026-01-31T12:00:00") == read()


COLUMNS = '[columns]\nitem = "code"\nquantity = "qty"\n'


@pytest.mark.parametrize(
    "said",
    [
        '[constants]\noccurred_at = "2026-01-31 18:30"\n',
        '[constants]\noccurred_at = "2026-01-31T16:30:00Z"\n',
        '[constants]\ndate = "2026-01-31"\ntime = "18:30"\n',
        'time = "clock"\n[constants]\ndate = "2026-01-31"\n',
        'time = "clock"\n[constants]\ndate = "31 Jan"\n[formats]\ndate = "%d %b"\n',
    ],
)
def test_a_file_without_dates(said: str) -> None:
    text = 'year = 2026\ndecimal = ","\nthousands = "."\n' + TOP + COLUMNS + said
    found = RowReader(parse_map(text.encode(), "map"), [*ROW, "clock"])
    entry = found.read([*ROW.values(), "18:30"])
    assert isinstance(entry, EventContent)
    assert entry.occurred_at == parse_rfc3339("2026-01-31T18:30:00+02:00")[0]


def test_the_moment_of_a_file_may_be_given_with_the_command() -> None:
    moment = parse_rfc3339("2026-01-31T18:30:00+02:00")[0]
    with pytest.raises(MapError, match=r"columns\.occurred_at: is missing"):
        parse_map((TOP + COLUMNS).encode(), "map")
    for top in (TOP, TOP.replace('time_zone = "Asia/Beirut"\n', "")):
        found = parse_map(('decimal = ","\nthousands = "."\n' + top + COLUMNS).encode(), "map", at=moment)
        entry = RowReader(found, list(ROW)).read(list(ROW.values()))
        assert isinstance(entry, EventContent)
        assert entry.occurred_at == moment
    with pytest.raises(MapError, match=r"line 10, columns\.occurred_at: says when rows happened: leave out --at"):
        parse_map(MAP.encode(), "map", at=moment)


def test_years_of_rows_are_those_of_the_import() -> None:
    text = (MAP + 'occurred_at = "%d/%m %H:%M"\n').replace("source", 'year = "latest"\nsource')
    found = parse_map(text.encode(), "map")
    cells = list((ROW | {"at": "31/12 23:30"}).values())
    for now, moment in (
        ("2026-12-31T20:00:00Z", "2026-12-31T21:30:00Z"),
        ("2026-12-30T23:00:00Z", "2026-12-31T21:30:00Z"),
        ("2026-12-30T20:00:00Z", "2025-12-31T21:30:00Z"),
    ):
        entry = RowReader(found, list(ROW), now=parse_rfc3339(now)[0]).read(cells)
        assert isinstance(entry, EventContent)
        assert entry.occurred_at == parse_rfc3339(moment)[0]
    with pytest.raises(HeaderError, match="needs the time of the import"):
        RowReader(found, list(ROW))


def test_columns_that_are_not_there_or_twice() -> None:
    found = parse_map(MAP.encode(), "map")
    header = [{"note": "Note", "code": "cod"}.get(name, name) for name in ROW]
    with pytest.raises(HeaderError, match=r"^columns\.item: the file has no column 'code'; .* the nearest is cod$"):
        RowReader(found, header)
    twice = [*ROW, "qty"]
    with pytest.raises(HeaderError, match=r"^columns\.quantity: the file has the column 'qty' twice"):
        RowReader(found, twice)
    RowReader(found, [*ROW, "", "", "spare", "spare"])  # the map does not need them
