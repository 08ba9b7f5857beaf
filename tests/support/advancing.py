"""Folding movements one by one, by the rule alone: what branch and head office are held against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shared.stock import Movement, Standing, advance


def advance_all(
    standings: dict[str, Standing], movements: Iterable[tuple[str, Movement]], voided: Mapping[int, Movement]
) -> set[str]:
    """Fold new (item, movement) pairs, in sequence order, into `standings`, in place.

    `voided` holds the movements that they void, by sequence. Returns the items that must be refolded from the log once
    the events are in it: `refold` them and put the result in `standings`.
    """
    refold_items: set[str] = set()
    for item_id, each in movements:
        if item_id in refold_items:
            continue
        target = voided.get(each.voided_sequence) if each.voided_sequence is not None else None
        after = advance(standings.get(item_id, Standing()), each, target)
        if after is None:
            refold_items.add(item_id)
        else:
            standings[item_id] = after
    return refold_items
