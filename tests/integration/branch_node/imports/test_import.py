"""Import into a real branch database: what is recorded, once; what is refused, and where it goes."""

from __future__ import annotations

import gzip
import tracemalloc
from hashlib import sha256
from pathlib import Path

import pytest

from branch_node.imports.files import file_copy
from branch_node.imports.import_summary import ImportSummary
from branch_node.imports.recorders.import_recorder import CHUNK
from branch_node.imports.register.import_runs import TypeTotals
from branch_node.imports.reject_files import rejects_path
from branch_node.imports.rows.row_reader import HeaderError
from branch_node.imports.source_file import FileRefused
from shared.events import Entered
from shared.runtime.problems import Problem
from tests.integration.branch_node.imports.import_runs import (
    CREATING,
    TILL,
    WITH_IDS,
    a_till_file,
    conflicting,
    direct,
    dry_run,
    import_file,
    keys,
    rejected,
    run,
    sales,
)
from tests.support.branch import Branch, a_branch
from tests.support.events import MINUTE, NOON


@pytest.fixture
def branch(tmp_path: Path):
    with a_branch(tmp_path / "node") as found:
        yield found


def test_rows_become_events(branch: Branch, tmp_path: Path) -> None:
    file = a_till_file(tmp_path / "sales.csv", ["7,milk,2.5,2025-12-31 03:59", "8,cup,3,2025-12-31 04:00"])
    mapped = TILL.replace("[columns]", '[columns]\nreference = "id"')
    summary = import_file(branch, file, mapped)
    assert summary == ImportSummary(
        source="till-7",
        file="sales.csv",
        dry_run=False,
        import_id="2026-01-01-1",
        rows=2,
        recorded=2,
        by_type={"ORDER_DEDUCTION": TypeTotals(events=2, quantity=5_500)},
    )
    first, second = branch.events()
    assert (first.item_id, first.quantity, first.unit, first.source, first.actor) == (
        "milk", 2_500, "l", "till-7", "localcli",
    )  # fmt: skip
    fingerprint = sha256(file.read_bytes()).hexdigest()
    assert first.command_key == f"import/till-7//file:{file.stat().st_size}-{fingerprint[:16]}:#2"
    assert first.command_digest is not None
    assert first.reference is not None
    assert (first.reference.kind, first.reference.id) == ("order", "7")
    assert (first.occurred_at, first.utc_offset) == (NOON - (34 * 60 + 1) * MINUTE, 120)
    assert (first.business_date, second.business_date) == ("2025-12-30", "2025-12-31")
    assert branch.on_hand("milk") == -2_500
    assert branch.on_hand("cup") == -3_000


def test_twice_is_once(branch: Branch, tmp_path: Path) -> None:
    file = a_till_file(tmp_path / "sales.csv", sales(2 * CHUNK + 7))
    first = import_file(branch, file)
    head = branch.writer.head
    again = import_file(branch, file)
    assert (first.recorded, first.already_recorded) == (2 * CHUNK + 7, 0)
    assert (again.recorded, again.already_recorded, again.by_type) == (0, 2 * CHUNK + 7, first.by_type)
    assert branch.writer.head == head
    packed = tmp_path / "packed" / "sales.csv.gz"
    packed.parent.mkdir()
    packed.write_bytes(gzip.compress(file.read_bytes()))
    assert import_file(branch, packed).already_recorded == 2 * CHUNK + 7
    assert branch.writer.head == head


def test_equal_rows_are_all_recorded(branch: Branch, tmp_path: Path) -> None:
    file = a_till_file(tmp_path / "sales.csv", ["7,milk,1,2025-12-31 12:00"] * 5)
    assert import_file(branch, file).recorded == 5
    assert branch.on_hand("milk") == -5_000


def test_another_file_under_the_same_name_is_refused(branch: Branch, tmp_path: Path) -> None:
    file = a_till_file(tmp_path / "sales.csv", sales(3))
    import_file(branch, file)
    head = branch.writer.head
    a_till_file(file, sales(4, first=2))
    for attempt in (import_file, dry_run):
        with pytest.raises(Problem) as refused:
            attempt(branch, file)
        assert refused.value.code == "import-file-differs"
        assert "'sales.csv' from till-7 was imported at" in refused.value.detail
    assert branch.writer.head == head
    assert list(tmp_path.glob("*.rejects.csv*")) == []
    other_till = TILL.replace("till-7", "till-8")
    assert import_file(branch, file, other_till).recorded == 4


