"""Facts of transfers, and the cursor that never skips one."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, event, text

from head_office.log import decoder, quarantine
from head_office.transfers import instructions
from head_office.transfers.transfer_facts import changes, facts, read_cursor, write_cursor
from shared.messages import ChangesPage, Fact, Instruction, InstructionLine, InstructionStep, TransferFacts
from shared.runtime.http.cursor import BadCursor
from tests.support.branch_log import BranchLog
from tests.support.consolidation import OldVersion
from tests.support.events import MINUTE, NOON

LINE: dict[str, object] = {"transfer_line": 1}


def read_changes(office: Engine, cursor: str | None, limit: int = 1_000) -> ChangesPage:
    with office.connect() as connection:
        return changes(connection, cursor, limit)


def names(page: ChangesPage) -> list[str]:
    return [each.transfer_id for each in page.transfers]


def shown(found: Sequence[Fact]) -> list[tuple[str, str, str | None, int | None, str | None]]:
    return [(each.location_id, each.type.value, each.item_id, each.quantity, each.reason) for each in found]


def test_the_facts_of_a_transfer_that_was_sent_refused_and_reversed(office: Engine) -> None:
    warehouse, branch = BranchLog("WH-1"), BranchLog("BEY-01")
    sent = warehouse.record("TRANSFER_OUT", transfer_id="t", quantity=2_500, **LINE)
    warehouse.record("ORDER_DEDUCTION")
    first = warehouse.ship_now(office)
    branch.record("TRANSFER_REFUSED", transfer_id="t", reason="closed")
    branch.ship_now(office)
    undo = {"voided_event_id": sent.event_id, "voided_sequence": sent.sequence}
    warehouse.record("TRANSFER_REVERSED", transfer_id="t", quantity=2_500, **LINE, **undo)
    last = warehouse.ship_now(office)
    asked = Instruction(
        transfer_id="t", step=InstructionStep.REVERSE, token=7, location_id="WH-1", source="WH-1",
        destination="BEY-01", lines=(),
    )  # fmt: skip
    with office.begin() as connection:
        instructions.put(connection, [asked])
        nothing, found = facts(connection, ["never", "t"])
    assert (nothing.highest_token, nothing.facts) == (0, [])
    assert found.highest_token == 7
    assert shown(found.facts) == [
        ("BEY-01", "TRANSFER_REFUSED", None, None, "closed"),
        ("WH-1", "TRANSFER_OUT", "milk", 2_500, None),
        ("WH-1", "TRANSFER_REVERSED", "milk", 2_500, None),
    ]
    assert [each.sequence for each in found.facts] == [1, 1, 3]
    assert found.facts[1].received_at == first.received_at
    assert found.facts[2].received_at == last.received_at > first.received_at


def test_what_was_asked_goes_with_the_facts(office: Engine) -> None:
    """As it was asked first, whichever steps were asked since; also where the source was never heard to be asked."""
    log = BranchLog("WH-1")
    asked: list[Instruction] = []
    for name, steps in {
        "sent": ("in", "reverse", "out"),
        "late": ("in",),
        "refused": ("refuse-in", "refuse-out"),
    }.items():
        for step in steps:
            at_source = step in ("out", "refuse-out", "reverse")
            quantity = 2_500 if step in ("out", "refuse-out") else 100
            asked.append(
                Instruction(
                    transfer_id=name, step=InstructionStep(step), token=len(asked) + 1, source="WH-1",
                    destination="BEY-01", location_id="WH-1" if at_source else "BEY-01",
                    lines=(InstructionLine(7, "milk", quantity, "l"), InstructionLine(9, "rice", quantity, "kg")),
                )
            )  # fmt: skip
        log.record("TRANSFER_OUT", transfer_id=name, quantity=2_500, **LINE)
    log.record("TRANSFER_OUT", transfer_id="by hand", quantity=2_500, **LINE)
    log.ship_now(office)
    with office.begin() as connection:
        instructions.put(connection, asked)
        named = facts(connection, ["refused", "sent", "never", "late", "by hand"])
        told = changes(connection, None).transfers

    def said(
        found: Sequence[TransferFacts],
    ) -> dict[str, tuple[str | None, str | None, list[tuple[int, str, int, str]]]]:
        return {
            each.transfer_id: (
                each.source,
                each.destination,
                [(line.line, line.item_id, line.quantity, line.unit) for line in each.lines],
            )
            for each in found
        }

    first = ("WH-1", "BEY-01", [(7, "milk", 2_500, "l"), (9, "rice", 2_500, "kg")])
    left = ("WH-1", "BEY-01", [(7, "milk", 100, "l"), (9, "rice", 100, "kg")])
    nothing: tuple[None, None, list[tuple[int, str, int, str]]] = (None, None, [])
    known = {"sent": first, "late": left, "refused": first, "by hand": nothing}
    assert said(told) == known
    assert said(named) == known | {"never": nothing}
    assert [each.highest_token for each in named] == [6, 3, 0, 4, 0]


@pytest.mark.parametrize("many", [1, 200])
def test_a_page_takes_as_many_statements_whatever_it_holds(office: Engine, many: int) -> None:
    log = BranchLog("WH-1")
    for number in range(many):
        log.record("TRANSFER_OUT", transfer_id=f"t-{number}", **LINE)
    log.ship_now(office)
    ran: list[str] = []
    with office.connect() as connection:
        event.listen(office, "before_cursor_execute", lambda _c, _k, statement, *_more: ran.append(statement))
        assert len(changes(connection, None).transfers) == many
    assert len(ran) == 3


def test_the_facts_of_a_transfer_received_in_parts(office: Engine) -> None:
    branch = BranchLog("BEY-01")
    branch.record("TRANSFER_IN", transfer_id="t", quantity=600, **LINE)
    branch.record("TRANSFER_LOST", transfer_id="t", quantity=400, reason="broken", occurred_at=NOON + MINUTE, **LINE)
    branch.record("ADJUSTMENT", transfer_id="t", quantity=-100, reason="more-than-sent")
    branch.ship_now(office)
    with office.connect() as connection:
        (found,) = facts(connection, ["t"])
        assert facts(connection, []) == []
    assert shown(found.facts) == [
        ("BEY-01", "TRANSFER_IN", "milk", 600, None),
        ("BEY-01", "TRANSFER_LOST", "milk", 400, "broken"),
        ("BEY-01", "ADJUSTMENT", "milk", -100, "more-than-sent"),
    ]
    assert found.facts[1].occurred_at == NOON + MINUTE


def test_a_transaction_that_ends_later_is_not_skipped(office: Engine) -> None:
    """Two locations commit in the other order than they began; and two batches of one location in theirs."""
    slow, fast = BranchLog("BEY-01"), BranchLog("BEY-02")
    slow.record("TRANSFER_IN", transfer_id="slow", **LINE)
    fast.record("TRANSFER_IN", transfer_id="fast", **LINE)
    with office.connect() as first, first.begin():
        slow.ship(first)
        fast.ship_now(office)
        page = read_changes(office, None)
        assert names(page) == ["fast"]
        first.commit()
    page = read_changes(office, page.next)
    assert names(page) == ["slow"]

    slow.record("TRANSFER_IN", transfer_id="third", **LINE)
    slow.record("TRANSFER_IN", transfer_id="fourth", **LINE)
    with office.connect() as first, ThreadPoolExecutor(1) as pool:
        with first.begin():
            slow.ship(first, last=2)
            later = pool.submit(slow.ship_now, office)
            assert read_changes(office, page.next).transfers == []
            first.commit()
        later.result(10)
    assert names(read_changes(office, page.next)) == ["third", "fourth"]


def test_locations_take_turns(office: Engine) -> None:
    busy, calm = BranchLog("BEY-01"), BranchLog("WH-1")
    for number in range(10):
        busy.record("TRANSFER_IN", transfer_id=f"busy-{number}", **LINE)
    calm.record("TRANSFER_IN", transfer_id="calm", **LINE)
    busy.ship_now(office)
    calm.ship_now(office)
    page = read_changes(office, None, 2)
    assert names(page) == ["busy-0", "calm"]
    assert page.more
    rest: list[str] = []
    while page.more:
        page = read_changes(office, page.next, 4)
        rest += names(page)
    assert rest == [f"busy-{number}" for number in range(1, 10)]


def test_a_full_page_ends_where_it_is_full(office: Engine) -> None:
    """What comes after the first transfer that no longer fits is left for the next page, known transfers included."""
    one, other = BranchLog("BEY-01"), BranchLog("BEY-02")
    for name in ("a", "c", "a"):
        one.record("TRANSFER_IN", transfer_id=name, **LINE)
    other.record("TRANSFER_IN", transfer_id="b", **LINE)
    one.ship_now(office)
    other.ship_now(office)
    page = read_changes(office, None, 2)
    assert names(page) == ["a", "b"]
    assert page.more
    assert "c" in names(read_changes(office, page.next, 2))


def test_a_restored_head_office_tells_again_what_it_gets_again(office: Engine) -> None:
    branch = BranchLog("BEY-01")
    branch.record("TRANSFER_IN", transfer_id="t", **LINE)
    branch.ship_now(office)
    ahead = write_cursor({"BEY-01": (40, 3), "WH-1": (5, 0), "GONE": (9, 9)})
    page = read_changes(office, ahead)
    assert page.transfers == []
    branch.record("TRANSFER_IN", transfer_id="u", **LINE)
    branch.ship_now(office)
    # Its head is at 2 by now, still behind what the cursor says: the newest facts must not be taken for old ones.
    assert names(read_changes(office, page.next)) == ["u"]


def test_what_comes_out_of_quarantine_is_told_though_its_sequence_is_old(office: Engine) -> None:
    branch = BranchLog("BEY-01")
    for number in range(3):
        branch.record("TRANSFER_IN", transfer_id=f"held-{number}", note="new", **LINE)
        branch.record("ORDER_DEDUCTION", note="new")
    branch.record("TRANSFER_IN", transfer_id="known", **LINE)
    with pytest.MonkeyPatch.context() as old:
        old.setattr(decoder, "understand", OldVersion.understand)
        branch.ship_now(office)
    page = read_changes(office, None)
    assert names(page) == ["known"]
    with office.begin() as connection:
        assert quarantine.retry(connection, "BEY-01").released == 6
    branch.record("TRANSFER_IN", transfer_id="later", **LINE)
    branch.ship_now(office)
    found: list[str] = []
    following = page
    while not found or following.more:
        following = read_changes(office, following.next, 2)
        found += names(following)
    assert sorted(found) == ["held-0", "held-1", "held-2", "later"]
    assert read_changes(office, following.next).transfers == []
    with office.connect() as connection:
        held, known = facts(connection, ["held-0", "known"])
    assert held.facts[0].sequence < known.facts[0].sequence
    assert held.facts[0].received_at > known.facts[0].received_at
    assert sorted(names(read_changes(office, None))) == ["held-0", "held-1", "held-2", "known", "later"]


@pytest.mark.parametrize(
    "cursor", ["!", "e30x", "bnVsbA", "eyJBIjpbMSwtMV19", "eyJcdTAwMDAiOlsxLDFdfQ", "\u00e9", "A" * 60_001]
)
def test_a_cursor_that_was_not_given_out_is_refused(cursor: str) -> None:
    with pytest.raises(BadCursor):
        read_cursor(cursor)


@given(
    st.dictionaries(st.sampled_from(["BEY-01", "Café 2", "WH-1"]), st.tuples(st.integers(0, 2**53), st.integers(0, 9)))
)
def test_a_cursor_comes_back_as_it_went(at: dict[str, tuple[int, int]]) -> None:
    assert read_cursor(write_cursor(at)) == at


def test_a_cursor_that_a_coordinator_kept_stays_readable() -> None:
    assert write_cursor({"WH-1": (5, 0), "BEY-01": (40, 3)}) == "eyJCRVktMDEiOls0MCwzXSwiV0gtMSI6WzUsMF19"


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("record"),
            st.sampled_from(["BEY-01", "BEY-02", "WH-1"]),
            st.sampled_from([None, "a", "b", "c", "d"]),
        ),
        st.tuples(st.just("ship"), st.sampled_from(["BEY-01", "BEY-02", "WH-1"]), st.integers(1, 3)),
        st.tuples(st.just("follow"), st.just(""), st.integers(1, 3)),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whoever_follows_knows_every_fact(office: Engine, steps: list[tuple[str, str, object]]) -> None:
    """Any mixture of recording, shipping in parts and following in pages of any size; nothing committed in between."""
    with office.connect() as connection, connection.begin() as transaction:
        logs = {name: BranchLog(name) for name in ("BEY-01", "BEY-02", "WH-1")}
        cursor: str | None = None
        known: dict[str, list[Fact]] = {}
        for kind, where, what in steps:
            if kind == "record":
                log = logs[where]
                if what is None:
                    log.record("ORDER_DEDUCTION")
                else:
                    log.record("TRANSFER_IN", transfer_id=str(what), **LINE)
            elif kind == "ship":
                log = logs[where]
                last = min(log.shipped + int(str(what)), len(log.sealed))
                if last > log.shipped:
                    log.ship(connection, last)
            else:
                page = changes(connection, cursor, int(str(what)))
                assert len(page.transfers) <= int(str(what))
                assert bool(page.transfers) or not page.more
                cursor = page.next
                known |= {each.transfer_id: each.facts for each in page.transfers}
                if not page.more:
                    assert known == everything(connection)
        while True:
            page = changes(connection, cursor, 2)
            cursor = page.next
            known |= {each.transfer_id: each.facts for each in page.transfers}
            if not page.more:
                break
        assert known == everything(connection)
        transaction.rollback()


def everything(connection: Connection) -> dict[str, list[Fact]]:
    ids = connection.execute(text("SELECT DISTINCT transfer_id FROM event WHERE transfer_id IS NOT NULL")).scalars()
    return {each.transfer_id: each.facts for each in facts(connection, list(ids))}
