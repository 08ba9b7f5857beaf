"""The layout of a table on a terminal: which columns are shown, how wide they are, and what is broken over lines.

Codes, ids, times and figures are never broken. Texts are broken between words beside the other columns; where that does
not fit, they stand in lines of their own below their row, and then the widest codes too (above it, if they begin the
row); where the figures alone do not fit, each row is shown as lines of heading and value. Widths are in terminal cells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

GAP: Final = 2
NARROWEST_TEXT: Final = 16
INDENT: Final = 7
_FIGURE: Final = re.compile(r"[^.]*[0-9](?P<decimals>\.[0-9]+)?")
_TIME: Final = re.compile(r"(?P<year>[0-9]{4})-(?P<rest>[0-9]{2}-[0-9]{2} [0-9:]+)")


class ColumnKind(StrEnum):
    """What a column holds; the value is the mark at the end of its name."""

    CODE = ""
    TEXT = "~"
    NUMBER = "#"
    CHANGE = "+"
    TIME = "@"


class TableColumn(NamedTuple):
    """A column's heading and kind."""

    heading: str
    kind: ColumnKind

    @property
    def figures(self) -> bool:
        """Whether it holds figures, which are aligned at their decimal points."""
        return self.kind in {ColumnKind.NUMBER, ColumnKind.CHANGE}


class _FilledColumn(NamedTuple):
    heading: str
    kind: ColumnKind
    cells: list[Text]

    @property
    def longest(self) -> int:
        return max(cell_len(cell.plain) for cell in self.cells)

    @property
    def wanted(self) -> int:
        """The width at which neither heading nor cells are broken."""
        return max(self.longest, cell_len(self.heading))

    @property
    def needed(self) -> int:
        """The least width: that of the longest word that is not broken."""
        word = _longest_word(self.heading)
        if self.kind is not ColumnKind.TEXT:
            return max(word, self.longest)
        words = max(_longest_word(cell.plain) for cell in self.cells)
        return max(word, words, min(self.longest, NARROWEST_TEXT))


def column_of(name: str) -> TableColumn:
    """The column of a name such as `item`, `note~`, `on hand#`, `change+` or `occurred@`."""
    kind = next((each for each in ColumnKind if each and name.endswith(each)), ColumnKind.CODE)
    return TableColumn(name.removesuffix(kind), kind)


def lay_out(console: Console, columns: Sequence[TableColumn], rows: Sequence[Sequence[Text]], width: int) -> list[Text]:
    """The lines of a table at most `width` wide, without columns that are empty in every row."""
    shown = [place for place in range(len(columns)) if any(row[place].plain for row in rows)] or [0]
    filled = [_FilledColumn(*columns[place], [row[place] for row in rows]) for place in shown]
    short = [_shortened(column) for column in filled]
    for apart in _levels(short):
        beside = [column for place, column in enumerate(short) if place not in apart]
        widths = _widths(beside, width) if beside else None
        if widths is not None:
            above = [short[0]] if 0 in apart else []
            below = [short[place] for place in sorted(apart) if place]
            return _as_table(console, beside, widths, above=above, below=below, width=width)
    return _as_records(console, filled, width)


def _levels(columns: Sequence[_FilledColumn]) -> Iterator[set[int]]:
    """Which columns stand apart from their row: none, the texts, then one code more each time, the widest first."""
    yield set()
    apart = {place for place, column in enumerate(columns) if column.kind is ColumnKind.TEXT}
    yield apart
    codes = [place for place, column in enumerate(columns) if column.kind is ColumnKind.CODE]
    for place in sorted(codes, key=lambda place: -columns[place].longest):
        apart = {*apart, place}
        yield apart


def _shortened(column: _FilledColumn) -> _FilledColumn:
    """Times of one year without it, which the heading has; figures with blanks that align their decimal points."""
    if column.kind is ColumnKind.TIME:
        times = [_TIME.fullmatch(cell.plain) for cell in column.cells]
        years = {each["year"] for each in times if each}
        if len(years) == 1 and all(each or not cell.plain for each, cell in zip(times, column.cells, strict=True)):
            cells = [Text(each["rest"] if each else "") for each in times]
            return _FilledColumn(f"{column.heading} {years.pop()}".strip(), column.kind, cells)
    if column.kind not in {ColumnKind.NUMBER, ColumnKind.CHANGE}:
        return column
    decimals = [
        len(found["decimals"] or "") if (found := _FIGURE.fullmatch(cell.plain)) else 0 for cell in column.cells
    ]
    longest = max(decimals)
    cells = [Text.assemble(cell, " " * (longest - own)) for cell, own in zip(column.cells, decimals, strict=True)]
    return column._replace(cells=cells)


