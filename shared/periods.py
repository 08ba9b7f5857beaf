"""One item's stock over a period [from, to): what it began with, each movement, and what it ended with. Pure.

The figures are those of `shared.stock`: a count is a movement by its variance, so that the opening figure and the
movements add up to the closing one, which the next period begins with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from shared.code_sums import summed_balance
from shared.stock import Balance, Movement, NotCounted, Step, explain, history, walk


class PeriodExplanation(msgspec.Struct, frozen=True, kw_only=True):
    """The figures before and after a period, and each movement in it with the figures after it, in order of place."""

    opening: Balance
    closing: Balance
    steps: list[Step]
    not_counted: list[NotCounted]


def explain_period(
    by_code: Mapping[str, Sequence[Movement]], *, begin: int, end: int, known_through: int | None = None
) -> PeriodExplanation:
    """Explain an item with the movements of each of its codes; `begin` and `end` in microseconds UTC.

    What is not counted is listed where it occurred in the period.
    """
    opening, closing = _at(by_code, begin - 1, known_through), _at(by_code, end - 1, known_through)
    on_hand = {code: each.on_hand for code, each in opening.items()}
    reserved = {code: each.reserved for code, each in opening.items()}
    found: list[tuple[str, Step]] = []
    excluded: list[NotCounted] = []
    for code, movements in by_code.items():
        past = history(movements, as_of=end - 1, known_through=known_through)
        found += [(code, step) for step in walk(past.standing, None)[0] if step.movement.occurred_at >= begin]
        excluded += [each for each in past.dropped if begin <= each.movement.occurred_at < end]
    steps: list[Step] = []
    for code, step in sorted(found, key=lambda one: one[1].movement.place):
        on_hand[code], reserved[code] = step.on_hand, step.reserved
        steps.append(msgspec.structs.replace(step, on_hand=sum(on_hand.values()), reserved=sum(reserved.values())))
    return PeriodExplanation(
        opening=summed_balance(list(opening.values())),
        closing=summed_balance(list(closing.values())),
        steps=steps,
        not_counted=sorted(excluded, key=lambda each: each.movement.place),
    )


def change_of(step: Step) -> int:
    """What a movement added to on hand; a count adds its variance."""
    movement = step.movement
    if movement.counted is not None:
        return movement.counted - (step.expected or 0)
    return movement.on_hand_change or 0


def _at(by_code: Mapping[str, Sequence[Movement]], moment: int, known_through: int | None) -> dict[str, Balance]:
    return {
        code: explain(movements, as_of=moment, known_through=known_through).balance
        for code, movements in by_code.items()
    }
