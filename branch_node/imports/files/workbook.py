"""An XLSX workbook: its sheets, the texts that its cells share, and what its number formats show.

Read with expat, part by part, in bounded memory. The libraries were tried: openpyxl reads 7,000 rows a second, refuses
workbooks for their styles, and does not tell a formula without a value from an empty cell; calamine lays out the whole
rectangle of used cells in memory, so that one cell in a far corner ends the process, and gives errors as empty texts.
"""

from __future__ import annotations

import posixpath
import zipfile
import zlib
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import IO, Final, NamedTuple, Self, TypeVar
from xml.parsers import expat

from branch_node.imports.files.file_copy import Spool
from branch_node.imports.files.file_kinds import FileFault, archive_fault
from branch_node.imports.files.number_formats import FormatKind, built_in, shown_by
from shared.runtime.text.printable import printable_line

MAX_UNPACKED: Final = 2 << 30
"""Bytes of all the parts read, unpacked."""

MAX_TEXT: Final = 100_000
"""Characters of a cell; a spreadsheet program keeps 32,767."""

_MAX_SMALL_PART: Final = 64 << 20
_MAX_SHARED_TEXTS: Final = 4_000_000
_MAX_STYLES: Final = 100_000
_MAX_SHEETS: Final = 1_000
_PART: Final = 1 << 16

_OFFICE: Final = (
    "http://schemas.openxmlformats.org/officeDocument/2006/relationships",
    "http://purl.oclc.org/ooxml/officeDocument/relationships",
)
_MAIN: Final = (
    "http://schemas.openxmlformats.org/spreadsheetml/2006/main",
    "http://purl.oclc.org/ooxml/spreadsheetml/main",
)
_RELATIONS: Final = ("http://schemas.openxmlformats.org/package/2006/relationships",)

Attributes = dict[str, str]
Reader = TypeVar("Reader", bound="XmlReader")


class _SheetEntry(NamedTuple):
    name: str
    part: str
    hidden: bool


class XmlReader:
    """Base of the readers of parts. `starts` and `ends` are what is called at elements of the namespaces, by name."""

    namespaces: Sequence[str] = _MAIN

    def __init__(self) -> None:
        self._text: list[str] | None = None
        self._length = 0

    def starts(self) -> Mapping[str, Callable[[Attributes], None]]:
        """By the local name of an element, what is called with its attributes when it begins."""
        return {}

    def ends(self) -> Mapping[str, Callable[[], None]]:
        """By the local name of an element, what is called when it ends."""
        return {}

    def begin_text(self) -> None:
        """Keep the text from here on."""
        self._text, self._length = [], 0

    def end_text(self) -> str:
        """The text kept."""
        text, self._text = "".join(self._text or ()), None
        return text

    def read(self, part: IO[bytes]) -> None:
        """Read a whole part. Raises FileFault."""
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        starts = {f"{space} {name}": call for space in self.namespaces for name, call in self.starts().items()}
        ends = {f"{space} {name}": call for space in self.namespaces for name, call in self.ends().items()}

        def start(name: str, attributes: Attributes) -> None:
            call = starts.get(name)
            if call is not None:
                call(attributes)

        def end(name: str) -> None:
            call = ends.get(name)
            if call is not None:
                call()

        parser.StartElementHandler = start
        parser.EndElementHandler = end
        parser.CharacterDataHandler = self._characters
        # Without document types there are no entities: none that multiply, none that are fetched.
        parser.StartDoctypeDeclHandler = _refuse_document_type
        try:
            while chunk := part.read(_PART):
                parser.Parse(chunk, False)
            parser.Parse(b"", True)
        except expat.ExpatError as error:
            raise FileFault(f"is damaged: its XML is not well-formed ({error})") from error

    def _characters(self, text: str) -> None:
        if self._text is not None:
            self._length += len(text)
            if self._length > MAX_TEXT:
                raise FileFault(f"has a cell of more than {MAX_TEXT} characters")
            self._text.append(text)


def _refuse_document_type(*_: object) -> None:
    raise FileFault("is no workbook of a spreadsheet program: its XML declares a document type")


