"""Every history of one transfer in a small world, explored to the last: the real `next_step`, two coordinators, a
network that loses, doubles, delays and reorders, crashes, leases that expire at any moment, a coordinator's restore.

What is sent stays on the wire and may arrive at any later time, any number of times, or never; what head office keeps
may reach a site at any later time, any number of times. A coordinator may decide from any prefix of either log: that is
late shipping and late reading in one. Messages that can change nothing any more are taken out, so that worlds that
differ in nothing that matters are one.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import msgspec
import pytest

from shared.events import EventType
from shared.messages import Fact, InstructionLine, InstructionStep, TransferFacts
from transfer_coordinator.saga.saga import CANCEL_STEPS, ENDED, NextStep, State, Transfer, next_step

OUT, REFUSE_OUT, IN, REFUSE_IN, REVERSE = (
    InstructionStep.OUT,
    InstructionStep.REFUSE_OUT,
    InstructionStep.IN,
    InstructionStep.REFUSE_IN,
    InstructionStep.REVERSE,
)
LINES = (InstructionLine(line=1, item_id="milk", quantity=1_000, unit="l"),)
KINDS = {
    "O": EventType.TRANSFER_OUT,
    "I": EventType.TRANSFER_IN,
    "V": EventType.TRANSFER_REVERSED,
    "R": EventType.TRANSFER_REFUSED,
}
AT_SOURCE = {OUT, REFUSE_OUT, REVERSE}

Message = tuple[InstructionStep, int]


class Coordinator(NamedTuple):
    """One that believes to hold the lease: under which token, and the highest that head office told it, if it asked."""

    token: int
    told: int | None


class World(NamedTuple):
    source: str = ""  # the logs, a letter an event
    destination: str = ""
    source_token: int = 0
    destination_token: int = 0
    office_token: int = 0
    kept: frozenset[Message] = frozenset()
    wire: frozenset[Message] = frozenset()
    # the coordinators' database
    token: int = 0
    asked: frozenset[InstructionStep] = frozenset()
    cancelled: bool = False
    ended: State | None = None
    coordinators: tuple[Coordinator | None, ...] = (None, None)
    restored: bool = False
    told_before: State | None = None  # the end that was known before the restore


StepFunction = Callable[[Transfer, TransferFacts | None, int], NextStep]
Decide = Callable[[frozenset[InstructionStep], bool, str, str, int | None], NextStep]


def deciding(step: StepFunction) -> Decide:
    """`step` on the letters of this world, each question asked once."""

    @cache
    def decide(
        asked: frozenset[InstructionStep], cancelled: bool, source: str, destination: str, told: int | None
    ) -> NextStep:
        facts = [
            Fact(location_id=site, sequence=number, type=KINDS[letter], item_id="milk", quantity=1_000, occurred_at=1,
                 received_at=1)
            for site, log in (("A", source), ("B", destination))
            for number, letter in enumerate(log, start=1)
        ]  # fmt: skip
        transfer = Transfer(
            transfer_id="t", source="A", destination="B", lines=LINES, asked=asked,
            cancel_requested_at=1 if cancelled else None,
        )  # fmt: skip
        known = TransferFacts(transfer_id="t", highest_token=told or 0, facts=facts)
        return step(transfer, None if told is None and not facts else known, 0)

    return decide


@cache
def records(step: InstructionStep, log: str) -> tuple[str, ...]:
    """What the site may append to its log when asked; several where the stock or a person decides."""
    match step:
        case InstructionStep.OUT:
            return () if "O" in log or "R" in log else ("O", "R")
        case InstructionStep.REFUSE_OUT:
            return () if "O" in log or "R" in log else ("R",)
        case InstructionStep.IN:
            return () if "I" in log or "R" in log else ("I", "R")
        case InstructionStep.REFUSE_IN:
            return () if "I" in log or "R" in log else ("R",)
        case InstructionStep.REVERSE:
            return ("V",) if "O" in log and "V" not in log else ()


def with_coordinator(world: World, number: int, state: Coordinator | None) -> World:
    both = list(world.coordinators)
    both[number] = state
    return world._replace(coordinators=tuple(both))


def act(decide: Decide, world: World, number: int, source: str, destination: str, told: int | None) -> World:
    """One saga step of a coordinator from these facts: journal, then put the instruction on the wire."""
    mine = world.coordinators[number]
    assert mine is not None
    if world.token != mine.token:
        return with_coordinator(world, number, None)  # UPDATE ... WHERE token = mine: no row, the lease is lost
    decision = decide(world.asked, world.cancelled, source, destination, told)
    if decision.state in ENDED:
        return world._replace(ended=decision.state, coordinators=(None, None))
    if decision.request is None:
        return world
    step, token = decision.request.step, mine.token
    if step in CANCEL_STEPS and step not in world.asked:
        token += 1  # a change of mind passes over what was asked before
    world = world._replace(asked=world.asked | {step}, token=token, wire=world.wire | {(step, token)})
    return with_coordinator(world, number, mine._replace(token=token))


def coordinator_moves(decide: Decide, world: World, number: int, restores: bool) -> Iterator[tuple[str, World]]:
    mine = world.coordinators[number]
    if mine is None:
        # Nobody's lease, or one that expires just now.
        taken = world._replace(token=world.token + 1)
        yield "taken over", with_coordinator(taken, number, Coordinator(world.token + 1, None))
        return
    yield "crashed", with_coordinator(world, number, None)
    if mine.told is None and not world.asked:
        yield "looked", with_coordinator(world, number, mine._replace(told=world.office_token))
    for some in range(len(world.source) + 1):
        for other in range(len(world.destination) + 1):
            whole = (some, other) == (len(world.source), len(world.destination))
            name = "decided" if whole else "decided on older facts"
            yield name, act(decide, world, number, world.source[:some], world.destination[:other], mine.told)
    if world.office_token > mine.token and world.token == mine.token:
        above = world.office_token + 1  # it was answered `fenced`
        yield "went on above", with_coordinator(world._replace(token=above), number, Coordinator(above, mine.told))
    if restores and not world.restored:
        yield "restored", restored(world)


def restored(world: World) -> World:
    """The database as it was when the transfer was created. What the dead process had not delivered died with it."""
    return world._replace(
        wire=frozenset(), token=0, asked=frozenset(), ended=None, coordinators=(None, None), restored=True,
        told_before=world.ended,
    )  # fmt: skip


def arrive(world: World, message: Message) -> World:
    if message[1] < world.office_token:
        return world
    return world._replace(office_token=message[1], kept=world.kept | {message})


def delivered(world: World, message: Message) -> Iterator[tuple[str, World]]:
    step, token = message
    if step in AT_SOURCE and token >= world.source_token:
        for letter in records(step, world.source):
            yield f"{step}: {letter}", world._replace(source=world.source + letter, source_token=token)
    if step not in AT_SOURCE and token >= world.destination_token:
        for letter in records(step, world.destination):
            yield f"{step}: {letter}", world._replace(destination=world.destination + letter, destination_token=token)


def takes_effect(world: World, message: Message) -> bool:
    """Whether `delivered` has anything for it."""
    step, token = message
    if step in AT_SOURCE:
        return token >= world.source_token and bool(records(step, world.source))
    return token >= world.destination_token and bool(records(step, world.destination))


def moves(decide: Decide, world: World, restores: bool) -> Iterator[tuple[str, World]]:
    for message in world.wire:
        yield "arrived", arrive(world, message)
    for message in world.kept:
        yield from delivered(world, message)
    if world.ended is None:
        if not world.cancelled:
            yield "cancelled", world._replace(cancelled=True)
        for number in range(len(world.coordinators)):
            yield from coordinator_moves(decide, world, number, restores)
    elif restores and not world.restored:
        yield "restored", restored(world)


def distinct(world: World) -> World:
    """The world without what can make no difference any more."""
    kept = frozenset([message for message in world.kept if takes_effect(world, message)])
    office_token = world.office_token
    wire = frozenset(
        [
            message
            for message in world.wire
            if message[1] > office_token or (message[1] == office_token and takes_effect(world, message))
        ]
    )
    both = world.coordinators
    if both[0] is None and both[-1] is not None:
        both = both[::-1]
    if world.asked:
        both = tuple([None if each is None else Coordinator(each.token, 0) for each in both])
    return world._replace(kept=kept, wire=wire, coordinators=both)


def check(world: World) -> None:
    source, destination = world.source, world.destination
    in_transit = source.count("O") - source.count("V") - destination.count("I")
    assert in_transit in {0, 1}, "goods twice, or from nowhere"
    assert max(map(source.count, "OVR")) <= 1, "a step took effect twice"
    assert max(map(destination.count, "IR")) <= 1, "a step took effect twice"
    for end in (world.ended, world.told_before):
        if end is State.COMPLETED:
            assert (source, destination) == ("O", "I")
        elif end is State.REVERSED:
            assert (source, destination) == ("OV", "R")
        elif end is State.REJECTED:
            assert "O" not in source
            assert "I" not in destination


def heals(
    decide: Decide,
    source: str,
    destination: str,
    tokens: tuple[int, int, int, int],
    asked: frozenset[InstructionStep],
    cancelled: bool,
) -> bool:
    """Whether one coordinator that comes new to it, with no faults any more, brings the transfer to an end."""
    world = World(
        source=source, destination=destination, source_token=tokens[0], destination_token=tokens[1],
        office_token=tokens[2], token=tokens[3] + 1, asked=asked, cancelled=cancelled,
        coordinators=(Coordinator(tokens[3] + 1, tokens[2]), None),
    )  # fmt: skip
    for _round in range(8):
        world = act(decide, world, 0, world.source, world.destination, world.office_token)
        if world.ended is not None:
            check(world)
            return True
        mine = world.coordinators[0]
        assert mine is not None
        for message in sorted(world.wire):
            world = arrive(world, message)
        if world.office_token > mine.token:
            above = world.office_token + 1
            world = with_coordinator(world._replace(token=above), 0, Coordinator(above, world.office_token))
        for message in sorted(world.kept):
            world = next(delivered(world, message), ("", world))[1]
    return False


def explore(
    step: StepFunction, coordinators: int, highest: int, restores: bool, live: bool = True
) -> tuple[Counter[str], Counter[State]]:
    """Go through every world that can be reached with tokens up to `highest`; how often each move led to a new one."""
    decide, healed = deciding(step), cache(heals)
    first = World(coordinators=(None,) * coordinators)
    seen = {first}
    queue = deque([first])
    happened: Counter[str] = Counter()
    ends: Counter[State] = Counter()
    while queue:
        world = queue.popleft()
        check(world)
        if world.ended is not None:
            ends[world.ended] += 1
        else:
            tokens = (world.source_token, world.destination_token, world.office_token, world.token)
            hangs = not healed(decide, world.source, world.destination, tokens, world.asked, world.cancelled)
            assert not (hangs and live), "it hangs"
        for name, after in moves(decide, world, restores):
            if after.token > highest or after in seen:
                continue
            new = distinct(after)
            if new not in seen:
                happened[name] += 1
                seen.add(new)
                queue.append(new)
    return happened, ends


@pytest.mark.parametrize(
    ("coordinators", "highest", "restores"),
    [(2, 4, False), (1, 3, True)],
    ids=["two coordinators", "a restore"],
)
def test_every_history_is_right_and_can_end(coordinators: int, highest: int, restores: bool) -> None:
    happened, ends = explore(next_step, coordinators, highest, restores)
    print(sum(happened.values()), "worlds;", dict(happened), dict(ends))
    assert set(ends) == set(ENDED)
    expected = {"crashed", "taken over", "decided on older facts", "cancelled"} | ({"restored"} if restores else set())
    assert expected <= set(happened)


def believes_silence(transfer: Transfer, facts: TransferFacts | None, now: int) -> NextStep:
    """Takes a cancelled transfer for rejected when the source has said nothing."""
    if transfer.cancel_requested_at is not None and not (facts and facts.facts):
        return NextStep(state=State.REJECTED, end="cancelled")
    return next_step(transfer, facts, now)


def forgets_to_look(transfer: Transfer, facts: TransferFacts | None, now: int) -> NextStep:
    """Believes the journal alone that nothing was asked."""
    if transfer.cancel_requested_at is not None and not transfer.asked and not (facts and facts.facts):
        return NextStep(state=State.REJECTED, end="never-asked")
    return next_step(transfer, facts, now)


def reverses_early(transfer: Transfer, facts: TransferFacts | None, now: int) -> NextStep:
    """Takes the goods back without asking the destination."""
    decision = next_step(transfer, facts, now)
    if decision.state is State.CANCEL_PENDING:
        assert decision.request is not None
        return msgspec.structs.replace(
            decision, request=msgspec.structs.replace(decision.request, step=REVERSE, location_id="A")
        )
    return decision


def sends_before_it_left(transfer: Transfer, facts: TransferFacts | None, now: int) -> NextStep:
    """Tells the destination to receive as soon as the source was asked."""
    decision = next_step(transfer, facts, now)
    if decision.request is not None and decision.request.step is OUT and OUT in transfer.asked:
        return msgspec.structs.replace(
            decision, request=msgspec.structs.replace(decision.request, step=IN, location_id="B")
        )
    return decision


def waits_for_ever(transfer: Transfer, facts: TransferFacts | None, now: int) -> NextStep:
    """Asks each step once."""
    decision = next_step(transfer, facts, now)
    if decision.request is not None and decision.request.step in transfer.asked:
        return msgspec.structs.replace(decision, request=None)
    return decision


@pytest.mark.parametrize(
    ("bug", "restores", "seen_as"),
    [
        (believes_silence, False, "assert"),
        (forgets_to_look, True, "assert"),
        (reverses_early, False, "goods twice"),
        (sends_before_it_left, False, "from nowhere"),
        (waits_for_ever, False, "it hangs"),
    ],
)
def test_a_planted_bug_is_seen(bug: StepFunction, restores: bool, seen_as: str) -> None:
    with pytest.raises(AssertionError, match=seen_as):
        explore(bug, 1, 3, restores, live=seen_as == "it hangs")
