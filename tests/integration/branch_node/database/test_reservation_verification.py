"""Verify sees every row of a reservation that is not what the log says, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from branch_node.database import reservation_verification
from branch_node.database.reservation_verification import count_reservations, verify_reservations
from branch_node.database.verification import VerificationFinding
from shared.reservations import Reservation
from tests.support.branch import Branch
from tests.support.events import MINUTE


@pytest.fixture
def reserved(any_branch: Branch, monkeypatch: pytest.MonkeyPatch) -> tuple[Branch, list[Reservation]]:
    """A branch with reservations in each state, and one that was refused; the first has been stated anew."""
    monkeypatch.setattr(reservation_verification, "AT_ONCE", 2)
    branch = any_branch
    branch.event("PURCHASE_RECEIVED", "milk", 20)
    branch.event("PURCHASE_RECEIVED", "cup", 20)
    made = [branch.reserve(order, {"milk": 2, "cup": 1}) for order in "ABCDE"]
    branch.reserve("A", {"milk": 3}, revision=2)
    branch.confirm(made[1].reservation_id, {"milk": 1}, rest="keep")
    branch.confirm(made[2].reservation_id, {"milk": 1})
    branch.release(made[3].reservation_id)
    branch.reserve("F", {"milk": 100})
    branch.clock.advance(20 * MINUTE)
    branch.event("PURCHASE_RECEIVED", "milk", 1)
    return branch, made


def findings(branch: Branch) -> list[VerificationFinding]:
    done: list[int] = []
    with branch.store.reading() as connection:
        found = verify_reservations(connection, done.append)
        assert found or sum(done) == count_reservations(connection)
    return found


def tamper(branch: Branch, statement: str, reservation: Reservation) -> None:
    engine = branch.store.writing_engine()
    with engine.begin() as connection:
        assert connection.execute(text(statement), {"id": reservation.reservation_id}).rowcount > 0
    engine.dispose()


def test_what_the_writer_keeps_verifies(reserved: tuple[Branch, list[Reservation]]) -> None:
    branch, made = reserved
    assert findings(branch) == []
    with branch.store.reading() as connection:
        assert count_reservations(connection) == len(made)


@pytest.mark.parametrize(
    ("which", "statement"),
    [
        (1, "UPDATE reservation SET expires_at = expires_at + 1 WHERE reservation_id = :id"),
        (2, "UPDATE reservation SET state = 'RELEASED' WHERE reservation_id = :id"),
        (3, "UPDATE reservation SET state = 'ACTIVE' WHERE reservation_id = :id"),
        (0, "UPDATE reservation_line SET released = 2999 WHERE reservation_id = :id"),
        (0, "DELETE FROM reservation_line WHERE reservation_id = :id"),
        (4, "DELETE FROM reservation WHERE reservation_id = :id"),
        (4, "UPDATE reservation_line SET reservation_id = 'nothing' WHERE reservation_id = :id"),
        (1, "INSERT INTO reservation SELECT 'forged', 'X', source, revision, state, created_at, expires_at, stated_at "
            "FROM reservation WHERE reservation_id = :id"),
    ],
)  # fmt: skip
def test_a_row_that_is_not_what_the_log_says(
    reserved: tuple[Branch, list[Reservation]], which: int, statement: str
) -> None:
    branch, made = reserved
    tamper(branch, statement, made[which])
    named = {each.what.split()[2] for each in findings(branch)}
    strangers = {name for name in ("nothing", "forged") if name in statement}
    assert named - strangers <= {made[which].reservation_id}
    assert named >= (strangers or {made[which].reservation_id})