class _Relations(XmlReader):
    """The parts that a part refers to: id to (the last word of the type, path of the part)."""

    namespaces = _RELATIONS

    def __init__(self, base: str) -> None:
        super().__init__()
        self._base = base
        self.found: dict[str, tuple[str, str]] = {}

    def starts(self) -> Mapping[str, Callable[[Attributes], None]]:
        return {"Relationship": self._add}

    def _add(self, attributes: Attributes) -> None:
        if len(self.found) < 2 * _MAX_SHEETS and attributes.get("TargetMode") != "External":
            part = posixpath.normpath(posixpath.join("/", self._base, attributes.get("Target", ""))).lstrip("/")
            self.found[attributes.get("Id", "")] = (attributes.get("Type", "").rpartition("/")[2], part)


class _Contents(XmlReader):
    """The workbook part: its sheets in order, and from when days are counted."""

    def __init__(self, relations: Mapping[str, tuple[str, str]]) -> None:
        super().__init__()
        self._relations = relations
        self.from_1904 = False
        self.sheets: list[_SheetEntry] = []

    def starts(self) -> Mapping[str, Callable[[Attributes], None]]:
        return {"workbookPr": self._begin_properties, "sheet": self._begin_sheet}

    def _begin_properties(self, attributes: Attributes) -> None:
        self.from_1904 = attributes.get("date1904", "0") in ("1", "true", "on")

    def _begin_sheet(self, attributes: Attributes) -> None:
        key = next((attributes[f"{space} id"] for space in _OFFICE if f"{space} id" in attributes), "")
        kind, part = self._relations.get(key, ("", ""))
        if kind == "worksheet" and len(self.sheets) < _MAX_SHEETS:
            hidden = attributes.get("state", "visible") != "visible"
            self.sheets.append(_SheetEntry(attributes.get("name", ""), part, hidden))


class _Styles(XmlReader):
    """What each cell style shows, by the style's place."""

    def __init__(self) -> None:
        super().__init__()
        self._codes: dict[str, FormatKind] = {}
        self._in_cells = False
        self.shown: list[FormatKind] = []

    def starts(self) -> Mapping[str, Callable[[Attributes], None]]:
        return {"numFmt": self._begin_code, "cellXfs": self._begin_cells, "xf": self._begin_style}

    def ends(self) -> Mapping[str, Callable[[], None]]:
        return {"cellXfs": self._end_cells}

    def _begin_code(self, attributes: Attributes) -> None:
        if len(self._codes) < _MAX_STYLES:
            self._codes[attributes.get("numFmtId", "")] = shown_by(attributes.get("formatCode", ""))

    def _begin_cells(self, _: Attributes) -> None:
        self._in_cells = True

    def _end_cells(self) -> None:
        self._in_cells = False

    def _begin_style(self, attributes: Attributes) -> None:
        if self._in_cells and len(self.shown) < _MAX_STYLES:
            number = attributes.get("numFmtId", "0")
            own = self._codes.get(number)
            self.shown.append(built_in(int(number) if number.isdecimal() else 0) if own is None else own)


class SharedTexts(XmlReader):
    """The texts that cells refer to by number, kept on disk, as there may be millions."""

    def __init__(self, folder: Path | None) -> None:
        super().__init__()
        self._spool = Spool(folder)
        self._ends = array("Q", [0])
        self._parts: list[str] = []
        self._phonetic = False
        self._pending = bytearray()
        # Not on the method: a cache there would keep the object.
        self.text = lru_cache(8_192)(self._read)

    def starts(self) -> Mapping[str, Callable[[Attributes], None]]:
        return {"si": self._begin_item, "t": self._begin_run, "rPh": self._begin_phonetic}

    def ends(self) -> Mapping[str, Callable[[], None]]:
        return {"si": self._end_item, "t": self._end_run, "rPh": self._end_phonetic}

    def _begin_phonetic(self, _: Attributes) -> None:
        self._phonetic = True

    def _end_phonetic(self) -> None:
        self._phonetic = False

    def _begin_item(self, _: Attributes) -> None:
        self._parts = []

    def _begin_run(self, _: Attributes) -> None:
        if not self._phonetic:
            self.begin_text()

    def _end_run(self) -> None:
        if not self._phonetic:
            self._parts.append(self.end_text())

    def _end_item(self) -> None:
        self._pending += "".join(self._parts).encode("utf-8", "surrogatepass")
        if len(self._ends) > _MAX_SHARED_TEXTS:
            raise FileFault(f"has more than {_MAX_SHARED_TEXTS} texts: save it as CSV")
        self._ends.append(self._spool.size + len(self._pending))
        if len(self._pending) >= _PART:
            self.flush()

    def flush(self) -> None:
        """Write what waits; call it after the last text."""
        self._spool.write(bytes(self._pending))
        self._pending.clear()

    def _read(self, number: int) -> str:
        """The text of a number. Raises IndexError."""
        if number < 0:
            raise IndexError(number)
        begin, end = self._ends[number], self._ends[number + 1]
        return self._spool.read_at(begin, end - begin).decode("utf-8", "surrogatepass")

    def close(self) -> None:
        self._spool.close()


