"""Pages of a PDF: lines, tables whose headings are repeated, page numbers; the same bytes whenever written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from fpdf import FPDF
from fpdf.enums import TextDirection, XPos, YPos
from fpdf.fonts import TTFFont

from head_office.reports.purchasing.files.pdf_texts import (
    ShownLine,
    broken_lines,
    displayable,
    runs_rightward,
    shown_line,
)

WIDTH: Final = 277.0
"""The width between the margins, in millimetres: A4, landscape."""
_MARGIN: Final = 10.0
_FOOT: Final = 14.0
_FONTS: Final = Path(__file__).parent / "fonts"
_FAMILY: Final = "DejaVu"
# Stands for the number of pages until that is known. No text of others has it: it is no character, and is replaced.
_PAGES: Final = "\ufdd0"
_SIZE: Final = 7.5
_LINE: Final = 3.6
_PADDING: Final = 0.7
_INK: Final = 25
_FAINT: Final = 105
_RULE: Final = 205
_SHADE: Final = (231, 236, 234)


class PdfColumn(NamedTuple):
    """A column of a table: its width in millimetres. Figures stand at the right and are never cut; texts are broken."""

    heading: str
    width: float
    figures: bool = False
    bold: bool = False


class _Cell(NamedTuple):
    lines: Sequence[ShownLine]
    size: float


class PdfPages(FPDF):
    """A document in the bundled font. Every text may be any text; the moment is its date, in place of the clock's."""

    def __init__(self, title: str, foot: str, made_at: datetime) -> None:
        super().__init__("landscape", "mm", "A4")
        self._foot = foot
        self.set_creation_date(made_at)
        self.set_title(title)
        self.set_creator("Larder")
        self.set_lang("en")
        self.alias_nb_pages(_PAGES)
        self.set_margins(_MARGIN, _MARGIN, _MARGIN)
        self.set_auto_page_break(False)
        self._has: dict[str, frozenset[int]] = {}
        for style, file in (("", "DejaVuSans.ttf"), ("B", "DejaVuSans-Bold.ttf")):
            self.add_font(_FAMILY, style, _FONTS / file)
            font = self.fonts[_FAMILY.lower() + style]
            if not isinstance(font, TTFFont):
                raise TypeError(f"{file} is no TrueType font")
            self._has[style] = frozenset(font.cmap)
        # Names come again at every location, so that most lines are broken once.
        self._cell: Callable[[str, PdfColumn], _Cell] = lru_cache(maxsize=8_192)(self._measured)
        self.add_page()

    def footer(self) -> None:
        """What FPDF calls at the end of each page."""
        self.set_y(-_FOOT + 4)
        self.set_text_color(_FAINT)
        self._font("", 7)
        self.set_text_shaping(False)
        self.cell(WIDTH - 60, 4, self._foot)
        self.cell(60, 4, f"Page {self.page_no()} of {_PAGES}", align="R")
        self.set_text_color(_INK)

    def text_line(self, text: str, size: float, *, bold: bool = False, faint: bool = False) -> None:
        """Write one line over the whole width, cut where it is longer."""
        style = "B" if bold else ""
        height = size * 0.5
        self._make_room(height)
        self._font(style, size)
        self.set_text_color(_FAINT if faint else _INK)
        (line,) = broken_lines(self._displayable(text, style), 1, self._fits(WIDTH, style, size))
        self._draw(line, WIDTH, height, "L")
        self.set_text_color(_INK)
        self.set_xy(_MARGIN, self.get_y() + height)

    def gap(self, height: float) -> None:
        """Leave so many millimetres free."""
        self.set_y(self.get_y() + height)

    def ruled_table(self, heading: str, columns: Sequence[PdfColumn], rows: Iterable[Sequence[str]]) -> None:
        """Write a table under its heading; on each further page the heading and those of the columns come again."""
        self._make_room(24)
        self._heading(heading)
        self._columns(columns)
        for row in rows:
            cells = [self._cell(text, column) for text, column in zip(row, columns, strict=True)]
            height = max(len(cell.lines) for cell in cells) * _LINE + 2 * _PADDING
            if not self._has_room(height):
                self.add_page()
                self._heading(f"{heading}  (continued)")
                self._columns(columns)
            self._row(columns, cells, height)

    def _heading(self, text: str) -> None:
        self.text_line(text, 10, bold=True)
        self.gap(1)

    def _columns(self, columns: Sequence[PdfColumn]) -> None:
        height = _LINE + 2 * _PADDING
        self.set_fill_color(*_SHADE)
        self.rect(_MARGIN, self.get_y(), sum(column.width for column in columns), height, style="F")
        headings = [PdfColumn(each.heading, each.width, each.figures, bold=True) for each in columns]
        self._row(headings, [self._cell(each.heading, each) for each in headings], height)

    def _row(self, columns: Sequence[PdfColumn], cells: Sequence[_Cell], height: float) -> None:
        top, left = self.get_y(), _MARGIN
        for column, cell in zip(columns, cells, strict=True):
            self._font("B" if column.bold else "", cell.size)
            for number, line in enumerate(cell.lines):
                if line.text:
                    self.set_xy(left, top + _PADDING + number * _LINE)
                    self._draw(line, column.width, _LINE, "R" if column.figures else "L")
            left += column.width
        self.set_draw_color(_RULE)
        self.set_line_width(0.1)
        self.line(_MARGIN, top + height, left, top + height)
        self.set_xy(_MARGIN, top + height)

    def _measured(self, text: str, column: PdfColumn) -> _Cell:
        style = "B" if column.bold else ""
        shown = self._displayable(text, style)
        if not column.figures:
            return _Cell(broken_lines(shown, 2, self._fits(column.width, style, _SIZE)), _SIZE)
        line = shown_line(shown, runs_rightward(shown))
        needed = self._width(line, style, _SIZE)
        free = column.width - 2 * self.c_margin
        # A figure that was cut would be another figure.
        return _Cell([line], _SIZE if needed <= free else _SIZE * free / needed)

    def _fits(self, width: float, style: str, size: float) -> Callable[[ShownLine], bool]:
        free = width - 2 * self.c_margin
        return lambda line: self._width(line, style, size) <= free

    def _width(self, line: ShownLine, style: str, size: float) -> float:
        self._font(style, size)
        self._shaping(line)
        return self.get_string_width(line.text)

    def _draw(self, line: ShownLine, width: float, height: float, align: str) -> None:
        self._shaping(line)
        x, y = self.get_x(), self.get_y()
        self.cell(width, height, line.text, align=align, new_x=XPos.LEFT, new_y=YPos.TOP)
        self.set_xy(x, y)

    def _shaping(self, line: ShownLine) -> None:
        if line.shaped:
            self.set_text_shaping(True, direction=TextDirection.LTR if line.rightward else TextDirection.RTL)
        elif self.text_shaping is not None:
            self.set_text_shaping(False)

    def _font(self, style: str, size: float) -> None:
        self.set_font(_FAMILY, style, size)

    def _displayable(self, text: str, style: str) -> str:
        return displayable(text, self._has[style])

    def _has_room(self, height: float) -> bool:
        return bool(self.get_y() + height <= self.h - _FOOT)

    def _make_room(self, height: float) -> None:
        if not self._has_room(height):
            self.add_page()