def test_what_rows_are_known_by_stays(branch: Branch, tmp_path: Path) -> None:
    file = a_till_file(tmp_path / "sales.csv", sales(3))
    import_file(branch, file, TILL)
    with pytest.raises(Problem) as refused:
        import_file(branch, file, WITH_IDS)
    assert refused.value.code == "import-keys-differ"
    assert len(branch.events()) == 3


def test_an_id_that_comes_twice(branch: Branch, tmp_path: Path) -> None:
    rows = [
        "7,milk,1,2025-12-31 12:00",
        "8,milk,1,2025-12-31 12:00",
        "7,milk,2,2025-12-31 12:00",
        "8,milk,1,2025-12-31 12:00",
    ]
    file = a_till_file(tmp_path / "sales.csv", rows)
    foreseen = dry_run(branch, file, WITH_IDS, rejects=tmp_path / "r.csv")
    for summary in (foreseen, import_file(branch, file, WITH_IDS)):
        assert (summary.recorded, summary.repeated, summary.conflicting) == (2, 1, 1)
        assert (summary.rejected, summary.rejects) == (0, None)
    again = import_file(branch, file, WITH_IDS)
    assert (again.recorded, again.already_recorded, again.repeated, again.conflicting) == (0, 2, 1, 1)
    assert again.conflicts == str(file) + ".conflicts-2.csv"
    [(line, sequence, why)] = conflicting(file)
    assert (line, sequence) == (4, branch.events()[0].sequence)
    assert "it was used twice" in why
    assert keys(branch) == {"import/till-7//id:7": 1, "import/till-7//id:8": 1}


def test_rows_that_cannot_be_recorded(branch: Branch, tmp_path: Path) -> None:
    rows = [
        "1,milk,1,2025-12-31 12:00",
        "2,tea,1,2025-12-31 12:00",
        "3,milk,x,2025-12-31 12:00",
        "4,milk,1,2026-01-01 12:00",
        "5,milk,1",
        '6,"milk,1,2025-12-31 12:00',
        "7,gin,1,2025-12-31 12:00",
        "8,milk,1,2026-01-01 15:00",
        "",
        "9,milk,1,2025-12-31 12:00",
    ]
    file = a_till_file(tmp_path / "sales.csv", rows)
    summary = import_file(branch, file)
    assert (summary.rows, summary.recorded, summary.rejected) == (9, 3, 6)
    assert summary.rejects == str(file) + ".rejects.csv"
    found = rejected(file)
    assert [line for line, _ in found] == [3, 4, 6, 7, 8, 9]
    for (_, why), part in zip(
        found,
        ["unknown-item", "'x'", "3 cells, the header has 4", "not CSV", "strict-item-below-zero", "future-date"],
        strict=True,
    ):
        assert part in why
    assert [(each.rows, each.first_line) for each in summary.reasons] == [(1, 3), (1, 4), (1, 6)]
    # What was rejected is imported from the rejects file, once: the file itself is done.
    branch.event("PURCHASE_RECEIVED", "gin", 5, occurred_at="2025-12-30T12:00:00Z")
    branch.clock.advance(24 * 3_600_000_000)
    same = import_file(branch, file)
    assert (same.already_imported, same.already_recorded, same.recorded) == (summary.import_id, 9, 0)
    better = import_file(branch, Path(summary.rejects))
    assert (better.recorded, better.rejected) == (2, 4)


def test_mended_rejects_are_imported_by_the_same_map(branch: Branch, tmp_path: Path) -> None:
    file = tmp_path / "sales.csv"
    file.write_text("id;code;qty;at\n1;milk;1;2025-12-31 12:00\n2;mlik;2,5;2025-12-31 12:00\n")
    mapped = 'delimiter = ";"\ndecimal = ","\n' + TILL
    assert import_file(branch, file, mapped).rejected == 1
    rejects = file.with_name("sales.csv.rejects.csv")
    rejects.write_text(rejects.read_text().replace(";mlik;", ";milk;"))
    assert import_file(branch, rejects, mapped).recorded == 1
    assert branch.on_hand("milk") == -3_500


