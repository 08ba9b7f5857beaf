"""Numbers that rise for each location, as the cursors of the branches' long polls.

Works inside the transaction of the Connection it is given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache

from sqlalchemy import Connection, Table, TextClause, text


def take_numbers(connection: Connection, head: Table, locations: Sequence[str]) -> list[int]:
    """The next number of each of these locations, in their order. `head` has the last one given of every location.

    The row of a location stays locked until the transaction ends, so numbers are committed in their order. Locations
    are locked in order of their ids.
    """
    counts = Counter(locations)
    given = {"locations": list(counts), "counts": list(counts.values())}
    last = {
        row.location_id: row.number - counts[row.location_id] for row in connection.execute(_take(head.name), given)
    }
    numbers = []
    for location_id in locations:
        last[location_id] += 1
        numbers.append(last[location_id])
    return numbers


@cache
def _take(head: str) -> TextClause:
    return text(
        f"""
        INSERT INTO {head} (location_id, number)
        SELECT * FROM unnest(CAST(:locations AS text[]), CAST(:counts AS bigint[])) AS given (location_id, number)
        ORDER BY location_id
        ON CONFLICT (location_id) DO UPDATE SET number = {head}.number + excluded.number
        RETURNING location_id, number
        """
    )
