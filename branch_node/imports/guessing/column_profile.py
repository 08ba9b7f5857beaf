"""A column of a sample: what its name says, and what its cells hold. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from branch_node.imports.files.cell_texts import MOMENT
from branch_node.imports.guessing.cell_values import EMPTY, Times, fits, is_number, times_of
from branch_node.imports.guessing.column_words import fields_of

# Formats of digits alone: a column is one of times only if its name says so.
_BARE: Final = re.compile(r"unix.*|(?:%[YmdHMSy])+")
_ALMOST: Final = 0.98
_ENOUGH: Final = 20


class ColumnProfile(msgspec.Struct, frozen=True, kw_only=True):
    """A column of the sample. `texts` are its cells without outer blanks, those that are empty left out."""

    name: str
    place: int
    fields: dict[str, int]
    texts: list[str]
    empty: int
    nulls: frozenset[str]
    numeric: bool
    times: Times | None

    @property
    def distinct(self) -> int:
        return len(set(self.texts))

    @property
    def is_unique(self) -> bool:
        return not self.empty and len(self.texts) > 1 and self.distinct == len(self.texts)

    def says(self, *fields: str) -> int:
        """How many words of the name say one of these."""
        return sum(self.fields.get(field, 0) for field in fields)


def profile(name: str, place: int, cells: Sequence[str], *, month_first: bool) -> ColumnProfile:
    """The profile of a column, with all its cells of the sample."""
    stripped = [text.strip() for text in cells]
    filled = [text for text in stripped if text]
    kept = [text for text in filled if text not in EMPTY]
    times = times_of(kept, month_first=month_first) if kept else None
    if times is None and len(kept) >= _ENOUGH:
        times = _times_but_for_few(kept, month_first=month_first)
    fields = fields_of(name)
    if times is not None and not (fields.keys() & {"date", "time", "moment", "expires_on"}):
        # Numbers are a time only by name.
        times = None if any(_BARE.fullmatch(each) for each in times.formats) else times
    if times is None and kept and fields.keys() & {"date", "moment"} and all(map(_is_serial, kept)):
        whole = all(text.isdigit() for text in kept)
        times = Times("date" if whole else "moment", ("excel",))
    numeric = times is None and bool(kept) and sum(map(is_number, kept)) >= _ALMOST * len(kept)
    nulls = frozenset(filled) - frozenset(kept) if numeric or times is not None else frozenset()
    texts = kept if numeric or times is not None else filled
    return ColumnProfile(
        name=name,
        place=place,
        fields=fields,
        texts=texts,
        empty=len(stripped) - len(texts),
        nulls=nulls,
        numeric=numeric,
        times=times,
    )


def _is_serial(text: str) -> bool:
    """Whether a text is a day from 2000 to 2100, as a workbook keeps it."""
    return re.fullmatch(r"[0-9]{5}(?:[.,][0-9]{1,20})?", text) is not None and 36_526 <= int(text[:5]) < 73_051


def _times_but_for_few(texts: Sequence[str], *, month_first: bool) -> Times | None:
    """As `times_of`, where one text in twenty may be none."""
    for probe in texts[:3]:
        alone = times_of([probe], month_first=month_first)
        if alone is not None and alone.formats:
            fitting = [text for text in texts if text[:1] != MOMENT and fits(alone, text)]
            if len(fitting) >= 0.95 * len(texts):
                return times_of(fitting, month_first=month_first)
    return None
