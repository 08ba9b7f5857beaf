"""A file of every kind that tills write, with the right value: foreseen by a dry run, recorded directly, and served.

Each kind is a map and the files that are imported by it one after the other; what the log and the stock say afterwards
is written down beside each file.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from openpyxl import Workbook

from branch_node.database.schema import STOCK
from branch_node.imports.import_summary import ImportSummary
from branch_node.imports.recorders.http_recorder import HttpImportRecorder
from branch_node.imports.recorders.import_recorder import ImportRecorder
from branch_node.imports.recorders.local_recorders import DryRunRecorder
from branch_node.imports.source_file import FileRefused
from branch_node.model import Item
from shared.events import Event
from shared.projection import load_standings
from shared.runtime.cli.service_client import InProcessTransport
from shared.runtime.client import ServiceClient
from shared.runtime.clock import format_rfc3339, parse_rfc3339
from tests.integration.branch_node.imports.import_runs import direct, rejected, run
from tests.integration.branch_node.imports.test_http_recorder import log_of
from tests.support.branch import PLACE, PutItems, a_branch
from tests.support.branch_api import a_caller
from tests.support.events import NOON
from tests.unit.branch_node.imports.files.test_file_kinds import KINDS as OTHER_KINDS

ITEMS = (
    Item(item_id="cola", name="Cola", unit="pcs", barcode="5449000000996"),
    Item(item_id="kola", name="Kola", unit="pcs", stands_for="cola"),
    Item(item_id="beer", name="Beer", unit="pcs"),
    Item(item_id="flour", name="Flour", unit="kg"),
)
AT = "2025-12-31 12:00"
Value = Mapping[str, str]


class Step(NamedTuple):
    """A file that is imported, and what is right afterwards: stock by item, counts of the summary, rejects by line."""

    content: str | bytes
    stock: Value
    counts: Mapping[str, object] = {}
    rejects: Mapping[int, str] = {}
    moments: tuple[str, ...] = ()
    """When the events of the log happened (UTC), in its order."""
    name: str = "sales.csv"
    map: str | None = None
    at: str | None = None
    accept: str | None = None


class Kind(NamedTuple):
    map: str
    steps: tuple[Step, ...]


def a_map(*, top: str = "", columns: str = "", formats: str = 'occurred_at = "%Y-%m-%d %H:%M"', rest: str = "") -> str:
    columns = columns or 'item = "code"\nquantity = "qty"\noccurred_at = "at"'
    formats = f"[formats]\n{formats}\n" if formats else ""
    top = top if "type =" in top else f'type = "ORDER_DEDUCTION"\n{top}'
    return f'source = "till-7"\ntime_zone = "Asia/Beirut"\n{top}\n[columns]\n{columns}\n{formats}{rest}'


def with_columns(**more: str) -> str:
    named = {"item": "code", "quantity": "qty", "occurred_at": "at", **more}
    return "\n".join(f'{field} = "{column}"' for field, column in named.items() if column)


def workbook(*rows: tuple[Any, ...], title: str = "Sales") -> bytes:
    book = Workbook()
    sheet = book.worksheets[0]
    sheet.title = title
    for row in rows:
        sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


DELIVERY = a_map(top='type = "PURCHASE_RECEIVED"').replace("till-7", "supplier")
TEN_COLA = Step(f"code,qty,at\ncola,10,{AT}\n", {"cola": "10"}, name="delivery.csv", map=DELIVERY)
IDS = a_map(columns=with_columns(id="id"))
ONE, TWO, THREE = (f"{number},cola,1,2025-12-31 12:0{number}\n" for number in (1, 2, 3))
A_COLA = f"cola,1,{AT}\n"
IN_ONE = f"code,qty,at\ncola,2,{AT}\n"
COUNT = a_map(top='type = "STOCKTAKE"', columns=with_columns(area="area"))
UNITS = a_map(columns=with_columns(unit="unit"), rest="[units.kg]\ng = 0.001\n[item_units.cola]\ncase = 24\n")
KINDS_OF_ROWS = a_map(rest='[[rules]]\nwhen = { kind = "refund" }\ntype = "CUSTOMER_RETURN"\n')
COSTS = a_map(columns=with_columns(cost="cost", expires_on="best", actor="who"), rest='[constants]\ncurrency = "USD"\n')
TOTALS = '[[rules]]\nwhen = { code = { starts = ["Total", "Grand total"] } }\nskip = true\n'
EUROS = a_map(
    top='decimal = ","\nthousands = "."\ndelimiter = ";"',
    columns=with_columns(cost="price"),
    rest='[constants]\ncurrency = "EUR"\n[currencies]\n"€" = "EUR"\n[[rules]]\nwhen = { qty = { below = 0 } }\n'
    'type = "CUSTOMER_RETURN"\n'
    'sign = "absolute"\n',
)

KINDS: dict[str, Kind] = {
    # Item 1
    # Letters that a till writes as two characters (NFD) are those that the map, and another file, write as one.
    "ids, values and items in decomposed letters": Kind(
        IDS + '[where]\nqty = { not_equals = "caf\u00e9" }\n', (
            Step("id,code,qty,at\ne\u0301-1,cola,1," + AT + "\n2,cola,cafe\u0301," + AT + "\n", {"cola": "-1"},
                 {"recorded": 1, "filtered": 1}),
            Step("id,code,qty,at\n\u00e9-1,cola,1," + AT + "\n", {"cola": "-1"}, {"already_recorded": 1}, name="b.csv"),
        )),
    "ids": Kind(IDS, (
        TEN_COLA,
        Step(f"id,code,qty,at\n{ONE}{TWO}", {"cola": "8"}, {"recorded": 2}, name="monday.csv"),
        Step(f"id,code,qty,at\n{ONE}{TWO}", {"cola": "8"}, {"recorded": 0, "already_recorded": 2}, name="again.csv"),
        Step(f"id,code,qty,at\n{ONE}{TWO}{THREE}", {"cola": "7"}, {"recorded": 1, "already_recorded": 2}, name="w.csv"),
    )),
    "no ids": Kind(a_map(), (
        TEN_COLA,
        Step("code,qty,at\n" + 2 * A_COLA, {"cola": "8"}, {"recorded": 2}, name="a.csv"),
        Step("code,qty,at\n" + 2 * A_COLA, {"cola": "8"}, {"recorded": 0, "already_recorded": 2}, name="b.csv"),
        Step("code,qty,at\n" + 3 * A_COLA, {"cola": "7"}, {"recorded": 1, "already_recorded": 2}, name="c.csv"),
    )),
    "ids by till": Kind(a_map(top='id_scope = { column = "till" }', columns=with_columns(id="id")), (
        Step(f"id,till,code,qty,at\n1,A,cola,1,{AT}\n1,B,cola,1,{AT}\n1,A,cola,1,{AT}\n", {"cola": "-2"},
            {"recorded": 2, "repeated": 1}),
    )),
    "ids by day": Kind(a_map(top='id_scope = "day"', columns=with_columns(id="id")), (
        Step(f"id,code,qty,at\n1,cola,1,{AT}\n1,cola,1,2025-12-30 12:00\n", {"cola": "-2"}, {"recorded": 2}),
    )),
    # Item 2
    "counts by area": Kind(COUNT, (
        Step(f"code,area,qty,at\nbeer,bar,24,{AT}\nbeer,cellar,48,{AT}\n", {"beer": "72"}, {"recorded": 2}),
    )),
    "counts twice": Kind(COUNT, (
        Step(f"code,area,qty,at\nbeer,,24,{AT}\nbeer,,48,{AT}\n", {"beer": "24"}, {"recorded": 1, "rejected": 1},
            {3: "beer was counted at this moment in line 2"}),
    )),
    # Item 4
    "units": Kind(UNITS, (
        Step(f"code,qty,unit,at\nflour,1,kg,{AT}\nflour,500,g,{AT}\n", {"flour": "-1.5"}, {"recorded": 2}),
    )),
    "a unit without a factor, and packs": Kind(UNITS, (
        Step(f"code,qty,unit,at\nflour,1,sack,{AT}\ncola,1,case,{AT}\ncola,1,pcs,{AT}\n", {"cola": "-25"},
            {"recorded": 2, "rejected": 1}, {2: "how many kg one 'sack' is: give it in [units.kg]"}),
    )),
    # Item 5
    "rows that the node would refuse": Kind(COSTS, (
        Step(
            f"code,qty,at,cost,best,who\ncola,1,{AT},1,,{'c' * 32}\n.,1,{AT},1,,\n..,1,{AT},1,,\n"
            f"cola,1,{AT},1,1999-12-31,\n"
            f"cola,1,{AT},-0,,\ncola,1,{AT},1,,c9\n",
            {"cola": "-2"}, {"recorded": 2, "rejected": 4},
            {2: "32 characters, at most 31", 3: "'.' cannot be", 4: "'..' cannot be", 5: "1999-12-31"},
        ),
    )),
    # Item 6
    "equal lines under one id": Kind(a_map(columns=with_columns(id="receipt")), (
        Step("receipt,code,qty,at\n" + 3 * f"R1,{A_COLA}", {"cola": "-1"},
            {"rows": 3, "recorded": 1, "repeated": 2, "rejected": 0}),
    )),
    # Item 7
    "columns like ours": Kind(a_map(columns=with_columns(reason="reason")), (
        Step(f"line,reason,code,qty,at\n7,thirst,cola,1,{AT}\n8,,cola,x,{AT}\n", {"cola": "-1"}, {"rejected": 1},
            {3: "'x'"}),
        Step(f"reject_line,reject_reason,line,reason,code,qty,at\n3,no number,8,,cola,4,{AT}\n", {"cola": "-5"},
            {"recorded": 1}, name="sales.csv.rejects.csv"),
    )),
    # Item 8
    "a text that no rule names": Kind(KINDS_OF_ROWS, (
        TEN_COLA,
        Step(f"code,qty,at,kind\ncola,1,{AT},ORDER_DEDUCTION\n\ncola,1,{AT},refund\n\n\ncola,2,{AT},Refund\n",
            {"cola": "10"}, {"rows": 3, "recorded": 2, "rejected": 1},
            {7: "'Refund' in column 'kind'; the nearest is refund"}),
    )),
    "a number that is used again": Kind(IDS, (
        Step(f"id,code,qty,at\n1,cola,1,{AT}\n", {"cola": "-1"}, name="a.csv"),
        Step(f"id,code,qty,at\n1,cola,5,{AT}\n", {"cola": "-1"}, {"conflicting": 1, "recorded": 0}, name="b.csv"),
        Step(f"id,code,qty,at\n1,cola,5,{AT}\n", {"cola": "-6"}, {"conflicting": 0, "recorded": 1}, name="b.csv",
            accept="2"),
        Step(f"id,code,qty,at\n1,cola,5,{AT}\n", {"cola": "-6"}, {"conflicting": 0, "recorded": 0}, name="b.csv",
            accept="all"),
    )),
    # Item 11
    "totals, titles, sep, empty and unused columns": Kind(a_map(top="header_line = 4", rest=TOTALS), (
        Step(f"sep=;\nSales of May;;\n\ncode;note;qty;note;at;;\ncola;;1;;{AT};;\nTotal;;1;;;;\nGrand total;;1;;;;\n",
            {"cola": "-1"}, {"rows": 3, "recorded": 1, "skipped": 2, "rejected": 0}),
    )),
    "utf-16": Kind(a_map(), (Step(IN_ONE.encode("utf-16"), {"cola": "-2"}),)),
    "packed": Kind(a_map(), (Step(gzip.compress(IN_ONE.encode()), {"cola": "-2"}, name="sales.csv.gz"),)),
    "utf-16 without a mark": Kind(a_map(top='encoding = "utf-16-le"'), (
        Step(IN_ONE.encode("utf-16-le"), {"cola": "-2"}),
    )),
    "cp1252": Kind(a_map(top='encoding = "cp1252"\nunknown_items = "create"', rest='[new_items]\nunit = "pcs"\n'), (
        Step(f"code,qty,at\ncafé,1,{AT}\n".encode("cp1252"), {"café": "-1"}),
    )),
    "one map for workbook and csv": Kind(a_map(top='sheet = "Sales"', columns=with_columns(id="id")), (
        Step(workbook(("id", "code", "qty", "at"), (1, "cola", 2.5, datetime.fromisoformat(AT))), {"cola": "-2.5"},
            moments=("2025-12-31T10:00:00Z",), name="sales.xlsx"),
        Step(f"id,code,qty,at\n1,cola,2.5,{AT}\n2,cola,1,{AT}\n", {"cola": "-3.5"}, {"already_recorded": 1}),
    )),
    "days of a workbook": Kind(a_map(columns=with_columns(occurred_at="", date="day", time="hour"), formats=""), (
        Step(workbook(("code", "qty", "day", "hour"), ("cola", 1, date(2025, 12, 30), time(9, 30))), {"cola": "-1"},
            moments=("2025-12-30T07:30:00Z",), name="sales.xlsx"),
    )),
    # Item 12
    "a constant date": Kind(
        a_map(columns=with_columns(occurred_at="", time="t"), formats="",
            rest='[constants]\ndate = "2025-12-24"\n'),
        (Step("code,qty,t\ncola,1,09:00\n", {"cola": "-1"}, moments=("2025-12-24T07:00:00Z",)),),
    ),
    "the moment with the command": Kind(a_map(columns=with_columns(occurred_at=""), formats=""), (
        Step("code,qty\ncola,1\n", {"cola": "-1"}, moments=("2025-12-24T21:00:00Z",), at="2025-12-24T23:00:00+02:00"),
    )),
    "several formats": Kind(
        a_map(formats='occurred_at = ["%d.%m.%Y %H:%M", "%Y-%m-%d %H:%M"]'),
        (Step("code,qty,at\ncola,1,24.12.2025 10:00\ncola,1,2025-12-25 10:00\n", {"cola": "-2"},
            moments=("2025-12-24T08:00:00Z", "2025-12-25T08:00:00Z")),),
    ),
    "names of months": Kind(
        a_map(top='locale = "fr"', formats='occurred_at = "%d %b %Y %H:%M"'),
        (Step("code,qty,at\ncola,1,1 févr. 2025 10:00\ncola,1,2 août 2025 10:00\n", {"cola": "-2"},
            moments=("2025-02-01T08:00:00Z", "2025-08-02T07:00:00Z")),),
    ),
    "numbers of workbooks in a csv": Kind(a_map(formats='occurred_at = "excel"'), (
        Step("code,qty,at\ncola,1,46022.5\n", {"cola": "-1"}, moments=("2025-12-31T10:00:00Z",)),
    )),
    "no year": Kind(a_map(top='year = "latest"', formats='occurred_at = "%d/%m %H:%M"'), (
        Step("code,qty,at\ncola,1,31/12 10:00\ncola,1,01/01 10:00\ncola,1,02/01 10:00\n", {"cola": "-3"},
            moments=("2025-12-31T08:00:00Z", "2026-01-01T08:00:00Z", "2025-01-02T08:00:00Z")),
    )),
    "this year": Kind(a_map(top="year = 2024", formats='occurred_at = "%d/%m %H:%M"'), (
        Step("code,qty,at\ncola,1,29/02 10:00\n", {"cola": "-1"}, moments=("2024-02-29T08:00:00Z",)),
    )),
    "thousands, currency, trailing minus": Kind(EUROS, (
        Step(f"code;qty;at;price\ncola;1.250,5;{AT};1.000,25 €\ncola;250-;{AT};€ 3\ncola;1;{AT};3 USD\n",
            {"cola": "-1000.5"}, {"recorded": 2, "rejected": 1}, {4: "USD"}),
    )),
    "a decimal comma in a comma file": Kind(a_map(top='decimal = ","'), (
        Step(f'code,qty,at\ncola,"1,5",{AT}\n', {"cola": "-1.5"}),
    )),
    "texts that are empty": Kind(
        a_map(top='null = ["NULL", "-"]', columns=with_columns(cost="cost", note="note"),
            rest='[constants]\ncurrency = "USD"\n'),
        (Step(f"code,qty,at,cost,note\ncola,1,{AT},NULL,-\ncola,NULL,{AT},,\ncola,1,NULL,,\n", {"cola": "-1"},
            {"recorded": 1, "rejected": 2}, {3: "there is no quantity", 4: "there is no date and time"}),),
    ),
    "a bad cost left out": Kind(COSTS + '[bad_cells]\ncost = "leave-out"\nexpires_on = "leave-out"\n', (
        Step(f"code,qty,at,cost,best,who\ncola,1,{AT},n/a,soon,\ncola,1,{AT},?,,\ncola,1,{AT},1.5,,\ncola,x,{AT},?,,\n",
            {"cola": "-3"}, {"recorded": 3, "rejected": 1, "left_out": {"cost": 2, "best": 1}}, {5: "'x'"}),
    )),
    "a row without its id says nothing": Kind(
        a_map(top='unknown_items = "create"', columns=with_columns(id="id", unit="unit", cost="cost"),
            rest='[constants]\ncurrency = "USD"\n[bad_cells]\ncost = "leave-out"\n[units.kg]\ng = 0.001\n'
            '[new_items]\nunit_column = "unit"\n'),
        (Step(f"id,code,qty,unit,at,cost\n,salt,500,g,{AT},?\n2,salt,1,kg,{AT},1\n3,salt,500,g,{AT},?\n",
            {"salt": "-1.5"}, {"recorded": 2, "rejected": 1, "left_out": {"cost": 1}}, {2: "own id is empty"}),),
    ),
    "amounts with signs and brackets": Kind(
        a_map(top="thousands = \"'\"", columns=with_columns(cost="cost"),
            rest='[constants]\ncurrency = "USD"\n[currencies]\n"$" = "USD"\n'
            '[[rules]]\nwhen = { qty = { below = 0 } }\ntype = "CUSTOMER_RETURN"\nsign = "absolute"\n'),
        (Step(f"code,qty,at,cost\ncola,1'000,{AT},$3.50\ncola,(3),{AT},USD 2\ncola,\u22121,{AT},-$1\n"
            f"cola,1,{AT},3 EUR\n",
            {"cola": "-996"}, {"recorded": 3, "rejected": 1}, {5: "EUR"}),),
    ),
    "thousands by blanks": Kind(a_map(top='decimal = ","\nthousands = " "\ndelimiter = "\\t"'), (
        Step(f"code\tqty\tat\ncola\t1\u00a0000,5\t{AT}\ncola\t1 000\t{AT}\n", {"cola": "-2000.5"}, {"recorded": 2}),
    )),
    "mornings and evenings": Kind(a_map(formats='occurred_at = "%a %m/%d/%Y %I:%M %p"'), (
        Step("code,qty,at\ncola,1,Wed 12/31/2025 12:05 AM\ncola,1,Wed 12/31/2025 11:05 pm\n", {"cola": "-2"},
            moments=("2025-12-30T22:05:00Z", "2025-12-31T21:05:00Z")),
    )),
    "milliseconds": Kind(a_map(formats='occurred_at = "unix-milliseconds"').replace('time_zone = "Asia/Beirut"', ""), (
        Step("code,qty,at\ncola,1,1767182400123\n", {"cola": "-1"}, moments=("2025-12-31T12:00:00.123000Z",)),
    )),
    "times with their offset": Kind(
        a_map(formats='occurred_at = "%Y-%m-%dT%H:%M:%S%z"').replace('time_zone = "Asia/Beirut"\n', ""),
        (Step("code,qty,at\ncola,1,2025-12-31T12:00:00+05:30\ncola,1,2025-12-31T12:00:00Z\n", {"cola": "-2"},
            moments=("2025-12-31T06:30:00Z", "2025-12-31T12:00:00Z")),),
    ),
    "an hour that was twice, and one that never was": Kind(a_map(top='fold = "later"'), (
        Step("code,qty,at\ncola,1,2025-10-25 23:30\ncola,1,2025-03-30 00:30\n", {"cola": "-1"}, {"rejected": 1},
            {3: "clocks"}, ("2025-10-25T21:30:00Z",)),
    )),
    "commas behind the last column": Kind(a_map(), (
        Step(f"code,qty,at\ncola,1,{AT},,\ncola,2,{AT}\ncola,4,{AT},x\n", {"cola": "-3"},
            {"recorded": 2, "rejected": 1}, {4: "cells"}),
    )),
    "a till that quotes all, in windows": Kind(a_map(), (
        Step(b'\xef\xbb\xbf"code","qty","at"\r\n" cola ","1","2025-12-31 12:00"\r\n', {"cola": "-1"}),
    )),
    "numbers of workbooks in a workbook": Kind(a_map(formats='occurred_at = "excel"'), (
        Step(workbook(("code", "qty", "at"), ("cola", 1, 46022.5), ("Total", 1, None)), {"cola": "-1"}, {"rejected": 1},
            {3: "there is no date and time"}, ("2025-12-31T10:00:00Z",), name="sales.xlsx"),
    )),
    "barcodes as numbers of a workbook": Kind(a_map(top='item_by = "barcode"'), (
        Step(workbook(("code", "qty", "at"), (5449000000996, 1, AT), ("5.449E+12", 1, AT)), {"cola": "-1"},
            {"rejected": 1}, {3: "there is no item with the barcode '5.449E+12'"}, name="sales.xlsx"),
    )),
    # Item 13
    "barcodes and codes": Kind(a_map(top='item_by = ["barcode", "code"]'), (
        Step(f"code,qty,at\n5449000000996,2,{AT}\nbeer,1,{AT}\n", {"cola": "-2", "beer": "-1"}),
    )),
    "aliases": Kind(a_map(top='item_by = ["alias", "code"]'), (
        Step(f"code,qty,at\nkola,2,{AT}\nbeer,1,{AT}\n", {"cola": "-2", "beer": "-1"}),
    )),
    "capitals": Kind(a_map(top='item_case = "fold"'), (
        Step(f"code,qty,at\nCOLA,2,{AT}\nbeEr,1,{AT}\n", {"cola": "-2", "beer": "-1"}),
    )),
    "a till that rounds nothing": Kind(a_map(), (
        Step(f"code,qty,at\ncola,0.125,{AT}\ncola,1.2345,{AT}\n", {"cola": "-0.125"}, {"rejected": 1}, {3: "decimals"}),
    )),
}  # fmt: skip


def thousandths(value: str) -> int:
    return round(float(value) * 1_000)


def imported(recorder: ImportRecorder, file: Path, kind: Kind, step: Step, *, dry: bool = False) -> ImportSummary:
    at = None if step.at is None else parse_rfc3339(step.at)[0]
    return run(recorder, file, step.map or kind.map, dry_run=dry, accept=step.accept, now=NOON, at=at)


def play(kind: Kind, folder: Path, branch: Any, record: Callable[[Path, Step], ImportSummary]) -> None:
    """Import the files one after the other, each foreseen first; what is recorded is what was foreseen and is right."""
    before: dict[str, int] = {}
    for number, step in enumerate(kind.steps):
        place = folder / str(number)
        place.mkdir(parents=True)
        file = place / step.name
        file.write_bytes(step.content if isinstance(step.content, bytes) else step.content.encode())
        with DryRunRecorder(branch.store, NOON) as dry:
            foreseen = imported(dry, file, kind, step, dry=True)
        assert on_hand(branch.store) == before
        summary = record(file, step)
        names = ("rows", "recorded", "already_recorded", "repeated", "filtered", "skipped", "rejected", "conflicting",
            "left_out", "already_imported")  # fmt: skip
        got = {name: getattr(summary, name) for name in names}
        assert got == {name: getattr(foreseen, name) for name in names}
        if summary.conflicting == 0:
            assert foreseen.by_type == summary.by_type
        assert {name: got[name] for name in step.counts} == step.counts
        assert summary.rejected == len(step.rejects)
        before = on_hand(branch.store)
        assert before == {item: thousandths(value) for item, value in step.stock.items()}
        if step.rejects:
            found = dict(rejected(file, ";" if kind.map == EUROS else ","))
            assert found.keys() == step.rejects.keys()
            for line, why in step.rejects.items():
                assert why in found[line]


def on_hand(store: Any) -> dict[str, int]:
    with store.reading() as connection:
        return {item: standing.on_hand for item, standing in load_standings(connection, STOCK, PLACE).items()}


def moments(events: list[Event]) -> tuple[str, ...]:
    return tuple(format_rfc3339(event.occurred_at) for event in events)


@pytest.mark.parametrize("name", KINDS)
def test_recorded_directly(tmp_path: Path, name: str) -> None:
    kind = KINDS[name]
    with a_branch(tmp_path / "node") as branch:
        branch.run(PutItems(ITEMS))
        play(kind, tmp_path / "files", branch, lambda file, step: imported(direct(branch), file, kind, step))
        if kind.steps[0].moments:
            assert moments(branch.events())[: len(kind.steps[0].moments)] == kind.steps[0].moments


@pytest.mark.parametrize("name", KINDS)
def test_recorded_by_a_node_that_serves(tmp_path: Path, name: str) -> None:
    kind = KINDS[name]
    with a_caller(tmp_path / "node") as caller:
        caller.node.writer.submit(PutItems(ITEMS)).result(10)
        with (
            ServiceClient(
                "http://node", key=caller.keys.text["manager"], transport=InProcessTransport(caller.app)
            ) as client,
            HttpImportRecorder(client, caller.node.store) as recorder,
        ):
            play(kind, tmp_path / "files", caller.node, lambda file, step: imported(recorder, file, kind, step))
        if kind.steps[0].moments:
            assert moments(log_of(caller))[: len(kind.steps[0].moments)] == kind.steps[0].moments


def test_rows_of_other_stores_are_filtered_before_they_are_looked_up(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text(f"order,at\n1,{AT}\n")
    file = tmp_path / "lines.csv"
    file.write_text("order,store,code,qty\n1,3,cola,2\n9,5,cola,7\n")
    mapped = a_map(
        columns=with_columns(occurred_at="orders.at"),
        rest='[where]\nstore = "3"\n[lookup.orders]\nfile = "orders.csv"\nkey = "order"\non = "order"\n',
    )
    with a_branch(tmp_path / "node") as branch:
        branch.run(PutItems(ITEMS))
        summary = run(direct(branch), file, mapped)
        assert (summary.recorded, summary.filtered, summary.rejected) == (1, 1, 0)
        assert on_hand(branch.store) == {"cola": -2_000}


@pytest.mark.parametrize("kind", ["zip", "xls", "html", "encrypted"])
def test_files_that_are_refused_with_a_clear_word(tmp_path: Path, kind: str) -> None:
    content, why = OTHER_KINDS[kind]
    file = tmp_path / "sales.csv"
    file.write_bytes(content)
    with a_branch(tmp_path / "node") as branch:
        with pytest.raises(FileRefused, match=why):
            run(direct(branch), file, a_map())
        with DryRunRecorder(branch.store, NOON) as dry, pytest.raises(FileRefused, match=why):
            run(dry, file, a_map(), dry_run=True)
        assert branch.events() == []
