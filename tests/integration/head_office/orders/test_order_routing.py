"""Orders at head office: asked of one location at a time, whose log is the answer."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from head_office.catalogue import items
from head_office.database.schema import ORDER_ANSWER
from head_office.log.projected.order_answer_projection import stored_answers
from head_office.orders.order_records import RoutedOrderRecord, find_order, order_record
from head_office.orders.order_router import PAGE, OrderRouter
from head_office.orders.routed_orders import OrderName
from shared.catalogue_messages import CatalogueItem
from shared.runtime.problems import Problem
from tests.support.order_rig import HEARD_WITHIN, NOW, OrderRig

A, B, C = "BEY-01", "BEY-02", "WH-1"
YEARS = HEARD_WITHIN // 1_000_000


@pytest.fixture
def rig(office: Engine) -> OrderRig:
    """A has less than B, which is therefore chosen; C has nothing."""
    return OrderRig(office, {A: 10, B: 20, C: 0})


@pytest.fixture
def router(office: Engine) -> OrderRouter:
    return OrderRouter(office, YEARS)


def shown(rig: OrderRig, order_id: str) -> RoutedOrderRecord:
    with rig.engine.connect() as connection:
        found = find_order(connection, OrderName("shop", order_id))
        assert found is not None
        return order_record(connection, found)


def asked(record: RoutedOrderRecord) -> list[tuple[str, str | None]]:
    return [(each.location_id, each.outcome and each.outcome.value) for each in record.asked]


def refused(rig: OrderRig, told: str, order_id: str, **more: Any) -> Problem:
    before = rows(rig.engine)
    with pytest.raises(Problem) as problem:
        rig.tell(told, order_id, **more)
    assert rows(rig.engine) == before  # nothing is half done
    return problem.value


def rows(engine: Engine) -> list[Any]:
    tables = ("routed_order", "routed_event", "order_instruction", "order_instruction_head")
    with engine.connect() as connection:
        return [connection.execute(text(f"SELECT * FROM {table} ORDER BY 1, 2")).all() for table in tables]


def test_refused_at_one_reserved_at_the_next(rig: OrderRig, router: OrderRouter) -> None:
    assert rig.outcome("placed", "4711", lines={"milk": 5}, id="e") == ("asked", B)
    (instruction,) = rig.open_at(B)
    assert (instruction.order_id, instruction.revision, instruction.hold_days) == ("4711", 1, 14)
    assert [(line.item_id, line.quantity, line.unit) for line in instruction.lines or ()] == [("milk", 5_000, "l")]
    assert router.step() == 0
    waiting = shown(rig, "4711")
    assert (waiting.state.value, waiting.waits_for, waiting.location_id) == ("ASKED", B, B)
    rig.answer(B, "unavailable")
    assert rig.open_at(B) == []  # its log has answered, before the router knows
    assert router.step() == 1
    assert rig.open_at(A)[0].key == instruction.key
    rig.answer(A)
    assert (router.step(), router.step()) == (1, 0)
    record = shown(rig, "4711")
    assert (record.state.value, record.location_id, record.waits_for) == ("RESERVED", A, None)
    assert asked(record) == [(B, "unavailable"), (A, "reserved")]
    assert record.asked[1].reservation_id == f"r-{A}-4711"
    assert [each.outcome and each.outcome.value for each in record.told] == ["reserved"]
    # The same again is answered as it was.
    assert rig.outcome("placed", "4711", lines={"milk": 5}, id="e") == ("asked", B)
    assert refused(rig, "placed", "4711", lines={"milk": 6}, id="e").code == "key-reused"
    assert refused(rig, "placed", "4712", lines={"milk": 5}, id="e").code == "key-reused"
    assert refused(rig, "placed", "4711", lines={"milk": 5}, id="e", location_id=A).code == "key-reused"


def test_nobody_is_left(rig: OrderRig, router: OrderRouter) -> None:
    answer = rig.tell("placed", "1", lines={"milk": 25})
    assert (answer.outcome, answer.location_id) == ("unavailable", None)
    assert [(each.item_id, each.asked, each.available) for each in answer.short] == [("milk", 25_000, 10_000)]
    assert rig.outcome("placed", "2", lines={"milk": 15}) == ("asked", B)
    rig.answer(B, "unavailable")
    router.step()
    record = shown(rig, "2")
    assert (record.state.value, record.location_id) == ("UNAVAILABLE", None)
    assert [each.item_id for each in record.told[0].short] == ["milk"]
    # A higher revision is placed anew, also where it was refused before.
    assert rig.outcome("placed", "2", lines={"milk": 12}, revision=2) == ("asked", B)
    assert rig.outcome("placed", "2", lines={"milk": 1}, revision=1) == ("superseded", None)


def test_a_location_that_is_named_is_asked_whatever_its_figures_say_and_no_other(
    rig: OrderRig, router: OrderRouter
) -> None:
    assert rig.outcome("placed", "1", lines={"milk": 5}, location_id=C) == ("asked", C)
    rig.answer(C, "unavailable")
    router.step()
    assert shown(rig, "1").state.value == "UNAVAILABLE"
    assert asked(shown(rig, "1")) == [(C, "unavailable")]
    assert refused(rig, "placed", "2", lines={"milk": 5}, location_id="NO").code == "unknown-location"
    assert refused(rig, "placed", "2", lines={"milk": 5}, location_id=A, prefer=[B]).code == "invalid-request"
    assert refused(rig, "placed", "2", lines={"cake": 5}).code == "unknown-item"
    assert refused(rig, "placed", "2", lines={"milk": 5}, expires_at="2020-01-01T00:00:00Z").code == "invalid-time"
    assert refused(rig, "shipped", "2", lines={"milk": 5}, time=NOW * 2).code == "future-date"
    assert rig.outcome("placed", "2", lines={"milk": 5}, prefer=[C, A]) == ("asked", A)


def test_no_location_is_asked_for_what_is_another_branchs_own(rig: OrderRig, router: OrderRouter) -> None:
    """It would wait for the catalogue to bring the item, for ever."""
    rig.logs[B].record("PURCHASE_RECEIVED", item_id="tea", unit="g", quantity=9_000)
    rig.ship(B)
    problem = refused(rig, "placed", "1", lines={"milk": 1, "tea": 5}, location_id=A)
    assert (problem.code, problem.extras["item_id"]) == ("unknown-item", "tea")
    assert A in problem.detail
    assert rig.outcome("placed", "1", lines={"tea": 5}) == ("asked", B)
    rig.answer(B)
    router.step()
    assert refused(rig, "returned", "1", lines={"tea": 1}, location_id=A).code == "unknown-item"
    assert rig.outcome("shipped", "1", lines={"tea": 5}) == ("asked", B)
    with rig.engine.begin() as connection:
        items.put(connection, [CatalogueItem(item_id="tea", name="Tea", unit="g")])
    assert rig.outcome("returned", "1", lines={"tea": 1}, location_id=A) == ("asked", A)


def test_what_follows_goes_to_the_home(rig: OrderRig, router: OrderRouter) -> None:
    for told in ("shipped", "returned"):
        assert refused(rig, told, "1", lines={"milk": 1}).code == "unknown-order"
    rig.tell("placed", "1", lines={"milk": 5})
    for kind, more in (("placed", {"revision": 2}), ("cancelled", {})):
        lines = {"lines": {"milk": 1}} if kind == "placed" else {}
        problem = refused(rig, kind, "1", location_id=A, **lines, **more)
        assert (problem.code, problem.extras["location_id"]) == ("order-elsewhere", B)
    assert rig.outcome("placed", "1", lines={"milk": 6}, revision=2) == ("asked", B)
    assert rig.outcome("shipped", "1", lines={"milk": 2}) == ("asked", B)
    assert rig.outcome("shipped", "1", lines={"milk": 1}, location_id=A) == ("asked", A)
    assert rig.outcome("returned", "1", lines={"milk": 1}) == ("asked", B)
    assert rig.outcome("cancelled", "1") == ("asked", B)
    for outcome in ("reserved", "reserved", "shipped", "returned", "released"):
        rig.answer(B, outcome)
    rig.answer(A, "shipped")
    router.step()
    record = shown(rig, "1")
    assert (record.state.value, record.location_id, record.cancelled) == ("CANCELLED", B, True)
    assert [each.outcome and each.outcome.value for each in record.told] == [
        "reserved", "reserved", "shipped", "shipped", "returned", "released",
    ]  # fmt: skip
    assert rig.outcome("placed", "1", lines={"milk": 1}, revision=3) == ("cancelled", None)


def test_a_cancel_overtakes_a_branch_that_is_silent(rig: OrderRig, router: OrderRouter) -> None:
    assert rig.outcome("cancelled", "early") == ("noted", None)
    assert rig.outcome("placed", "early", lines={"milk": 1}) == ("cancelled", None)
    assert rig.outcome("cancelled", "early") == ("nothing", None)
    rig.tell("placed", "1", lines={"milk": 5})
    assert rig.outcome("cancelled", "1") == ("asked", B)
    assert [each.kind.value for each in rig.open_at(B)] == ["order.placed", "order.cancelled"]
    rig.answer(B, "unavailable")
    router.step()
    assert rig.open_at(A) == []  # it is cancelled, so it goes nowhere else
    rig.answer(B, "noted")
    router.step()
    assert shown(rig, "1").state.value == "CANCELLED"


def test_a_command_that_a_batch_cut_is_no_answer_yet(rig: OrderRig, router: OrderRouter) -> None:
    rig.tell("placed", "1", lines={"milk": 5})
    rig.answer(B)
    rig.tell("cancelled", "1")
    rig.answer(B, "released", ship=False)
    log = rig.logs[B]
    with rig.engine.begin() as connection:
        log.ship(connection, len(log.sealed) - 1)
        assert len(stored_answers(connection, B)) == 2
    assert rig.open_at(B) == []
    router.step()
    assert asked(shown(rig, "1")) == [(B, "reserved"), (B, None)]
    rig.ship(B)
    router.step()
    assert asked(shown(rig, "1")) == [(B, "reserved"), (B, "released")]


def test_a_head_office_that_was_restored_asks_the_branch_that_has_it(rig: OrderRig, router: OrderRouter) -> None:
    def lose() -> None:
        with rig.engine.begin() as connection:
            connection.execute(text("TRUNCATE routed_order, routed_event, order_instruction, order_instruction_head"))

    rig.tell("placed", "1", lines={"milk": 5}, id="e")
    rig.answer(B)
    router.step()
    lose()
    # Another event of the order: its home is where a log has a reservation of it, though A would serve it now.
    rig.ship(A)
    assert rig.outcome("placed", "1", lines={"milk": 6}, revision=2, prefer=[A]) == ("asked", B)
    lose()
    # The very event again: the log has answered it, so it is settled at once, and nobody is asked.
    assert rig.outcome("placed", "1", lines={"milk": 5}, id="e", prefer=[A]) == ("asked", B)
    assert rig.open_at(B) == []
    router.step()
    assert (shown(rig, "1").state.value, asked(shown(rig, "1"))) == ("RESERVED", [(B, "reserved")])
    # Refused there before: the next is asked, not the same one again.
    rig.tell("placed", "2", lines={"milk": 5}, id="f")
    rig.answer(B, "unavailable")
    lose()
    assert rig.outcome("placed", "2", lines={"milk": 5}, id="f") == ("asked", A)


def test_one_event_sent_by_many_at_once_is_told_once(rig: OrderRig) -> None:
    with ThreadPoolExecutor(8) as pool:
        many = list(pool.map(lambda _: rig.tell("placed", "1", lines={"milk": 5}, id="e"), range(24)))
        # Other events of the same order beside them.
        list(pool.map(lambda n: rig.tell("shipped", "1", lines={"milk": 1}, id=f"s{n}"), range(24)))
    assert {(each.outcome, each.location_id) for each in many} == {("asked", B)}
    numbers = [each.number for each in rig.open_at(B)]
    assert len(numbers) == 25 == len(set(numbers))
    assert [each.number for each in shown(rig, "1").told] == list(range(1, 26))


def test_two_routers_at_once_ask_once(rig: OrderRig, office: Engine) -> None:
    count = PAGE + 20
    for number in range(count):
        assert rig.outcome("placed", str(number), lines={"milk": 1}) == ("asked", B)
    for _ in range(count):
        rig.answer(B, "unavailable", ship=False)
    rig.ship(B)
    start = threading.Barrier(3)

    def run() -> int:
        start.wait()
        return OrderRouter(office, YEARS).step()

    with ThreadPoolExecutor(3) as pool:
        settled = sum(each.result() for each in [pool.submit(run) for _ in range(3)])
    assert settled == count
    assert sorted(each.order_id for each in rig.open_at(A)) == sorted(map(str, range(count)))
    with office.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM order_instruction")).scalar_one() == 2 * count


def test_a_step_and_a_poll_take_few_statements_however_many_orders_are_open(
    rig: OrderRig, router: OrderRouter, office: Engine
) -> None:
    rig.tell("placed", "0", lines={"milk": 1})
    many = 10_000
    with office.begin() as connection:
        for statement in (
            "INSERT INTO routed_order SELECT source, 'm' || n, revision, state, location_id, cancelled, told_at,"
            f" changed_at FROM routed_order, generate_series(1, {many}) AS n",
            "INSERT INTO routed_event SELECT source, 'm' || n, number, command_key || n, event_id, event_source, kind,"
            " revision, location_id, digest, body, told_at, answered, answered_location, answered_short, outcome,"
            f" reason, short, settled_at FROM routed_event, generate_series(1, {many}) AS n",
            "INSERT INTO order_instruction SELECT location_id, number + n, command_key || n, source, 'm' || n,"
            " event_number, step, aside, convert_to(replace(convert_from(body, 'UTF8'), command_key, command_key || n),"
            f" 'UTF8'), asked_at, answer, answered_at FROM order_instruction, generate_series(1, {many}) AS n",
            f"UPDATE order_instruction_head SET number = number + {many}",
        ):
            connection.execute(text(statement))
    for _ in range(PAGE + 10):
        rig.answer(B, "unavailable", ship=False)
    rig.ship(B)
    statements: list[str] = []

    def count(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        statements.append(statement)

    event.listen(office, "after_cursor_execute", count)
    try:
        assert router.step() == PAGE + 10
        assert len(statements) <= 2 * 24, len(statements)
        statements.clear()
        assert len(rig.open_at(B)) == 1_000
        assert len(statements) == 1
    finally:
        event.remove(office, "after_cursor_execute", count)
    assert len(rig.open_at(A)) == PAGE + 10


def test_what_lies_in_quarantine_answers_once_it_is_folded(rig: OrderRig, router: OrderRouter) -> None:
    rig.tell("placed", "1", lines={"milk": 5})
    rig.answer(B)
    with rig.engine.begin() as connection:
        # As if a part of the command could not be folded.
        connection.execute(
            text(
                "INSERT INTO quarantine (location_id, sequence, hash, reason, received_at)"
                " SELECT location_id, sequence, decode(repeat('00', 32), 'hex'), 'x', 1 FROM order_answer"
            )
        )
    assert router.step() == 0
    with rig.engine.begin() as connection:
        connection.execute(text("DELETE FROM quarantine"))
        assert connection.execute(ORDER_ANSWER.select()).one().sequence == 2
    assert router.step() == 1
