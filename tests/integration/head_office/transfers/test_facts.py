"""Facts of transfers, and the cursor that never skips one."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, event, text

from head_office.database.receipts import receipts
from head_office.log import decoder, quarantine
from head_office.transfers import instructions
from head_office.transfers.fact_changes import MOST_TOLD, FactPlace, changes, read_cursor
from head_office.transfers.transfer_facts import facts
from shared.messages import ChangesPage, Fact, Instruction, InstructionLine, InstructionStep, TransferFacts
from shared.runtime.http.cursor import BadCursor, Cursor
from tests.support.branch_log import BranchLog
from tests.support.consolidation import OldVersion
from tests.support.events import MINUTE, NOON

LINE: dict[str, object] = {"transfer_line": 1}


def read_changes(office: Engine, cursor: str | None, limit: int = 1_000) -> ChangesPage:
    with office.connect() as connection:
        received = receipts(connection)
    with office.connect() as connection:
        return changes(connection, received, cursor, limit)


def read_here(connection: Connection, cursor: str | None, limit: int = 1_000) -> ChangesPage:
    """Within a transaction that holds what it received itself."""
    return changes(connection, receipts(connection), cursor, limit)


def kept_by_location(at: dict[str, tuple[int, int]]) -> str:
    """The cursor of an older version."""
    return Cursor[dict[str, tuple[int, int]]](dict[str, tuple[int, int]]).write(dict(sorted(at.items())))


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
        told = read_here(connection, None).transfers

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
        received = receipts(connection)
        event.listen(office, "before_cursor_execute", lambda _c, _k, statement, *_more: ran.append(statement))
        assert len(changes(connection, received, None).transfers) == many
    assert len(ran) == 4


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


def test_facts_are_told_in_the_order_of_receipt(office: Engine) -> None:
    busy, calm = BranchLog("BEY-01"), BranchLog("WH-1")
    for number in range(10):
        busy.record("TRANSFER_IN", transfer_id=f"busy-{number}", **LINE)
    calm.record("TRANSFER_IN", transfer_id="calm", **LINE)
    busy.ship_now(office)
    calm.ship_now(office)
    page = read_changes(office, None, 2)
    assert names(page) == ["busy-0", "busy-1"]
    assert page.more
    rest: list[str] = []
    while page.more:
        page = read_changes(office, page.next, 4)
        rest += names(page)
    assert rest == [*(f"busy-{number}" for number in range(2, 10)), "calm"]


def test_a_full_page_ends_where_it_is_full(office: Engine) -> None:
    """What comes after the first transfer that no longer fits is left for the next page, known transfers included."""
    one, other = BranchLog("BEY-01"), BranchLog("BEY-02")
    for name in ("a", "b", "a", "c", "a"):
        one.record("TRANSFER_IN", transfer_id=name, **LINE)
    other.record("TRANSFER_IN", transfer_id="d", **LINE)
    one.ship_now(office)
    other.ship_now(office)
    page = read_changes(office, None, 2)
    assert names(page) == ["a", "b"]
    assert page.more
    assert "c" in names(read_changes(office, page.next, 2))


def test_what_is_received_beside_an_open_ingest_is_told_once_and_at_once(office: Engine) -> None:
    """However many they are: the cursor stays short, and what it cannot hold is told once the open one has ended."""
    slow, fast = BranchLog("BEY-01"), BranchLog("BEY-02")
    slow.record("TRANSFER_IN", transfer_id="slow", **LINE)
    page = read_changes(office, None)
    told: list[str] = []
    with office.connect() as first, first.begin():
        slow.ship(first)
        for number in range(3 * MOST_TOLD):
            fast.record("TRANSFER_IN", transfer_id=f"fast-{number}", **LINE)
            fast.record("ORDER_DEDUCTION")
            fast.ship_now(office)
            page = read_changes(office, page.next)
            told += names(page)
            assert len(page.next) < 1_000
        assert told == [f"fast-{number}" for number in range(MOST_TOLD)]
        first.commit()
    page = read_changes(office, page.next)
    told += names(page)
    assert sorted(told) == sorted(["slow", *(f"fast-{number}" for number in range(3 * MOST_TOLD))])
    assert (read_changes(office, page.next).transfers, page.more) == ([], False)


def test_the_cursor_of_5000_locations_is_short(office: Engine) -> None:
    with office.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO location (location_id, name, timezone, day_start, added_at)"
                " SELECT 'SHOP-' || n, 'Shop ' || n, 'UTC', 0, 0 FROM generate_series(1, 5000) AS n"
            )
        )
        connection.execute(
            text(
                "INSERT INTO head (location_id, epoch, sequence, hash)"
                " SELECT 'SHOP-' || n, 1, 0, decode(repeat('00', 32), 'hex') FROM generate_series(1, 5000) AS n"
            )
        )
    for number in (1, 2_500, 5_000):
        log = BranchLog(f"SHOP-{number}")
        log.record("TRANSFER_IN", transfer_id=f"t-{number}", **LINE)
        log.ship_now(office)
    told: list[str] = []
    page = read_changes(office, None, 1)
    while page.more:
        assert len(page.next) < 100
        told += names(page)
        page = read_changes(office, page.next, 1)
    assert [*told, *names(page)] == ["t-1", "t-2500", "t-5000"]
    assert len(page.next) < 100


def test_a_cursor_of_an_older_version_is_followed_on(office: Engine) -> None:
    one, other = BranchLog("BEY-01"), BranchLog("WH-1")
    for log, name in ((one, "a"), (other, "b"), (one, "c"), (other, "d")):
        log.record("TRANSFER_IN", transfer_id=name, **LINE)
        log.ship_now(office)
    assert names(read_changes(office, kept_by_location({}))) == ["a", "b", "c", "d"]
    assert names(read_changes(office, kept_by_location({"BEY-01": (1, 0), "WH-1": (1, 0)}))) == ["c", "d"]
    # Told again where the locations do not agree: facts are whole.
    assert names(read_changes(office, kept_by_location({"BEY-01": (2, 0), "WH-1": (1, 0)}))) == ["d"]
    assert names(read_changes(office, kept_by_location({"BEY-01": (1, 0), "WH-1": (2, 0)}))) == ["c", "d"]
    page = read_changes(office, kept_by_location({"BEY-01": (2, 0), "WH-1": (2, 0)}))
    assert names(page) == []
    one.record("TRANSFER_IN", transfer_id="e", **LINE)
    one.ship_now(office)
    assert names(read_changes(office, page.next)) == ["e"]


def test_a_restored_head_office_tells_again_what_it_gets_again(office: Engine) -> None:
    branch = BranchLog("BEY-01")
    branch.record("TRANSFER_IN", transfer_id="t", **LINE)
    branch.ship_now(office)
    older = kept_by_location({"BEY-01": (40, 3), "WH-1": (5, 0), "GONE": (9, 9)})
    ahead = Cursor[FactPlace](FactPlace).write(FactPlace(2**61, 7, (2**61 + 1,)))
    pages = [read_changes(office, cursor) for cursor in (older, ahead)]
    assert [page.transfers for page in pages] == [[], []]
    branch.record("TRANSFER_IN", transfer_id="u", **LINE)
    branch.ship_now(office)
    # Its moments are still behind what the cursor says: the newest facts must not be taken for old ones.
    for page in pages:
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
    "cursor",
    [
        "!", "e30x", "bnVsbA", "eyJBIjpbMSwtMV19", "eyJcdTAwMDAiOlsxLDFdfQ", "\u00e9", "A" * 60_001,
        "WzEsMl0", "WzEsMixbLTFdXQ", "WyIxIiwyLFtdXQ",
    ],
)  # fmt: skip
def test_a_cursor_that_was_not_given_out_is_refused(cursor: str) -> None:
    with pytest.raises(BadCursor):
        read_cursor(cursor)


def test_a_cursor_that_a_coordinator_kept_stays_readable() -> None:
    assert read_cursor("eyJCRVktMDEiOls0MCwzXSwiV0gtMSI6WzUsMF19") == {"WH-1": (5, 0), "BEY-01": (40, 3)}
    assert read_cursor("WzUsMSxbN11d") == FactPlace(5, 1, (7,))


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
                page = read_here(connection, cursor, int(str(what)))
                assert len(page.transfers) <= int(str(what))
                assert bool(page.transfers) or not page.more
                cursor = page.next
                known |= {each.transfer_id: each.facts for each in page.transfers}
                if not page.more:
                    assert known == everything(connection)
        while True:
            page = read_here(connection, cursor, 2)
            cursor = page.next
            known |= {each.transfer_id: each.facts for each in page.transfers}
            if not page.more:
                break
        assert known == everything(connection)
        transaction.rollback()


def everything(connection: Connection) -> dict[str, list[Fact]]:
    ids = connection.execute(text("SELECT DISTINCT transfer_id FROM event WHERE transfer_id IS NOT NULL")).scalars()
    return {each.transfer_id: each.facts for each in facts(connection, list(ids))}