def test_unknown_items_are_defined_once(branch: Branch, tmp_path: Path) -> None:
    mapped = CREATING + 'name_column = "id"\n'
    first = a_till_file(
        tmp_path / "a.csv", ["Tea,tea,1,2025-12-31 12:00", "x,tea,1,2025-12-31 12:00", "M,milk,1,2025-12-31 12:00"]
    )
    second = a_till_file(tmp_path / "b.csv", ["Te,tea,1,2025-12-31 12:00", "Rum,rum,1,2025-12-31 12:00"])
    assert dry_run(branch, first, mapped).items_defined == 1
    assert import_file(branch, first, mapped).items_defined == 1
    assert import_file(branch, first, mapped).items_defined == 0
    assert import_file(branch, second, mapped).items_defined == 1
    defined = [event for event in branch.events() if event.type == "ITEM_DEFINED"]
    assert [(event.item_id, event.definition and event.definition.name) for event in defined] == [
        ("tea", "Tea"),
        ("rum", "Rum"),
    ]
    assert branch.on_hand("tea") == -3_000


def test_every_type_that_a_file_may_hold(branch: Branch, tmp_path: Path) -> None:
    mapped = TILL + "".join(
        f'[[rules]]\nwhen = {{ id = "{name}" }}\ntype = "{kind}"\n{more}\n'
        for name, kind, more in (
            ("count", "STOCKTAKE", 'reason = "opening"'),
            ("in", "PURCHASE_RECEIVED", ""),
            ("back", "CUSTOMER_RETURN", ""),
            ("gone", "WASTE_RECORDED", 'reason = "spoiled"'),
            ("adjust", "ADJUSTMENT", 'reason = "found"'),
        )
    )
    rows = [
        "sale,milk,1,2025-12-30 12:00", "count,milk,20,2025-12-31 08:00", "in,milk,5,2025-12-31 09:00",
        "back,milk,0.5,2025-12-31 10:00", "gone,milk,2,2025-12-31 10:00", "adjust,milk,-0.25,2025-12-31 11:00",
    ]  # fmt: skip
    file = a_till_file(tmp_path / "sales.csv", rows)
    summary = import_file(branch, file, 'otherwise = "type"\n' + mapped)
    assert summary.recorded == 6
    assert {kind: tally.quantity for kind, tally in summary.by_type.items()} == {
        "ORDER_DEDUCTION": 1_000, "STOCKTAKE": 20_000, "PURCHASE_RECEIVED": 5_000, "CUSTOMER_RETURN": 500,
        "WASTE_RECORDED": 2_000, "ADJUSTMENT": -250,
    }  # fmt: skip
    assert branch.on_hand("milk") == 23_250
    count = next(event for event in branch.events() if event.type == "STOCKTAKE")
    assert (count.counted, count.expected) == (20_000, -1_000)


def test_units_of_rows(branch: Branch, tmp_path: Path) -> None:
    """The first row of a new item says its unit; the others are converted, and so are those of known items."""
    file = tmp_path / "stock.csv"
    file.write_text(
        "code,qty,unit,at\n"
        "flour,1,kg,2025-12-31 12:00\n"
        "flour,500,g,2025-12-31 12:00\n"
        "milk,2,crate,2025-12-31 12:00\n"
        "flour,1,sack,2025-12-31 12:00\n"
        "milk,1,kg,2025-12-31 12:00\n"
    )
    mapped = TILL.replace("[columns]", 'unknown_items = "create"\n[columns]').replace(
        "ORDER_DEDUCTION", "PURCHASE_RECEIVED"
    )
    mapped += '[new_items]\nunit_column = "unit"\n[units.kg]\ng = 0.001\n[item_units.milk]\ncrate = 12\n'
    foreseen = dry_run(branch, file, mapped, rejects=tmp_path / "foreseen.csv")
    summary = import_file(branch, file, mapped)
    assert (summary.recorded, summary.rejected, summary.items_defined) == (3, 2, 1)
    assert foreseen.by_type == summary.by_type
    assert (branch.on_hand("flour"), branch.on_hand("milk")) == (1_500, 24_000)
    events = [event for event in branch.events() if event.type == "PURCHASE_RECEIVED"]
    assert [(event.unit, event.entered) for event in events] == [
        ("kg", None),
        ("kg", Entered(factor=1, quantity=500_000, unit="g")),
        ("l", Entered(factor=12_000, quantity=2_000, unit="crate")),
    ]
    assert [why.partition(", and")[0] for _, why in rejected(file)] == ["flour is kept in kg", "milk is kept in l"]
    again = import_file(branch, file, mapped)
    assert (again.recorded, again.already_imported) == (0, summary.import_id)


