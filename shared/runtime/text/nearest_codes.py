"""The codes most similar to one that is unknown: suggestions for the caller. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final, NamedTuple

MOST_SUGGESTIONS: Final = 5
MOST_COMPARED: Final = 5_000
"""How many candidates are compared by similarity: each takes some microseconds."""


class Candidate(NamedTuple):
    """A known code, with the other texts that a caller may have given instead of it."""

    code: str
    name: str | None = None
    barcode: str | None = None


def nearest_codes(unknown: str, candidates: Iterable[Candidate]) -> list[str]:
    """Up to five known codes, the likeliest first: equal but for case, by barcode, by name, then by similarity."""
    wanted = unknown.casefold()
    exact: list[str] = []
    by_code: dict[str, str] = {}
    by_name: dict[str, str] = {}
    for place, candidate in enumerate(candidates):
        code = candidate.code.casefold()
        name = None if candidate.name is None else candidate.name.casefold()
        if wanted in {code, name} or candidate.barcode == unknown:
            exact.append(candidate.code)
        elif place < MOST_COMPARED:
            by_code[code] = candidate.code
            if name is not None:
                by_name[name] = candidate.code
    close = [by_code[code] for code in get_close_matches(wanted, by_code, MOST_SUGGESTIONS)]
    if len(close) < MOST_SUGGESTIONS:
        close += [by_name[name] for name in get_close_matches(wanted, by_name, MOST_SUGGESTIONS)]
    return list(dict.fromkeys([*exact, *close]))[:MOST_SUGGESTIONS]
