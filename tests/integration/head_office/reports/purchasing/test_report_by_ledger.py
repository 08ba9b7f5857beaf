"""Property: at the present and at every past moment the report says what the events say, and goes on saying it."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from head_office.reports.known_at import report_snapshot
from head_office.reports.purchasing.purchasing_json import purchasing_parts
from head_office.reports.purchasing.purchasing_records import LocationState, PurchasingReport
from head_office.reports.purchasing.purchasing_report import purchasing_report
from shared.events import Reference
from shared.levels.reorder_levels import ReorderLevel
from shared.purchases.suppliers import Supplier
from tests.support.events import MINUTE, NOON
from tests.support.purchasing_ledger import ITEMS, OWN, PLACES, Known, PurchasingLedger

QUARTER_DAY = 360 * MINUTE
PLAIN = (
    "PURCHASE_RECEIVED", "ORDER_DEDUCTION", "CUSTOMER_RETURN", "INTERNAL_USE", "WASTE_RECORDED", "PRODUCTION_USED",
    "PRODUCTION_MADE",
)  # fmt: skip
DOES = (
    *PLAIN, "STOCKTAKE", "void", "unread", "send", "receive", "lose", "reverse", "reserve", "confirm", "release stock",
    "ship", "ship", "ship", "release", "level", "level", "no level", "order", "close", "deliver", "map", "supplier",
    "ask", "ask",
)  # fmt: skip


class Step(msgspec.Struct, frozen=True):
    """Something that happens; what the numbers choose is up to what it is."""

    does: str
    place: int
    code: int
    at: int
    amount: int
    other: int


steps = st.lists(
    st.builds(
        Step, st.sampled_from(DOES), st.integers(0, 2), st.integers(0, 2), st.integers(0, 24), st.integers(1, 12),
        st.integers(0, 9),
    ),
    min_size=4,
    max_size=45,
)  # fmt: skip


def play(ledger: PurchasingLedger, step: Step) -> None:
    """Do it, where it can be done."""
    place, item_id = PLACES[step.place], ITEMS[step.code % 2]
    code = OWN if step.code == 2 and step.place == 0 else item_id
    at, quantity = NOON + step.at * QUARTER_DAY, step.amount * 750
    log = ledger.events(place)
    undone = {each.voided_sequence for each in log}
    if step.does in PLAIN:
        ledger.record(place, step.does, item_id=code, quantity=quantity, occurred_at=at)
    elif step.does == "unread":
        ledger.record(place, "ORDER_DEDUCTION", item_id=code, quantity=quantity, occurred_at=at, note="new")
    elif step.does == "STOCKTAKE":
        ledger.record(place, "STOCKTAKE", item_id=code, counted=quantity - 750, expected=0, occurred_at=at)
    elif step.does == "void":
        voidable = [each for each in log if each.type in {*PLAIN, "STOCKTAKE"} and each.sequence not in undone]
        if voidable:
            chosen = voidable[step.other % len(voidable)]
            fields = {"voided_sequence": chosen.sequence, "voided_event_id": chosen.event_id, "reason": "wrong"}
            ledger.record(place, "EVENT_VOIDED", item_id=chosen.item_id, occurred_at=at, **fields)
    elif step.does == "send":
        ledger.send(place, PLACES[(step.place + 1 + step.other % 2) % 3], item_id, quantity, at)
    elif step.does in {"receive", "lose"}:
        coming = sorted(each for each, destination in ledger.transfers.items() if destination == place)
        if coming:
            moved = {"transfer_id": coming[step.other % len(coming)], "transfer_line": 1, "occurred_at": at}
            kind = "TRANSFER_IN" if step.does == "receive" else "TRANSFER_LOST"
            lost = {"reason": "broken"} if step.does == "lose" else {}
            ledger.record(place, kind, item_id=code, quantity=quantity, **moved, **lost)
    elif step.does == "reverse":
        sent = [each for each in log if each.type == "TRANSFER_OUT" and each.sequence not in undone]
        if sent:
            out = sent[step.other % len(sent)]
            fields = {"voided_sequence": out.sequence, "voided_event_id": out.event_id, "quantity": out.quantity}
            named = {"transfer_id": out.transfer_id, "transfer_line": 1, "item_id": out.item_id}
            ledger.record(place, "TRANSFER_REVERSED", occurred_at=at, **named, **fields)
    elif step.does == "reserve":
        expires_at = at + (1 + step.other) * QUARTER_DAY
        fields = {"quantity": quantity, "reservation_id": f"r-{len(log)}", "expires_at": expires_at}
        ledger.record(place, "STOCK_RESERVED", item_id=code, occurred_at=at, **fields)
    elif step.does in {"confirm", "release stock"}:
        ended = {each.reservation_id for each in log if each.type != "STOCK_RESERVED"}
        held = [each for each in log if each.type == "STOCK_RESERVED" and each.reservation_id not in ended]
        if held:
            one = held[step.other % len(held)]
            kind = "RESERVATION_CONFIRMED" if step.does == "confirm" else "RESERVATION_RELEASED"
            fields = {"item_id": one.item_id, "quantity": one.quantity, "reservation_id": one.reservation_id}
            ledger.record(place, kind, occurred_at=at, **fields)
    elif step.does == "deliver":
        orders = sorted(each for each, order in ledger.known.orders.items() if order.location_id == place)
        if orders:
            reference = Reference(kind="purchase-order", id=orders[step.other % len(orders)], line=1)
            fields = {"quantity": quantity, "reference": reference, "occurred_at": at}
            ledger.record(place, "PURCHASE_RECEIVED", item_id=code, **fields)
    else:
        decide(ledger, step, place, item_id, quantity)


def decide(ledger: PurchasingLedger, step: Step, place: str, item_id: str, quantity: int) -> None:
    """What is not an event of the place: its log is shipped, head office changes something."""
    if step.does == "ship":
        shipped, recorded = ledger.known.shipped[place], len(ledger.logs[place].lines)
        ledger.ship(place, recorded if step.other else shipped + (recorded - shipped + 1) // 2)
    elif step.does == "release":
        ledger.release(place)
    elif step.does == "level":
        order = {"order_quantity": 900} if step.other % 2 else {"order_up_to": quantity + 5_000}
        level = ReorderLevel(
            reorder_point=quantity,
            pack_size=(None, 700, 2_000)[step.other % 3],
            supplier_id=(None, "farm", "gone")[step.amount % 3],
            lead_days=(None, 0, 3)[step.at % 3],
            **order,
        )
        ledger.level(place, item_id, level)
    elif step.does == "no level":
        ledger.level(place, item_id, None)
    elif step.does == "order":
        ledger.order(place, item_id, quantity, (None, "2026-01-08", "2026-01-09")[step.other % 3])
    elif step.does == "close" and ledger.known.orders:
        ledger.close(sorted(ledger.known.orders)[step.other % len(ledger.known.orders)])
    elif step.does == "map":
        ledger.map(item_id)
    elif step.does == "supplier":
        ledger.supply(Supplier(supplier_id="farm", name=f"Farm {step.other}", lead_days=(None, 2)[step.other % 2]))


def read(ledger: PurchasingLedger, known_at: int, as_of: int | None, days: int, **options: Any) -> PurchasingReport:
    with report_snapshot(ledger.office, known_at) as (connection, settled):
        assert settled is not None
        options = {"location_ids": None, "given": True, **options}
        return purchasing_report(connection, as_of=as_of, known_at=settled, window_days=days, **options)


def check(ledger: PurchasingLedger, moment: int, known: Known, as_of: int | None, days: int) -> bytes:
    """The report is what the ledger says; the bytes of its JSON."""
    expected = ledger.report(known, moment if as_of is None else as_of, days)
    every = read(ledger, moment, as_of, days, all_rows=True)
    assert {(row.location_id, row.item_id) for row in every.rows} == set(expected)
    for row in every.rows:
        says = expected[row.location_id, row.item_id]
        said = {name: getattr(row, name) for name in says if name not in {"flags", "listed"}}
        wanted = {name: value for name, value in says.items() if name not in {"flags", "listed"}}
        assert said == wanted, (row.location_id, row.item_id)
        # What is to be counted again is held to the fold elsewhere.
        assert tuple(each for each in row.flags if each != "recount") == says["flags"]
    order = [(row.supplier_id is None, row.supplier_id or "", row.location_id, row.item_id) for row in every.rows]
    assert order == sorted(order)
    listed = read(ledger, moment, as_of, days)
    assert list(listed.rows) == [row for row in every.rows if expected[row.location_id, row.item_id]["listed"]]
    for each in listed.locations:
        held = any(place == each.location_id for place, _ in known.held)
        heard = known.shipped[each.location_id] > 0
        worried = LocationState.INCOMPLETE if held else LocationState.FRESH
        assert each.state == (worried if heard else LocationState.BLIND)
    assert listed.cut == known.shipped
    alone = read(ledger, moment, as_of, days, location_ids=["BEY-01"])
    assert list(alone.rows) == [row for row in listed.rows if row.location_id == "BEY-01"]
    return b"".join(purchasing_parts(listed))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps, st.integers(0, 26), st.integers(1, 8))
def test_the_report_says_what_the_events_say(fresh_office: Any, played: list[Step], as_of: int, days: int) -> None:
    with fresh_office() as office:
        ledger = PurchasingLedger(office)
        for place in PLACES:
            for item_id in ITEMS:
                ledger.level(place, item_id, ReorderLevel(reorder_point=4_000, order_up_to=9_000, lead_days=1))
        told: list[tuple[int, Known, int | None, int, bytes]] = []
        questions = ((NOON + as_of * QUARTER_DAY, days), (None, 366))
        for step in [*played, *(Step("ship", place, 0, 0, 1, 1) for place in range(3)), Step("ask", 0, 0, 0, 1, 0)]:
            play(ledger, step)
            if step.does == "ask":
                moment, known = ledger.snapshot()
                told += [(moment, known, at, over, check(ledger, moment, known, at, over)) for at, over in questions]
        for moment, known, at, over, said in told:
            assert check(ledger, moment, known, at, over) == said