def test_a_map_that_changed_does_not_record_again(branch: Branch, tmp_path: Path) -> None:
    file = a_till_file(tmp_path / "sales.csv", sales(4))
    import_file(branch, file, WITH_IDS)
    changed = import_file(branch, file, WITH_IDS.replace("Beirut", "Dubai"))
    assert (changed.recorded, changed.already_recorded, changed.conflicting) == (0, 0, 4)
    assert [sequence for _, sequence, _ in conflicting(file)] == [event.sequence for event in branch.events()]
    assert "the map has changed since" in conflicting(file)[0][2]
    assert len(branch.events()) == 4


def test_importing_what_a_run_left_over_doubles_nothing(branch: Branch, tmp_path: Path) -> None:
    file = a_till_file(tmp_path / "sales.csv", [*sales(3), "4,mlik,1,2025-12-31 12:00"])
    import_file(branch, file, WITH_IDS)
    changed = WITH_IDS.replace("Beirut", "Dubai")
    summary = import_file(branch, file, changed)
    assert (summary.conflicting, summary.rejected) == (3, 1)
    assert [line for line, _ in rejected(file)] == [5]
    rejects, conflicts = (tmp_path / f"sales.csv.{name}.csv" for name in ("rejects", "conflicts"))
    rejects.write_text(rejects.read_text().replace("mlik", "milk"))
    assert import_file(branch, rejects, changed).recorded == 1
    renamed = tmp_path / "mended.csv"
    renamed.write_bytes(conflicts.read_bytes())
    headless = changed.replace("[columns]", f"header = {conflicts.read_text().splitlines()[0].split(',')}\n[columns]")
    for path, mapped in ((conflicts, changed), (renamed, changed), (renamed, headless)):
        for attempt in (import_file, dry_run):
            with pytest.raises(FileRefused, match="stands in the log"):
                attempt(branch, path, mapped)
    assert branch.on_hand("milk") == -4_000


def test_the_first_row_of_a_file_without_header_counts(branch: Branch, tmp_path: Path) -> None:
    file = tmp_path / "sales.csv"
    file.write_text("\n".join(sales(3)))
    mapped = TILL.replace("[columns]", 'header = ["id", "code", "qty", "at"]\n[columns]')
    assert import_file(branch, file, mapped).recorded == 3


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("chunks", [0, 1, 2, 3])
def test_interrupted_and_run_again(branch: Branch, tmp_path: Path, chunks: int) -> None:
    file = a_till_file(tmp_path / "sales.csv", [*sales(3 * CHUNK), "x,milk,x,x"])
    recorder = direct(branch)
    record, left = recorder.record, chunks

    def failing(items, rows):
        nonlocal left
        if left == 0:
            raise Interrupted
        left -= 1
        return record(items, rows)

    recorder.record = failing  # type: ignore[method-assign]
    if chunks < 3:
        with pytest.raises(Interrupted):
            run(recorder, file, TILL)
        assert list(tmp_path.glob("*.rejects.csv*")) == []
    else:
        run(recorder, file, TILL)
    assert len(branch.events()) == chunks * CHUNK
    summary = import_file(branch, file)
    rows = (3 - chunks) * CHUNK, chunks * CHUNK + (chunks == 3)
    assert (summary.recorded, summary.already_recorded) == rows
    assert set(keys(branch).values()) == {1}
    assert len(keys(branch)) == 3 * CHUNK
    assert len(rejected(file)) == 1


