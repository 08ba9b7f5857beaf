"""Many reservations that expire at one moment: recorded in bounded transactions, before anything else decides."""

from __future__ import annotations

from typing import Any

import pytest

from branch_node.database.reservation_verification import verify_reservations
from branch_node.writer import command_group
from branch_node.writer.reservation_book import ReservationBook
from shared.events import EventType
from shared.reservations import Reservation, ReservationState, ReservedLine
from tests.support.branch import Branch
from tests.support.events import MINUTE, NOON

MANY = 95
AT_ONCE = 20


def test_what_is_due_is_recorded_in_bounded_transactions_before_the_next_decision(
    any_branch: Branch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_group, "MOST_EXPIRED_LINES", AT_ONCE)
    branch = any_branch
    branch.event("PURCHASE_RECEIVED", "milk", MANY)
    branch.event("PURCHASE_RECEIVED", "cup", MANY)
    for number in range(MANY):
        branch.reserve(f"order-{number}", {"milk": 1, "cup": 1} if number % 2 else {"milk": 1}, expires_in=900)
    branch.clock.advance(15 * MINUTE)
    sizes: list[int] = []
    branch.writer.on_commit(lambda head: sizes.append(head.sequence))
    begin = branch.writer.head.sequence
    made = branch.reserve("all", {"milk": MANY, "cup": MANY})
    assert isinstance(made, Reservation)  # all that had expired was there again
    *expiring, last = [after - before for before, after in zip([begin, *sizes], sizes, strict=False)]
    lines = MANY + MANY // 2
    assert sum(expiring) + last == lines + 2
    assert max(expiring) <= AT_ONCE
    assert last <= AT_ONCE + 2
    events = branch.events()[begin:]
    assert [each.type for each in events] == [EventType.RESERVATION_EXPIRED] * lines + [EventType.STOCK_RESERVED] * 2
    assert {each.occurred_at for each in events[:lines]} == {NOON + 15 * MINUTE}
    with branch.store.reading() as connection:
        assert verify_reservations(connection, lambda _: None) == []


def test_a_process_that_dies_in_between_goes_on(any_branch: Branch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_group, "MOST_EXPIRED_LINES", AT_ONCE)
    branch = any_branch
    branch.event("PURCHASE_RECEIVED", "milk", MANY)
    for number in range(MANY):
        branch.reserve(f"order-{number}", {"milk": 1}, expires_in=900)
    branch.clock.advance(15 * MINUTE)
    writer: Any = branch.writer
    commit, left = writer._writing.commit, [2]

    def dying() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        commit()

    writer._writing.commit = dying
    begin = branch.writer.head.sequence
    with pytest.raises(KeyboardInterrupt):
        branch.reserve("all", {"milk": MANY}, key="k")
    branch.writer.close()
    branch.writer.open()
    assert branch.writer.head.sequence == begin + 2 * AT_ONCE
    assert isinstance(branch.reserve("all", {"milk": MANY}, key="k"), Reservation)
    assert sum(each.type is EventType.RESERVATION_EXPIRED for each in branch.events()) == MANY


def _reservation(number: int, expires_at: int, lines: int) -> Reservation:
    return Reservation(
        reservation_id=f"r-{number}", order_id=f"o-{number}", source="api", revision=1, state=ReservationState.ACTIVE,
        created_at=0, expires_at=expires_at, stated_at=1,
        lines=tuple(ReservedLine(item_id=f"i-{each}", unit="kg", quantity=1) for each in range(lines)),
    )  # fmt: skip


def test_the_book_gives_what_expired_first_of_up_to_so_many_lines() -> None:
    book = ReservationBook([_reservation(number, 10 - number, 3) for number in range(8)])
    found, more = book.expired_by(9, 7)
    assert ([each.expires_at for each in found], more) == ([3, 4], True)
    assert [each.expires_at for each in book.expired_by(9, 7)[0]] == [3, 4]  # due until what ends them is committed
    assert [each.expires_at for each in book.expired_by(9, 1)[0]] == [3]  # one that is larger goes alone
    found, more = book.expired_by(9, 100)
    assert ([each.expires_at for each in found], more) == ([3, 4, 5, 6, 7, 8, 9], False)
    assert book.expired_by(2, 100) == ([], False)
