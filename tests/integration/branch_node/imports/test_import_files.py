"""Files of several kinds, imported by one map: the same sales, whatever they are kept in."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from openpyxl import Workbook

from branch_node.imports.import_summary import ImportSummary
from branch_node.imports.register.import_lifecycle import ImportPlan
from branch_node.imports.register.import_runs import FileRegistration
from branch_node.imports.source_file import FileRefused
from tests.integration.branch_node.imports.import_runs import (
    TILL,
    WITH_IDS,
    a_till_file,
    direct,
    dry_run,
    import_file,
    run,
    sales,
)
from tests.support.branch import Branch

ROWS: list[list[object]] = [
    ["id", "code", "qty", "at", "", ""],
    [1, "milk", 1, "2025-12-01 10:00", None, None],
    [2, "milk", 2.5, "2025-12-01 10:05", None, None],
]


def counts(summary: ImportSummary) -> tuple[int, int, int]:
    totals = summary.by_type["ORDER_DEDUCTION"]
    return summary.rows, totals.events, totals.quantity


@pytest.mark.parametrize("kind", ["plain", "packed", "utf-16", "sep", "xlsx"])
def test_the_same_sales_in_files_of_several_kinds(branch: Branch, tmp_path: Path, kind: str) -> None:
    text = "".join(",".join("" if cell is None else str(cell) for cell in row) + "\n" for row in ROWS)
    path = tmp_path / ("sales.xlsx" if kind == "xlsx" else "sales.csv")
    if kind == "xlsx":
        book = Workbook()
        for row in ROWS:
            book.worksheets[0].append(row)
        book.save(path)
    elif kind == "sep":
        path.write_text("sep=;\n" + text.replace(",", ";"))
    else:
        content = text.encode("utf-16" if kind == "utf-16" else "utf-8")
        path.write_bytes(gzip.compress(content) if kind == "packed" else content)
    assert counts(dry_run(branch, path, WITH_IDS)) == (2, 2, 3_500)
    assert counts(import_file(branch, path, WITH_IDS)) == (2, 2, 3_500)


def test_titles_and_a_name_that_stands_twice(branch: Branch, tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_text("Sales of May\n\nid,code,qty,price,at,price\n1,milk,2,3,2025-12-01 10:00,4\n\nTotal,,,3,,4\n")
    mapped = "header_line = 3\n" + WITH_IDS + '[[rules]]\nwhen = { id = "Total" }\nskip = true\n'
    summary = import_file(branch, path, mapped)
    assert (summary.rows, summary.recorded, summary.skipped) == (2, 1, 1)
    with pytest.raises(ValueError, match="the file has the column 'price' twice"):
        import_file(branch, path, mapped.replace("[columns]", '[columns]\ncost = "price"\ncurrency = "price"'))


def test_a_file_of_another_kind_records_nothing(branch: Branch, tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_bytes(b"<html><table></table></html>")
    with pytest.raises(FileRefused, match="web page"):
        import_file(branch, path, WITH_IDS)
    assert not list(branch.events())


def test_a_file_that_grows_while_it_is_read_continues_next_time(branch: Branch, tmp_path: Path) -> None:
    file = a_till_file(tmp_path / "sales.csv", sales(3))
    recorder = direct(branch)
    begin = recorder.begin

    def growing(registration: FileRegistration) -> ImportPlan:
        with file.open("a") as more:
            more.write("".join(f"{row}\n" for row in sales(2, first=4)))
        return begin(registration)

    recorder.begin = growing  # type: ignore[method-assign]
    first = run(recorder, file, TILL)
    assert (first.recorded, branch.on_hand("milk")) == (3, -3_000)
    assert first.unread_bytes > 0
    copy = tmp_path / "copy.csv"
    copy.write_bytes(file.read_bytes())
    second = import_file(branch, copy)
    assert (second.recorded, second.already_recorded, branch.on_hand("milk")) == (2, 3, -5_000)
    assert import_file(branch, file).already_imported == second.import_id
