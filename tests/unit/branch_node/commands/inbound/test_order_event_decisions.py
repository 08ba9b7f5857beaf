"""What a shipment takes of a reservation and what beyond it: examples, and what holds for any of them."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from branch_node.commands.inbound.order_event_decisions import DirectDeduction, OrderSituation, ship, shipped_before
from branch_node.commands.reservations.reservation_decisions import AskedLine
from shared.events import EventType
from shared.reservations import Reservation, ReservationState, ReservedLine

CONFIRMED, RELEASED = EventType.RESERVATION_CONFIRMED, EventType.RESERVATION_RELEASED


class Codes:
    """`tee` stands for `tea`; nothing is looked up of stock here."""

    def stands_for(self, item_id: str) -> str:
        return "tea" if item_id == "tee" else item_id

    def available(self, item_id: str) -> int:
        raise AssertionError(f"a shipment happened, whatever is available of {item_id}")


def line(item_id: str, quantity: int, *, confirmed: int = 0, released: int = 0) -> ReservedLine:
    return ReservedLine(item_id=item_id, unit="kg", quantity=quantity, confirmed=confirmed, released=released)


def asked(**quantities: int) -> list[AskedLine]:
    return [AskedLine(item_id=item_id, unit="kg", quantity=quantity) for item_id, quantity in quantities.items()]


def situation(lines: list[ReservedLine] | None, *deducted: tuple[str, int, int], final: bool = False) -> OrderSituation:
    """An order whose newest statement is the event 10; `deducted` are (item, quantity, sequence)."""
    reservations = []
    if lines is not None:
        state = ReservationState.ACTIVE if any(each.open for each in lines) else ReservationState.EXPIRED
        reservations.append(
            Reservation(
                reservation_id="r", order_id="1", source="shop", revision=1, state=state, created_at=0, expires_at=1,
                stated_at=10, lines=tuple(lines),
            )
        )  # fmt: skip
    return OrderSituation(
        revision=1,
        known=lines is not None,
        cancelled=False,
        final=final,
        reservations=reservations,
        deductions=[DirectDeduction(item_id=item, quantity=size, sequence=at) for item, size, at in deducted],
    )


def drafts(
    of: OrderSituation, lines: list[AskedLine] | None, *, final: bool = False
) -> tuple[list[object], list[object]]:
    draft = ship(lines, of, Codes(), final=final)
    reserved: list[object] = [(each.type, each.item_id, each.quantity) for each in draft.reservation]
    return reserved, [(each.item_id, each.quantity) for each in draft.deducted]


def test_what_is_open_is_confirmed_and_what_is_beyond_it_deducted() -> None:
    of = situation([line("tea", 5, confirmed=1), line("cup", 2)])
    assert drafts(of, asked(tea=6, milk=1)) == ([(CONFIRMED, "tea", 4)], [("tea", 2), ("milk", 1)])
    assert drafts(of, asked(tea=3), final=True) == (
        [(RELEASED, "tea", 1), (RELEASED, "cup", 2), (CONFIRMED, "tea", 3)],
        [],
    )
    assert drafts(of, asked(milk=3), final=True) == ([(RELEASED, "tea", 4), (RELEASED, "cup", 2)], [("milk", 3)])


def test_codes_of_one_item_stand_for_each_other_the_very_code_first() -> None:
    of = situation([line("tea", 2), line("tee", 3)])
    assert drafts(of, asked(tee=4)) == ([(CONFIRMED, "tee", 3), (CONFIRMED, "tea", 1)], [])
    assert shipped_before(asked(tee=4, tea=4), situation(None, ("tea", 5, 1)), Codes()) == {"tee": 4, "tea": 1}


def test_without_lines_it_is_what_was_not_shipped_since_it_was_stated() -> None:
    ended = [line("tea", 5, confirmed=1, released=4), line("cup", 2, released=2)]
    assert drafts(situation(ended), None, final=True) == ([], [("tea", 4), ("cup", 2)])
    assert drafts(situation(ended, ("tee", 3, 11), ("cup", 9, 9)), None, final=True) == ([], [("tea", 1), ("cup", 2)])
    assert drafts(situation(ended, final=True), None, final=True) == ([], [])
    open_too = situation([line("tea", 5, confirmed=1), line("cup", 2)])
    assert drafts(open_too, None, final=True) == ([(CONFIRMED, "tea", 4), (CONFIRMED, "cup", 2)], [])


sizes = st.dictionaries(st.sampled_from(["tea", "tee", "cup"]), st.integers(1, 9), min_size=1)


@given(reserved=sizes, shipped=sizes, final=st.booleans())
def test_what_left_is_what_is_taken_and_never_more_than_is_open(
    reserved: dict[str, int], shipped: dict[str, int], final: bool
) -> None:
    of = situation([line(item_id, quantity) for item_id, quantity in reserved.items()])
    draft = ship(asked(**shipped), of, Codes(), final=final)
    codes = Codes()
    taken: Counter[str] = Counter()
    confirmed: Counter[str] = Counter()
    gone: Counter[str] = Counter()
    for each in draft.reservation:
        gone[each.item_id] += each.quantity
        if each.type is CONFIRMED:
            confirmed[codes.stands_for(each.item_id)] += each.quantity
    taken.update(confirmed)
    for beyond in draft.deducted:
        taken[codes.stands_for(beyond.item_id)] += beyond.quantity
    whole: Counter[str] = Counter()
    for item_id, quantity in shipped.items():
        whole[codes.stands_for(item_id)] += quantity
    held: Counter[str] = Counter()
    for item_id, quantity in reserved.items():
        held[codes.stands_for(item_id)] += quantity
    assert taken == whole
    assert all(gone[item_id] <= reserved[item_id] for item_id in gone)
    assert +confirmed == +Counter({item: min(whole[item], held[item]) for item in whole})
    if final:
        assert gone == Counter(reserved)
