"""What a site records of a transfer: by example, and under any order and repetition of instructions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branch_node.commands.transfer_decisions import SiteStock, WrongLocation, answer, check_site, history_of
from shared.chain import EMPTY, Head, seal
from shared.events import MAX_QUANTITY, Event, EventType
from shared.messages import Instruction, InstructionLine, InstructionStep
from tests.support.events import NOON, an_event

NOTHING_YET = history_of([])
OUT, IN = InstructionStep.OUT, InstructionStep.IN


def asked(
    step: InstructionStep, *lines: InstructionLine, token: int = 1, source: str = "A", destination: str = "B"
) -> Instruction:
    site = destination if step in {InstructionStep.IN, InstructionStep.REFUSE_IN} else source
    return Instruction(
        transfer_id="t1",
        step=step,
        token=token,
        location_id=site,
        source=source,
        destination=destination,
        lines=lines or (InstructionLine(1, "milk", 2_000, "l"),),
    )


def shelf(**available: int) -> dict[str, SiteStock]:
    return {item_id: SiteStock("l", quantity) for item_id, quantity in available.items()}


class Site:
    """One location's log of one transfer, kept by the rules alone; `stock` is what is available of each item."""

    def __init__(self, stock: dict[str, SiteStock]) -> None:
        self.stock = stock
        self.log: list[Event] = []
        self.head: Head = EMPTY

    def take(self, instruction: Instruction) -> list[Event]:
        drafts = answer(instruction, history_of(self.log), self.stock.get)
        made: list[Event] = []
        for number, draft in enumerate(drafts, start=1):
            event = an_event(
                draft.type,
                seed=self.head.sequence + 1,
                transfer_id=instruction.transfer_id,
                line=number,
                lines=len(drafts),
                item_id=draft.item_id,
                quantity=draft.quantity,
                unit=draft.unit,
                transfer_line=draft.transfer_line,
                reason=draft.reason,
                voided_event_id=draft.voided_event_id,
                voided_sequence=draft.voided_sequence,
            )
            sealed = seal(event, self.head, NOON)  # every rule of the type is checked here
            self.head = Head(1, event.sequence, sealed.hash)
            made.append(event)
        for event in made:
            if event.type is EventType.TRANSFER_OUT:
                self._move(event, -1)
            elif event.type in {EventType.TRANSFER_IN, EventType.TRANSFER_REVERSED}:
                self._move(event, 1)
        self.log += made
        return made

    def _move(self, event: Event, sign: int) -> None:
        item = self.stock[event.item_id or ""]
        self.stock[event.item_id or ""] = SiteStock(item.unit, item.available + sign * (event.quantity or 0))

    def kinds(self) -> list[str]:
        return [event.type.removeprefix("TRANSFER_") for event in self.log]


def kinds_of(events: Sequence[Event]) -> list[tuple[str, str | None]]:
    return [(event.type.removeprefix("TRANSFER_"), event.reason) for event in events]


def test_out_takes_every_line_or_none() -> None:
    two = (InstructionLine(1, "milk", 2_000, "l"), InstructionLine(2, "cream", 500, "l"))
    enough = Site(shelf(milk=2_000, cream=500))
    sent = enough.take(asked(OUT, *two))
    assert [(each.item_id, each.quantity, each.transfer_line) for each in sent] == [
        ("milk", 2_000, 1),
        ("cream", 500, 2),
    ]
    short = Site(shelf(milk=2_000, cream=499))
    assert kinds_of(short.take(asked(OUT, *two))) == [("REFUSED", "insufficient-stock")]
    assert short.log[0].item_id is None
    assert short.log[0].quantity is None


def test_the_same_item_in_two_lines_is_summed() -> None:
    twice = (InstructionLine(1, "milk", 2_000, "l"), InstructionLine(2, "milk", 1_000, "l"))
    assert kinds_of(Site(shelf(milk=2_999)).take(asked(OUT, *twice))) == [("REFUSED", "insufficient-stock")]
    sent = Site(shelf(milk=3_000)).take(asked(OUT, *twice))
    assert [(each.item_id, each.quantity, each.transfer_line) for each in sent] == [("milk", 3_000, 1)]


@pytest.mark.parametrize("step", [OUT, IN])
@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ((InstructionLine(1, "milk", 1, "l"), InstructionLine(2, "saffron", 1, "kg")), "unknown-item"),
        ((InstructionLine(1, "milk", 1, "kg"),), "unit-differs"),
    ],
)
def test_what_cannot_be_booked_here_is_refused(
    step: InstructionStep, lines: tuple[InstructionLine, ...], reason: str
) -> None:
    site = Site(shelf(milk=9_000))
    assert kinds_of(site.take(asked(step, *lines))) == [("REFUSED", reason)]


def test_an_instruction_without_lines_is_refused() -> None:
    bare = asked(OUT)
    assert answer(type(bare)(**{**_fields(bare), "lines": ()}), NOTHING_YET, shelf().get)[0].reason == "no-lines"


def _fields(instruction: Instruction) -> dict[str, Any]:
    return {name: getattr(instruction, name) for name in instruction.__struct_fields__}


def test_more_than_an_event_can_carry_is_insufficient() -> None:
    lots = tuple(InstructionLine(number, "milk", MAX_QUANTITY, "l") for number in (1, 2))
    assert kinds_of(Site(shelf(milk=5 * MAX_QUANTITY)).take(asked(OUT, *lots))) == [("REFUSED", "insufficient-stock")]


