"""One item that a location's log knows by several codes: its figures are the sums of those of the codes. Pure.

A branch goes on recording under its own code after head office has mapped that code to an item of the group. Each code
is folded on its own (`shared.stock`): a count of one code says nothing of the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import structs

from shared.stock import BEGINNING, Balance, Explanation, Movement, Place, Standing, Step, history, walk


def summed_balance(balances: Sequence[Balance]) -> Balance:
    """The balance of an item from those of its codes; the last count is the latest of any code."""
    counts = [each.last_count for each in balances if each.last_count is not None]
    return Balance(
        on_hand=sum(each.on_hand for each in balances),
        reserved=sum(each.reserved for each in balances),
        last_count=max(counts, default=None),
        recount=any(each.recount for each in balances),
        variance=sum(each.variance for each in balances),
    )


def summed(standings: Sequence[Standing]) -> Standing:
    """The standing of an item from those of its codes; the last count and the latest event are those of any code."""
    counts = [each.last_count for each in standings if each.last_count is not None]
    return Standing(
        sum(each.on_hand for each in standings),
        sum(each.reserved for each in standings),
        max(counts, default=None),
        max((each.latest for each in standings), default=BEGINNING),
        recount=any(each.recount for each in standings),
    )


def merged_explanation(by_code: Mapping[str, Explanation]) -> Explanation:
    """The explanation of an item from those of its codes, in order of place.

    The figures of a step are what all codes add to the balance up to there: one that starts from a count adds nothing
    before it. Where there are several codes with events, each one's first count is a step and nothing is before it.
    Events that were not known then, or happened later, are listed and change nothing else.
    """
    excluded = [each for explanation in by_code.values() for each in explanation.not_counted]
    excluded.sort(key=lambda each: each.movement.place)
    explained = {code: each for code, each in by_code.items() if _says_anything(each)}
    if len(explained) == 1:
        return structs.replace(next(iter(explained.values())), not_counted=excluded)
    steps: list[Step] = []
    on_hand: dict[str, int] = {}
    reserved: dict[str, int] = {}
    for code, step, counts in _in_order(explained):
        on_hand[code] = step.on_hand if counts else 0
        reserved[code] = step.reserved
        steps.append(structs.replace(step, on_hand=sum(on_hand.values()), reserved=sum(reserved.values())))
    return Explanation(
        balance=summed_balance([each.balance for each in by_code.values()]),
        start=None,
        steps=steps,
        not_counted=excluded,
    )


def _says_anything(explanation: Explanation) -> bool:
    """Whether a code has an event that was known and had happened.

    If one that comes to be known later made its code count, it would change how the past is told: what is known at a
    moment never changes.
    """
    return bool(explanation.start or explanation.steps) or any(
        each.reason not in {"not known then", "later"} for each in explanation.not_counted
    )


def summed_breach(by_code: Mapping[str, Sequence[Movement]], code: str, new: Movement) -> Place | None:
    """As `shared.stock.strict_breach`, of an item with several codes: the first place where a decrease under one of
    them takes the sum below zero. `by_code` are all known movements of each code, without `new`."""
    steps: list[tuple[Place, str, Step]] = []
    for each, movements in by_code.items():
        known = [*movements, new] if each == code else movements
        standing = history(known, as_of=None, known_through=None).standing
        steps += [(step.movement.place, each, step) for step in walk(standing, None)[0]]
    on_hand = dict.fromkeys(by_code, 0)
    reached = False
    for place, each, step in sorted(steps, key=lambda one: one[0]):
        if step.movement.sequence == new.sequence:
            reached = True
        elif reached and each == code and step.movement.counted is not None:
            return None
        on_hand[each] = step.on_hand
        if reached and sum(on_hand.values()) < 0:
            return place
    return None


def _in_order(explained: Mapping[str, Explanation]) -> list[tuple[str, Step, bool]]:
    """Each step with its code, and whether its figure on hand is a part of the balance: it is not before the count."""
    found = [
        (code, step, each.start is None or step.movement.place >= each.start.movement.place)
        for code, each in explained.items()
        for step in ([each.start] if each.start is not None else []) + each.steps
    ]
    return sorted(found, key=lambda one: one[1].movement.place)
