"""An XLSX workbook, read by openpyxl: its sheets, and the rows of one as cells.

The rows come from the parser that openpyxl's own read-only sheets use. Those leave out a row or a cell that is not in
order, without a word; the parser gives every cell with its place, so that a workbook in disorder can be refused.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import IO, Any, Final, Self, TypedDict, cast

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse
from openpyxl import load_workbook
from openpyxl.cell.read_only import ReadOnlyCell
from openpyxl.worksheet._reader import DATA_TAG, ROW_TAG, WorkSheetParser

from branch_node.imports.files.cell_texts import shows_days_only
from branch_node.imports.files.file_kinds import FileFault, archive_fault
from branch_node.imports.files.workbook_bounds import check_bounds
from branch_node.imports.mapping.map_words import listed, nearest
from shared.runtime.text.printable import printable_line

_CONTENT_TYPES: Final = "[Content_Types].xml"
_CHUNK: Final = 1 << 16


class Cell(TypedDict):
    """A cell as the parser gives it. `data_type` is one of n s b d e f, or str for a formula's text that is empty."""

    row: int
    column: int
    value: Any
    data_type: str
    style_id: int


class _Counted:
    """A file that tells how far it is read."""

    def __init__(self, file: IO[bytes], progress: Callable[[int], None]) -> None:
        self._file, self._progress, self._place = file, progress, 0

    def read(self, size: int = _CHUNK) -> bytes:
        chunk = self._file.read(size)
        self._place += len(chunk)
        self._progress(self._place)
        return chunk


class _RowParser(WorkSheetParser):
    """Gives the rows alone: what stands behind them is not asked for, so that no fault in it costs the file."""

    def rows(self, source: _Counted) -> Iterator[tuple[int, list[Cell]]]:
        for _, element in iterparse(source):
            if element.tag == ROW_TAG:
                number, cells = self.parse_row(element)
                # What it keeps of each row for writing, such as heights.
                self.row_dimensions.clear()
                element.clear()
                yield number, cast("list[Cell]", cells)
            elif element.tag == DATA_TAG:
                break
        # To the end, where the zip compares its check sum.
        while source.read(_CHUNK):
            pass


class Workbook:
    """A workbook opened for reading one sheet. Raises FileFault for what is no XLSX workbook, or a damaged one."""

    def __init__(self, file: IO[bytes]) -> None:
        with _damage(), zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            mimetype = b""
            if "mimetype" in names:
                with archive.open("mimetype") as part:
                    mimetype = part.read(100)
            if _CONTENT_TYPES not in names:
                raise FileFault(archive_fault(names, mimetype))
            check_bounds(archive)
        with ExitStack() as stack:
            # It warns of what it does not keep, such as a rule of conditional formats: nothing of it is read here.
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            with _damage():
                try:
                    self._book: Any = load_workbook(file, read_only=True, data_only=True, keep_links=False)
                except OSError as error:
                    if "no valid workbook part" in str(error):
                        raise FileFault(archive_fault(names, mimetype)) from error
                    raise
            self._open = stack.pop_all()
        self._days_only: dict[int, bool] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._book.close()
        self._open.close()

    def sheet(self, name: str | None) -> Any:
        """The sheet called `name`; without a name the first that is not hidden."""
        sheets: Sequence[Any] = self._book.worksheets
        if not sheets:
            raise FileFault("is a workbook without a sheet of cells")
        if name is None:
            return next((sheet for sheet in sheets if sheet.sheet_state == "visible"), sheets[0])
        wanted = name.strip().casefold()
        for sheet in sheets:
            if sheet.title.strip().casefold() == wanted:
                return sheet
        names = [printable_line(sheet.title) for sheet in sheets]
        near = nearest(name, names)
        raise FileFault(f"has no sheet {printable_line(name)!r}, as the map's sheet says; it has {listed(names)}{near}")

    def rows(
        self, sheet: Any, progress: Callable[[float], None] = lambda _: None, *, formulas: bool = False
    ) -> Iterator[tuple[int, list[Cell]]]:
        """The rows with their numbers; with `formulas` a cell of a formula has the data type f, not its value."""
        book = self._book
        path = sheet._worksheet_path
        with _damage(), book._archive.open(path) as part:
            size = max(1, book._archive.getinfo(path).file_size)
            source = _Counted(part, lambda place: progress(place / size))
            parser = _RowParser(
                source,
                sheet._shared_strings,
                data_only=not formulas,
                epoch=book.epoch,
                date_formats=book._date_formats,
                timedelta_formats=book._timedelta_formats,
            )
            yield from parser.rows(source)

    def has_text(self, sheet: Any, found: Callable[[bytes], bool]) -> bool:
        """Whether `found` says so of a stretch of the sheet's XML."""
        with _damage(), self._book._archive.open(sheet._worksheet_path) as part:
            before = b""
            while chunk := part.read(_CHUNK):
                if found(before + chunk):
                    return True
                before = chunk[-1_000:]
        return False

    def shows_days_only(self, sheet: Any, cell: Cell) -> bool:
        """Whether the cell shows a date without a time."""
        style = cell["style_id"]
        known = self._days_only.get(style)
        if known is None:
            with _damage():
                code = ReadOnlyCell(sheet, cell["row"], cell["column"], None, "n", style).number_format
            known = self._days_only[style] = shows_days_only(code)
        return known


@contextmanager
def _damage() -> Iterator[None]:
    try:
        yield
    except (FileFault, MemoryError):
        raise
    except (RuntimeError, NotImplementedError) as error:
        # So zipfile says that a part is encrypted, or packed in a way that it does not know.
        raise FileFault(f"cannot be unpacked ({_reason(error)}): save it again") from error
    # The library has no error of its own: what it meets in a damaged workbook comes as any of the built-in ones.
    except Exception as error:
        if isinstance(error, DefusedXmlException) or isinstance(error.__cause__, DefusedXmlException):
            raise FileFault("is no workbook of a spreadsheet program: its XML declares entities") from error
        raise FileFault(
            f"is a damaged workbook or archive ({_reason(error.__cause__ or error)}): "
            "open it in a spreadsheet program and save it"
        ) from error


def _reason(error: BaseException) -> str:
    return printable_line(f"{type(error).__name__}: {error}")[:200]