def test_a_refusal_at_the_source_stands_for_ever() -> None:
    site = Site(shelf(milk=0))
    assert kinds_of(site.take(asked(OUT))) == [("REFUSED", "insufficient-stock")]
    site.stock = shelf(milk=9_000)
    for step in (OUT, InstructionStep.REFUSE_OUT, InstructionStep.REVERSE, OUT):
        assert site.take(asked(step)) == []


def test_a_refusal_asked_after_the_goods_left_changes_nothing() -> None:
    site = Site(shelf(milk=2_000))
    site.take(asked(OUT))
    assert site.take(asked(InstructionStep.REFUSE_OUT)) == []
    reversal = site.take(asked(InstructionStep.REVERSE))
    assert [(each.voided_event_id, each.voided_sequence) for each in reversal] == [(site.log[0].event_id, 1)]
    assert site.take(asked(InstructionStep.REVERSE)) == []
    assert site.stock["milk"].available == 2_000
    assert site.take(asked(OUT)) == []


def test_the_reason_of_a_refusal_is_the_callers() -> None:
    asked_for = asked(InstructionStep.REFUSE_IN)
    given_reason = type(asked_for)(**{**_fields(asked_for), "reason": "deadline"})
    assert kinds_of(Site(shelf()).take(given_reason)) == [("REFUSED", "deadline")]
    assert kinds_of(Site(shelf()).take(asked_for)) == [("REFUSED", "cancelled")]


def test_what_was_lost_is_not_received_again() -> None:
    site = Site(shelf(milk=0))
    lost = an_event("TRANSFER_LOST", quantity=500, transfer_id="t1", transfer_line=1, reason="broken")
    site.log.append(lost)
    assert [each.quantity for each in site.take(asked(IN))] == [1_500]
    assert site.take(asked(IN)) == []
    assert site.take(asked(InstructionStep.REFUSE_IN)) == []


@pytest.mark.parametrize(
    ("changes", "here"),
    [
        ({}, "C"),
        ({}, "B"),
        ({"location_id": "B"}, "B"),
        ({"location_id": "B"}, "A"),
        ({"destination": "A"}, "A"),
        ({"step": IN}, "A"),
    ],
)
def test_an_instruction_that_went_astray_is_nobodys(changes: dict[str, Any], here: str) -> None:
    right = asked(OUT)
    check_site(right, "A")
    check_site(asked(IN), "B")
    with pytest.raises(WrongLocation):
        check_site(type(right)(**{**_fields(right), **changes}), here)


AT_SOURCE = [OUT, InstructionStep.REFUSE_OUT, InstructionStep.REVERSE]
AT_DESTINATION = [IN, InstructionStep.REFUSE_IN]
LINES = (InstructionLine(1, "milk", 2_000, "l"), InstructionLine(2, "cream", 1_000, "l"))


@given(steps=st.lists(st.sampled_from(AT_SOURCE), max_size=12), milk=st.integers(0, 4).map(lambda n: n * 1_000))
@settings(max_examples=300, deadline=None)
def test_the_source_under_any_order_and_repetition(steps: list[InstructionStep], milk: int) -> None:
    site = Site(shelf(milk=milk, cream=5_000))
    for step in steps:
        site.take(asked(step, *LINES))
        kinds = site.kinds()
        assert kinds.count("OUT") in (0, 2), "all lines or none"
        assert not ("OUT" in kinds and "REFUSED" in kinds)
        assert kinds.count("REFUSED") <= 1
        assert kinds.count("REVERSED") in (0, kinds.count("OUT")), "whole transfer, at most once, only after an OUT"
        voided = [event.voided_sequence for event in site.log if event.voided_sequence]
        assert len(set(voided)) == len(voided)
        assert all(item.available >= 0 for item in site.stock.values())
    if OUT in steps and InstructionStep.REFUSE_OUT not in steps[: steps.index(OUT)]:
        assert ("OUT" in site.kinds()) == (milk >= 2_000)


@given(
    steps=st.lists(st.sampled_from([*AT_DESTINATION, "lost", "in-part"]), max_size=12),
    knows=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_the_destination_under_any_order_and_repetition(steps: list[InstructionStep | str], knows: bool) -> None:
    stock = shelf(milk=0, cream=0) if knows else shelf(milk=0)
    site = Site(stock)
    for step in steps:
        if not isinstance(step, InstructionStep):
            # What a person will be able to record by hand: some of it lost, or received in part.
            if "REFUSED" not in site.kinds() and not site.log:
                kind = "TRANSFER_LOST" if step == "lost" else "TRANSFER_IN"
                reason = {"reason": "broken"} if step == "lost" else {}
                site.log.append(an_event(kind, quantity=700, transfer_id="t1", transfer_line=1, **reason))
            continue
        site.take(asked(step, *LINES))
        kinds = site.kinds()
        assert kinds.count("REFUSED") <= 1
        assert not ("REFUSED" in kinds and {"IN", "LOST"} & set(kinds)), "refused or received, never both"
        settled = history_of(site.log).settled
        assert settled.get("milk", 0) <= 2_000
        assert settled.get("cream", 0) <= 1_000
    if knows and IN in steps and "REFUSED" not in site.kinds():
        assert history_of(site.log).settled == {"milk": 2_000, "cream": 1_000}