class Workbook:
    """A workbook opened for reading one sheet. Raises FileFault for what is no XLSX workbook, or a damaged one."""

    def __init__(self, file: IO[bytes], folder: Path | None) -> None:
        with _damage():
            self._archive = zipfile.ZipFile(file)
        self._unpacked = 0
        names = self._archive.namelist()
        workbook = self._workbook_part()
        if workbook not in names or workbook.endswith(".bin"):
            mimetype = b""
            if "mimetype" in names:
                with _damage(), self._archive.open("mimetype") as part:
                    mimetype = part.read(100)
            raise FileFault(archive_fault(names, mimetype))
        relations = self._relations(workbook)
        contents = self._read(_Contents(relations), workbook)
        self.from_1904 = contents.from_1904
        self._sheets = contents.sheets
        parts = dict(relations.values())
        self.shown = self._read(_Styles(), parts["styles"]).shown if parts.get("styles") in names else []
        self.texts = SharedTexts(folder)
        if parts.get("sharedStrings") in names:
            self._read(self.texts, parts["sharedStrings"], MAX_UNPACKED)
            self.texts.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.texts.close()
        self._archive.close()

    def sheet(self, name: str | None) -> str:
        """The part of the sheet called `name`; without a name the first that is not hidden."""
        if not self._sheets:
            raise FileFault("is a workbook without a sheet of cells")
        if name is None:
            return next((sheet for sheet in self._sheets if not sheet.hidden), self._sheets[0]).part
        wanted = name.strip().casefold()
        for sheet in self._sheets:
            if sheet.name.strip().casefold() == wanted:
                return sheet.part
        names = ", ".join(repr(printable_line(sheet.name)) for sheet in self._sheets[:20])
        raise FileFault(f"has no sheet {printable_line(name)!r}; it has {names}")

    def read_sheet(self, part: str, reader: XmlReader, progress: Callable[[float], None]) -> None:
        """Read the sheet of a part; `progress` is called with the share that is read."""
        self._read(reader, part, MAX_UNPACKED, progress)

    def _workbook_part(self) -> str:
        if "_rels/.rels" not in self._archive.namelist():
            return "xl/workbook.xml"
        found = self._read(_Relations(""), "_rels/.rels").found.values()
        return next((part for kind, part in found if kind == "officeDocument"), "xl/workbook.xml")

    def _relations(self, part: str) -> Mapping[str, tuple[str, str]]:
        folder, name = posixpath.split(part)
        path = f"{folder}/_rels/{name}.rels".lstrip("/")
        return self._read(_Relations(folder), path).found if path in self._archive.namelist() else {}

    def _read(
        self,
        reader: Reader,
        part: str,
        most: int = _MAX_SMALL_PART,
        progress: Callable[[float], None] = lambda _: None,
    ) -> Reader:
        with _damage():
            size = self._archive.getinfo(part).file_size
            self._unpacked += size
            if size > most or self._unpacked > MAX_UNPACKED:
                raise FileFault(f"unpacks to more than {most >> 20} MiB: save it as CSV")
            # zipfile gives no more bytes than the size told, whatever the part unpacks to.
            with self._archive.open(part) as opened:
                reader.read(_Counted(opened, lambda place: progress(place / max(1, size))))  # type: ignore[arg-type]
        return reader


class _Counted:
    """A file that tells how far it is read."""

    def __init__(self, file: IO[bytes], progress: Callable[[int], None]) -> None:
        self._file, self._progress, self._place = file, progress, 0

    def read(self, size: int) -> bytes:
        chunk = self._file.read(size)
        self._place += len(chunk)
        self._progress(self._place)
        return chunk


@contextmanager
def _damage() -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, OSError) as error:
        raise FileFault(f"is a damaged workbook or archive ({printable_line(str(error))[:200]})") from error
    except (RuntimeError, NotImplementedError) as error:
        # So zipfile says that a part is encrypted, or packed in a way that it does not know.
        raise FileFault(f"cannot be unpacked ({printable_line(str(error))[:200]}): save it again") from error
