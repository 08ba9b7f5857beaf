"""Counts in a file: all rows of one moment are one count, the areas of an item are summed, nothing counts twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from branch_node.imports.import_summary import ImportSummary
from shared.runtime.cli.service_client import InProcessTransport
from shared.runtime.problems import Problem
from tests.integration.branch_node.imports.import_runs import dry_run, import_file, last_written, rejected
from tests.integration.branch_node.imports.test_http_recorder import import_over, log_of
from tests.integration.branch_node.imports.test_same_rows import undo
from tests.support.branch import Branch, a_branch
from tests.support.branch_api import a_caller

COUNTS = """\
source = "counting-app"
time_zone = "Asia/Beirut"
type = "STOCKTAKE"

[columns]
item = "code"
quantity = "counted"
occurred_at = "at"
area = "area"

[formats]
occurred_at = "%Y-%m-%d %H:%M"
"""
BY_ID = COUNTS.replace("[columns]", '[columns]\nid = "id"')
EVENING = "2025-12-31 12:00"


def a_count(path: Path, *rows: str) -> Path:
    path.write_text("id,code,area,counted,at\n" + "".join(f"{row},{EVENING}\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def branch(tmp_path: Path):
    with a_branch(tmp_path / "node") as found:
        yield found


def test_the_areas_of_an_item_are_summed(branch: Branch, tmp_path: Path) -> None:
    file = a_count(tmp_path / "count.csv", "1,milk,bar,24", "2,milk,cellar,48", "3,cup,,7")
    foreseen = dry_run(branch, file, COUNTS)
    summary = import_file(branch, file, COUNTS)
    assert (summary.rows, summary.recorded, foreseen.recorded) == (3, 3, 3)
    assert (branch.on_hand("milk"), branch.on_hand("cup")) == (72_000, 7_000)
    cup, milk = branch.events()
    assert (milk.lines, cup.lines) == (2, 2)
    assert milk.areas is not None
    assert [(each.area, each.counted, each.source) for each in milk.areas] == [
        ("bar", 24_000, "counting-app"),
        ("cellar", 48_000, "counting-app"),
    ]
    assert summary.by_type["STOCKTAKE"].events == foreseen.by_type["STOCKTAKE"].events == 2
    assert import_file(branch, file, COUNTS).already_imported == summary.import_id
    assert len(branch.events()) == 2


def test_an_item_counted_twice_is_rejected_but_for_the_first_line(branch: Branch, tmp_path: Path) -> None:
    rows = ("1,milk,,5", "2,milk,,6", "3,cup,bar,1", "4,cup,bar,2", "5,cup,cellar,3", "6,tea,,9", "7,cup,bar,x")
    file = a_count(tmp_path / "count.csv", *rows)
    for summary in (dry_run(branch, file, COUNTS, rejects=tmp_path / "r.csv"), import_file(branch, file, COUNTS)):
        assert (summary.recorded, summary.rejected) == (3, 4)
    found = dict(rejected(file))
    assert sorted(found) == [3, 5, 7, 8]
    assert "was counted at this moment in line 2" in found[3]
    assert "in 'bar' was counted at this moment in line 4" in found[5]
    assert "unknown-item" in found[7]
    assert (branch.on_hand("milk"), branch.on_hand("cup")) == (5_000, 4_000)


def test_counts_by_id_are_known_whatever_their_file_is_called(branch: Branch, tmp_path: Path) -> None:
    rows = ("1,milk,bar,24", "2,milk,cellar,48", "2,milk,cellar,48")
    first = import_file(branch, a_count(tmp_path / "a.csv", *rows), BY_ID)
    assert (first.recorded, first.repeated) == (2, 1)
    again = import_file(branch, a_count(tmp_path / "b.csv", *rows[:2]), BY_ID)
    assert (again.recorded, again.already_recorded) == (0, 2)
    changed = a_count(tmp_path / "c.csv", "1,milk,bar,20", "2,milk,cellar,48")
    refused = import_file(branch, changed, BY_ID)
    assert (refused.conflicting, refused.already_recorded) == (1, 1)
    assert branch.on_hand("milk") == 72_000
    accepted = import_file(branch, changed, BY_ID, accept="all")
    assert (accepted.recorded, accepted.conflicting, branch.on_hand("milk")) == (1, 0, 68_000)
    again = import_file(branch, changed, BY_ID)
    assert (again.already_recorded, again.conflicting, branch.on_hand("milk")) == (2, 0, 68_000)


def test_a_count_that_goes_on_in_a_longer_file(branch: Branch, tmp_path: Path) -> None:
    import_file(branch, a_count(tmp_path / "a.csv", "1,milk,bar,24"), COUNTS)
    longer = import_file(branch, a_count(tmp_path / "b.csv", "1,milk,bar,24", "2,cup,,7"), COUNTS)
    assert (longer.recorded, longer.already_recorded) == (1, 1)
    assert (branch.on_hand("milk"), branch.on_hand("cup")) == (24_000, 7_000)


def test_areas_that_come_later_join_the_count_of_their_moment(tmp_path: Path) -> None:
    """Rejected rows that were mended, and the further lines of a longer file, are of the count that they belong to."""
    rows = ("1,milk,bar,24", "2,cup,,7", "3,milk,cellar,4x")
    with a_branch(tmp_path / "direct") as branch, a_caller(tmp_path / "served") as caller:
        for folder in ("a", "b"):
            (tmp_path / folder).mkdir()

        def import_both(name: str, text: str) -> None:
            for folder in ("a", "b"):
                (tmp_path / folder / name).write_text(text, encoding="utf-8")
            import_file(branch, tmp_path / "a" / name, COUNTS)
            import_over(caller, tmp_path / "b" / name, COUNTS, InProcessTransport(caller.app))

        first = a_count(tmp_path / "count.csv", *rows).read_text()
        import_both("count.csv", first)
        assert branch.on_hand("milk") == 24_000
        import_both("mended.csv", last_written(tmp_path / "a" / "count.csv", "rejects").read_text().replace("4x", "48"))
        assert (branch.on_hand("milk"), branch.on_hand("cup")) == (72_000, 7_000)
        import_both("longer.csv", f"{first}4,milk,kitchen,3,{EVENING}\n")
        assert branch.on_hand("milk") == 75_000
        newest = branch.events()[-1]
        assert [(each.area, each.counted) for each in newest.areas or ()] == [
            ("bar", 24_000),
            ("cellar", 48_000),
            ("kitchen", 3_000),
        ]
        assert newest.note == "bar 24; cellar 48; kitchen 3"
        # An area that is counted again is counted anew; a count of the whole takes the place of the areas.
        import_both("again.csv", a_count(tmp_path / "x.csv", "1,milk,bar,20").read_text())
        assert branch.on_hand("milk") == 71_000
        import_both("whole.csv", a_count(tmp_path / "x.csv", "1,milk,,70").read_text())
        assert branch.on_hand("milk") == 70_000
        import_both("after.csv", a_count(tmp_path / "x.csv", "1,milk,bar,9").read_text())
        assert branch.on_hand("milk") == 9_000
        told = [
            [(event.item_id, event.counted, event.note, len(event.areas or ())) for event in log]
            for log in (branch.events(), log_of(caller))
        ]
        assert told[0] == told[1]


def test_a_count_by_ids_goes_on_with_what_is_new_in_it(tmp_path: Path) -> None:
    """Mended rejects and a longer export have rows of a count whose others are recorded: no conflict, nothing lost."""
    rows = ("1,milk,bar,24", "2,milk,cellar,4x", "3,cup,,7")
    with a_branch(tmp_path / "direct") as branch, a_caller(tmp_path / "served") as caller:

        def counts(file: Path) -> list[tuple[int, int, int]]:
            transport = InProcessTransport(caller.app)
            found = [dry_run(branch, file, BY_ID), import_file(branch, file, BY_ID)]
            found.append(import_over(caller, file, BY_ID, transport))
            return [(each.recorded, each.already_recorded, each.conflicting) for each in found]

        first = a_count(tmp_path / "count.csv", *rows)
        assert counts(first) == [(2, 0, 0)] * 3
        mended = tmp_path / "mended.csv"
        mended.write_text(last_written(first, "rejects").read_text().replace("4x", "48"))
        assert counts(mended) == [(1, 0, 0)] * 3
        assert branch.on_hand("milk") == 72_000
        assert counts(mended) == [(0, 1, 0)] * 3
        longer = a_count(tmp_path / "longer.csv", "1,milk,bar,24", "2,milk,cellar,48", "3,cup,,7", "4,milk,yard,1")
        assert counts(longer) == [(1, 3, 0)] * 3
        # The whole of an item beside its areas, and an area beside the whole, are looked at.
        assert counts(a_count(tmp_path / "odd.csv", "5,milk,,73", "6,cup,bar,1")) == [(0, 0, 2)] * 3
        assert (branch.on_hand("milk"), branch.on_hand("cup")) == (73_000, 7_000)
        assert [each.counted for each in log_of(caller)] == [each.counted for each in branch.events()]


def test_an_undone_count_is_in_no_later_one_of_its_moment(branch: Branch, tmp_path: Path) -> None:
    undone = import_file(branch, a_count(tmp_path / "a.csv", "1,milk,bar,24"), COUNTS)
    undo(branch, undone.import_id or "")
    import_file(branch, a_count(tmp_path / "b.csv", "1,milk,cellar,48"), COUNTS)
    assert branch.on_hand("milk") == 48_000
    other = COUNTS.replace("counting-app", "another-app")
    import_file(branch, a_count(tmp_path / "c.csv", "1,milk,bar,5"), other)
    assert branch.on_hand("milk") == 5_000


def test_direct_served_and_by_hand_alike(tmp_path: Path) -> None:
    rows = ("1,milk,bar,24", "2,milk,cellar,48", "3,cup,,7")
    file = a_count(tmp_path / "count.csv", *rows)
    summaries: list[ImportSummary] = []
    with a_branch(tmp_path / "direct") as branch:
        summaries.append(import_file(branch, file, COUNTS))
        direct = branch.events()
    with a_caller(tmp_path / "served") as caller:
        summaries.append(import_over(caller, file, COUNTS, InProcessTransport(caller.app)))
        served = log_of(caller)
    with a_branch(tmp_path / "hand") as branch:
        at = "2025-12-31T10:00:00Z"
        lines: list[dict[str, object]] = [
            {"item_id": "milk", "area": "bar", "counted": 24, "occurred_at": at},
            {"item_id": "milk", "area": "cellar", "counted": 48, "occurred_at": at},
            {"item_id": "cup", "counted": 7, "occurred_at": at},
        ]
        branch.count("evening", lines)
        by_hand = branch.events()
    assert summaries[0] == summaries[1]
    told = [
        [
            (event.item_id, event.counted, event.expected, event.occurred_at, event.area, event.note, event.reason)
            for event in log
        ]
        for log in (direct, served, by_hand)
    ]
    assert told[0] == told[1] == told[2]
    areas = [[[(a.area, a.counted) for a in event.areas or ()] for event in log] for log in (direct, served, by_hand)]
    assert areas[0] == areas[1] == areas[2]


def test_an_item_counted_twice_by_hand_is_refused(branch: Branch) -> None:
    with pytest.raises(Problem):
        branch.count("evening", [{"item_id": "milk", "counted": 5}, {"item_id": "milk", "counted": 6}])