def _widths(columns: Sequence[_FilledColumn], width: int) -> list[int] | None:
    """The width of each column, None where they do not fit. Spare room goes to headings first, then to texts."""
    widths = [column.needed for column in columns]
    spare = width - GAP * (len(columns) - 1) - sum(widths)
    if spare < 0:
        return None
    for texts in (False, True):
        places = [place for place, each in enumerate(columns) if (each.kind is ColumnKind.TEXT) is texts]
        lacks = {place: columns[place].wanted - widths[place] for place in places}
        lacking = sum(lacks.values())
        given = min(spare, lacking)
        for place, lack in lacks.items():
            widths[place] += given * lack // lacking if lacking else 0
        spare -= given
    return widths


def _as_table(
    console: Console,
    columns: Sequence[_FilledColumn],
    widths: Sequence[int],
    *,
    above: Sequence[_FilledColumn],
    below: Sequence[_FilledColumn],
    width: int,
) -> list[Text]:
    lines = [Text(column.heading, style="bold") for column in above]
    if any(column.heading for column in columns):
        headings = [Text(column.heading, style="bold") for column in columns]
        lines += _row(console, columns, headings, widths, heading=True)
        lines.append(Text((" " * GAP).join("─" * wide for wide in widths), style="dim"))
    for number in range(len(columns[0].cells)):
        for column in above:
            lines += _broken(console, column.cells[number], width) if column.cells[number].plain else []
        lines += _row(console, columns, [column.cells[number] for column in columns], widths)
        lines += _apart(below, number, width)
    return lines


def _apart(columns: Sequence[_FilledColumn], number: int, width: int) -> list[Text]:
    """The cells of a row that stand below it, each after its heading; codes whole, texts broken between words.

    A word that is longer than a line, as a URL may be, is broken where the line ends.
    """
    lines: list[Text] = []
    for column in columns:
        cell = column.cells[number]
        if not cell.plain:
            continue
        words = [cell] if column.kind is not ColumnKind.TEXT else cell.split(" ")
        if column.heading:
            words = [Text.assemble((f"{column.heading}: ", "dim"), words[0]), *words[1:]]
        if column.kind is ColumnKind.TEXT:
            words = [part for word in words for part in _folded(word, width - INDENT)]
        for place, word in enumerate(words):
            gap = " " if place else " " * GAP
            if lines and cell_len(lines[-1].plain) + len(gap) + cell_len(word.plain) <= width:
                lines[-1].append(gap)
                lines[-1].append_text(word)
            else:
                lines.append(Text.assemble(" " * INDENT, word))
    return lines


def _row(
    console: Console,
    columns: Sequence[_FilledColumn],
    cells: Sequence[Text],
    widths: Sequence[int],
    *,
    heading: bool = False,
) -> list[Text]:
    """The lines of one row; what is broken goes on below, headings stand at the bottom."""
    broken = [_broken(console, cell, wide) for cell, wide in zip(cells, widths, strict=True)]
    height = max(len(each) for each in broken)
    if heading:
        broken = [[Text("")] * (height - len(each)) + each for each in broken]
    lines = []
    for number in range(height):
        line = Text()
        for column, parts, wide in zip(columns, broken, widths, strict=True):
            part = parts[number] if number < len(parts) else Text("")
            blanks = " " * (wide - cell_len(part.plain))
            right = column.kind in {ColumnKind.NUMBER, ColumnKind.CHANGE}
            line.append_text(Text.assemble(blanks, part) if right else Text.assemble(part, blanks))
            line.append(" " * GAP)
        line.rstrip()
        lines.append(line)
    return lines


def _as_records(console: Console, columns: Sequence[_FilledColumn], width: int) -> list[Text]:
    """Each row as lines of heading and value, with an empty line between rows."""
    left = max(cell_len(column.heading) for column in columns) + GAP
    lines: list[Text] = []
    for number in range(len(columns[0].cells)):
        if number:
            lines.append(Text(""))
        for column in columns:
            value = column.cells[number]
            if not value.plain:
                continue
            room = max(width - left, NARROWEST_TEXT) if column.kind is ColumnKind.TEXT else cell_len(value.plain)
            for place, part in enumerate(_broken(console, value, room)):
                heading = Text(column.heading if place == 0 else "", style="bold")
                lines.append(Text.assemble(heading, " " * (left - cell_len(heading.plain)), part))
    return lines


def _broken(console: Console, cell: Text, width: int) -> list[Text]:
    if cell_len(cell.plain) <= width:
        return [cell]
    parts = list(cell.wrap(console, width, overflow="fold"))
    for part in parts:
        part.rstrip()
    return parts


def _folded(word: Text, width: int) -> list[Text]:
    """A word in parts that fit, the whole word where it does."""
    parts = []
    while cell_len(word.plain) > width:
        count = len(set_cell_size(word.plain, width).rstrip(" ")) or 1
        parts.append(word[:count])
        word = word[count:]
    return [*parts, word]


def _longest_word(text: str) -> int:
    return max((cell_len(word) for word in text.split()), default=0)
