"""Texts of others as a page can show them: only characters that its font has, in lines that fit, the rest cut off.

Pure: what a font has and how wide a text is in it are arguments.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Container
from typing import Final, NamedTuple

from head_office.reports.purchasing.files.report_cells import REPLACEMENT

ELLIPSIS: Final = "…"
# Longer than any two lines; what shaping and breaking cost is bounded by it.
_MOST_CHARACTERS: Final = 400
# Embeddings, overrides and isolates, which would change the order of what stands beside them.
_REORDERING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_SHOWS_NOTHING: Final = re.compile("[\u00ad\u034f\u061c\u180b-\u180f\u2060-\u2064\ufe00-\ufe0f\ufeff]")
_SPACE: Final = re.compile(r"\s+")
# Letters that stand one after the other as they are, from left to right: Latin, Greek, Cyrillic, signs. The others, and
# letters with combining marks, have to be shaped.
_AS_THEY_ARE: Final = re.compile(
    "[\u0020-\u02ff\u0370-\u03ff\u0400-\u0482\u048a-\u052f\u1e00-\u1fff\u2010-\u2027\u2030-\u205e\u20a0-\u20bf"
    "\u2100-\u214f\u2190-\u22ff\ufffd]*"
)


class ShownLine(NamedTuple):
    """A line as it is drawn. `shaped`: its letters depend on their neighbours; `rightward`: it runs from the left."""

    text: str
    shaped: bool
    rightward: bool


def displayable(text: str, has: Container[int]) -> str:
    """The text in one line, with a replacement for each character that the font has not; bounded in length."""
    one_line = _SHOWS_NOTHING.sub("", _SPACE.sub(" ", text)).strip()
    if len(one_line) > _MOST_CHARACTERS:
        one_line = one_line[: _MOST_CHARACTERS - 1] + ELLIPSIS
    return "".join(each if _can_show(each, has) else REPLACEMENT for each in one_line)


def _can_show(character: str, has: Container[int]) -> bool:
    return (
        ord(character) in has
        and character not in _REORDERING
        # Controls have no shape, and characters of private use no meaning.
        and unicodedata.category(character) not in {"Cc", "Co", "Cs", "Cn"}
    )


def runs_rightward(text: str) -> bool:
    """Whether a text runs from left to right: by its first letter that has a direction, as readers expect it."""
    for character in text:
        direction = unicodedata.bidirectional(character)
        if direction in {"L", "R", "AL"}:
            return direction == "L"
    return True


def shown_line(text: str, rightward: bool) -> ShownLine:
    """A line of a text that as a whole runs in the given direction."""
    return ShownLine(text, not rightward or _AS_THEY_ARE.fullmatch(text) is None, rightward)


def broken_lines(text: str, most: int, fits: Callable[[ShownLine], bool]) -> list[ShownLine]:
    """The text in at most `most` lines that fit, broken at blanks where there are any; cut with an ellipsis if longer.

    At least one line, which may be empty.
    """
    rightward = runs_rightward(text)

    def fitting(part: str) -> bool:
        return fits(shown_line(part, rightward))

    lines: list[ShownLine] = []
    rest = text
    while True:
        if fitting(rest):
            return [*lines, shown_line(rest, rightward)]
        if len(lines) == most - 1:
            end = _longest(rest, lambda part: fitting(part.rstrip() + ELLIPSIS))
            return [*lines, shown_line(rest[:end].rstrip() + ELLIPSIS, rightward)]
        end = _longest(rest, fitting)
        blank = rest.rfind(" ", 0, end + 1)
        if blank > 0:
            end = blank
        # One character at least, or a text that fits nowhere would have no end.
        end = max(end, 1)
        lines.append(shown_line(rest[:end].rstrip(), rightward))
        rest = rest[end:].lstrip()


def _longest(text: str, fitting: Callable[[str], bool]) -> int:
    """How many characters of the beginning fit, never parting a letter from its marks. By halving, as it widens."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if fitting(text[:middle]):
            low = middle
        else:
            high = middle - 1
    while 0 < low < len(text) and unicodedata.category(text[low]) in {"Mn", "Me", "Mc", "Cf"}:
        low -= 1
    return low
