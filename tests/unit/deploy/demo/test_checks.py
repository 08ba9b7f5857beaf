"""Each check of the demo, made to fail by breaking just what it checks."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from deploy.demo.checks import LogCopy, Snapshot, fold_lines, run_checks
from deploy.demo.day import DayTotals
from shared.chain import follow
from shared.events import Event
from tests.support.events import an_event, seal_all

EQUAL, HASHES, PROJECTION, TOLD, ENDS, CONSERVED = range(6)


def copy_of(events: list[Event]) -> LogCopy:
    sealed = seal_all(events)
    lines = [each.line for each in sealed]
    return LogCopy(lines, [each.hash for each in sealed], fold_lines(lines) or {})


def moved(kind: str, location_id: str, seed: int) -> Event:
    fields = {"quantity": 2_000, "transfer_id": "t-1", "transfer_line": 1}
    return an_event(kind, location_id=location_id, seed=seed, **fields)


def source() -> list[Event]:
    return [
        an_event("PURCHASE_RECEIVED", quantity=9_000, seed=1),
        an_event("ORDER_DEDUCTION", quantity=1_000, seed=2),
        moved("TRANSFER_OUT", "BEY-01", 3),
        an_event("STOCKTAKE", counted=5_500, expected=6_000, seed=4),
    ]


def whole() -> Snapshot:
    """One branch that sent 2 l of milk to another: everything holds."""
    copies = {"BEY-01": copy_of(source()), "BEY-02": copy_of([moved("TRANSFER_IN", "BEY-02", 5)])}
    totals = DayTotals(
        expected=Counter({("BEY-01", "milk"): 5_500, ("BEY-02", "milk"): 2_000}),
        order_lines=Counter({"BEY-01": 1}),
        transfers={"t-1": "COMPLETED"},
    )
    return Snapshot(dict(copies), dict(copies), {"t-1": "COMPLETED"}, totals)


def failing(snapshot: Snapshot) -> set[int]:
    return {number for number, check in enumerate(run_checks(snapshot)) if not check.holds}


def at_head_office(**changes: LogCopy) -> Snapshot:
    good = whole()
    return replace(good, head_office=good.head_office | {name.replace("_", "-"): log for name, log in changes.items()})


def everywhere(log: LogCopy) -> Snapshot:
    good = whole()
    return replace(good, branches=good.branches | {"BEY-01": log}, head_office=good.head_office | {"BEY-01": log})


def test_everything_holds() -> None:
    assert failing(whole()) == set()


def test_a_missing_event() -> None:
    short = copy_of(source()[:3])
    assert EQUAL in failing(at_head_office(BEY_01=short))


def test_a_location_that_never_arrived() -> None:
    good = whole()
    bare = replace(good, head_office={"BEY-01": good.head_office["BEY-01"]})
    bare.totals.expected.pop(("BEY-02", "milk"))
    assert EQUAL in failing(bare)


def test_a_byte_changed_on_one_side_with_its_hashes_made_good() -> None:
    log = whole().head_office["BEY-01"]
    lines = [log.lines[0].replace(b"staff-1", b"staff-2"), *log.lines[1:]]
    assert failing(at_head_office(BEY_01=replace(log, lines=lines, hashes=follow(bytes(32), lines)))) == {EQUAL}


def test_a_byte_changed_on_both_sides() -> None:
    log = whole().head_office["BEY-01"]
    lines = [log.lines[0].replace(b"staff-1", b"staff-2"), *log.lines[1:]]
    assert failing(everywhere(replace(log, lines=lines))) == {HASHES}


def test_a_hash_missing() -> None:
    log = whole().head_office["BEY-01"]
    assert failing(everywhere(replace(log, hashes=log.hashes[:-1]))) == {HASHES}


def test_a_projected_figure_off_by_a_thousandth() -> None:
    log = whole().branches["BEY-01"]
    good = whole()
    wrong = replace(log, on_hand={"milk": 5_501})
    assert failing(replace(good, branches=good.branches | {"BEY-01": wrong})) == {PROJECTION}
    assert PROJECTION in failing(at_head_office(BEY_01=wrong))


def test_an_order_counted_twice() -> None:
    twice = source()
    twice.insert(2, an_event("ORDER_DEDUCTION", quantity=1_000, seed=9))
    assert failing(everywhere(copy_of(twice))) == {TOLD}


def test_stock_that_is_not_what_callers_were_told() -> None:
    snapshot = whole()
    snapshot.totals.expected["BEY-02", "milk"] += 1
    assert failing(snapshot) == {TOLD}


@pytest.mark.parametrize("state", ["IN_PENDING", "REVERSED"])
def test_a_transfer_that_hangs_or_ended_otherwise(state: str) -> None:
    assert failing(replace(whole(), transfers={"t-1": state})) == {ENDS}


def test_goods_that_left_and_never_came() -> None:
    assert failing(at_head_office(BEY_02=copy_of([]))) == {EQUAL, TOLD, CONSERVED}


def test_goods_from_nowhere() -> None:
    log = whole().head_office["BEY-02"]
    assert CONSERVED in failing(at_head_office(BEY_02=replace(log, on_hand={"milk": 3_000})))


def test_a_log_that_cannot_be_read_is_never_taken_for_right() -> None:
    lines = [b"{}"]
    assert {PROJECTION, CONSERVED} <= failing(everywhere(LogCopy(lines, follow(bytes(32), lines), {})))