def test_a_full_disk_ends_the_run_and_the_next_one_goes_on(branch: Branch, tmp_path: Path) -> None:
    file = a_till_file(tmp_path / "sales.csv", sales(4 * CHUNK))
    writing = branch.writer._writing
    assert writing is not None
    pages = writing.connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    writing.connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 400}")
    with pytest.raises(Problem) as refused:
        import_file(branch, file)
    assert refused.value.code == "disk-full"
    assert 0 < len(branch.events()) < 4 * CHUNK
    writing = branch.writer._writing
    assert writing is not None
    writing.connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    summary = import_file(branch, file)
    assert summary.recorded + summary.already_recorded == 4 * CHUNK
    assert set(keys(branch).values()) == {1}


def test_a_dry_run_says_the_same_and_records_nothing(branch: Branch, tmp_path: Path) -> None:
    mapped = WITH_IDS
    rows = [*sales(CHUNK + 3), "t,tea,1,2025-12-31 12:00", "u,milk,0,2025-12-31 12:00", "v,milk,1,2026-12-31 12:00"]
    file = a_till_file(tmp_path / "sales.csv", rows)
    for _ in range(2):
        head = branch.writer.head
        foreseen = dry_run(branch, file, mapped, rejects=tmp_path / "foreseen.csv")
        assert branch.writer.head == head
        came = import_file(branch, file, mapped)
        assert foreseen.rejects is None
        foreseen.dry_run, foreseen.rejects, foreseen.preview = False, came.rejects, None
        kinds = [[(each.rows, each.first_line) for each in summary.reasons] for summary in (foreseen, came)]
        assert kinds[0] == kinds[1]
        foreseen.reasons = came.reasons
        assert foreseen == came
        assert (came.recorded + came.already_recorded, came.rejected) == (CHUNK + 3, 3)


def test_files_without_use(branch: Branch, tmp_path: Path) -> None:
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    with pytest.raises(FileRefused, match="is empty"):
        import_file(branch, empty)
    only_header = a_till_file(tmp_path / "header.csv", [])
    assert import_file(branch, only_header).rows == 0
    other = tmp_path / "other.csv"
    other.write_text("id,code\n1,2\n")
    with pytest.raises(HeaderError, match="no column 'qty'"):
        import_file(branch, other)
    with pytest.raises(FileRefused, match="is the file to import"):
        rejects_path(only_header, only_header)
    assert branch.writer.head.sequence == 0


def test_a_file_without_header(branch: Branch, tmp_path: Path) -> None:
    file = tmp_path / "sales.csv"
    file.write_text("7;milk;2,5;2025-12-31 12:00\n")
    mapped = 'header = ["id", "code", "qty", "at"]\ndelimiter = ";"\ndecimal = ","\n' + TILL
    assert import_file(branch, file, mapped).recorded == 1
    assert branch.on_hand("milk") == -2_500
    (key,) = keys(branch)
    assert key.endswith(":#1")


def test_into_postgresql(tmp_path: Path, pg_database: str) -> None:
    with a_branch(tmp_path / "node", pg_database) as branch:
        file = a_till_file(tmp_path / "sales.csv", [*sales(CHUNK + 5), "1,tea,1,2025-12-31 12:00"])
        assert (import_file(branch, file).recorded, import_file(branch, file).already_recorded) == (
            CHUNK + 5,
            CHUNK + 6,
        )
        a_till_file(file, sales(1, first=2))
        with pytest.raises(Problem, match="import-file-differs"):
            import_file(branch, file)
        assert branch.on_hand("milk") == -1_000 * (CHUNK + 5)


def test_memory_does_not_grow_with_the_file(branch: Branch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def peak(rows: int) -> int:
        """Bytes at most in use, over a file half of which is rejected."""
        lines = [f"{number},{'milk' if number % 2 else 'tea'},1,2025-12-31 12:00" for number in range(rows)]
        file = a_till_file(tmp_path / f"{rows}.csv", lines)
        del lines
        tracemalloc.start()
        try:
            summary = dry_run(branch, file, WITH_IDS)
            assert (summary.recorded, summary.rejected) == (rows // 2, rows // 2)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    monkeypatch.setattr(file_copy, "IN_MEMORY", 100_000)
    # Both are larger than the caches of texts and than the part of a file that is kept in memory.
    assert peak(27_000) < peak(9_000) + 200_000
