"""Bodies with any of their members spoilt, for tests of what a problem names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

Place = tuple[str | int, ...]
"""Where a member stands: `("lines", 0, "item_id")`."""


def name_of(place: Place) -> str:
    """The place as a problem names it: `lines[0].item_id`."""
    return "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in place).removeprefix(".")


@st.composite
def spoilt(
    draw: st.DrawFn, good: Any, faulty: Mapping[Place, Sequence[Any]], names: Mapping[Place, str]
) -> tuple[Any, set[str]]:
    """The body with one to all of the places given a faulty value, and what a problem calls those places."""
    places = draw(st.lists(st.sampled_from(sorted(faulty, key=str)), min_size=1, unique=True))
    body = json.loads(json.dumps(good))  # no part of it stands twice
    for place in places:
        part = body
        for step in place[:-1]:
            part = part[step]
        part[place[-1]] = draw(st.sampled_from(faulty[place]))
    return body, {names.get(place, name_of(place)) for place in places}
