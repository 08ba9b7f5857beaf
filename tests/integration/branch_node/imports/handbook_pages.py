"""The handbook's pages about files of tills, taken apart: the map, the files, and what the page says becomes of them.

A page is the only place where its map stands: the tests of the pages and of the whole data sets both read it here.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import tomllib
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

from openpyxl import Workbook

from tests.support.processes import ROOT

FOLDER: Final = ROOT / "deploy" / "handbook" / "imports"
PAGES: Final = sorted(path.stem for path in FOLDER.glob("*.md") if path.stem != "index")

_BLOCK: Final = re.compile(
    r"^`(?P<name>[\w.-]+)`(?:(?!\n\n).)*:\n\n```(?P<kind>csv|toml)\n(?P<text>.*?)^```", re.M | re.S
)
_SHEET: Final = re.compile(r"^`(?P<name>[\w.-]+)`, sheet `(?P<sheet>\w+)`[^|]*:\n\n(?P<table>(?:\|.*\n)+)", re.M)


class Outcome(NamedTuple):
    """What becomes of a row: a type of event, or filtered, skipped or rejected; the quantity is a decimal number."""

    line: int
    becomes: str
    item: str
    quantity: Decimal


class Page:
    """One page; `maps` and `files` by name, `rows` those of the imported file with their lines."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
        blocks = [match.groupdict() for match in _BLOCK.finditer(self.text)]
        self.maps = {each["name"]: each["text"] for each in blocks if each["kind"] == "toml"}
        self.texts = {each["name"]: each["text"] for each in blocks if each["kind"] == "csv"}
        self.said: dict[str, Any] = tomllib.loads(self.map)
        self.sheets = {
            match["name"]: (match["sheet"], [row[1:] for row in table(match["table"])[1:]])
            for match in _SHEET.finditer(self.text)
        }

    @property
    def map(self) -> str:
        return next(iter(self.maps.values()))

    @property
    def commands(self) -> list[str]:
        blocks = re.findall(r"^```sh\n(.*?)^```", self.text, re.M | re.S)
        return [line for block in blocks for line in block.splitlines() if line]

    @property
    def outcomes(self) -> list[Outcome]:
        """What the page says becomes of each row."""
        rows = table(self._under("What becomes of the rows"))[1:]
        return [Outcome(int(row[0]), row[1], row[2], Decimal(row[3] or "0")) for row in rows]

    @property
    def stock(self) -> dict[str, Decimal]:
        """What the page says is in stock afterwards."""
        _, *rows = table(self._under("Stock afterwards"))
        return {item: Decimal(quantity) for item, quantity in rows}

    @property
    def imported(self) -> str:
        """The name of the file that the page imports."""
        return next(iter(self.texts | self.sheets))

    @property
    def rows(self) -> list[tuple[int, dict[str, str]]]:
        """The rows of the imported file as texts, with their lines; read by csv alone."""
        if self.imported in self.sheets:
            _, lines = self.sheets[self.imported]
            first = int(self.said["header_line"])
            return [
                (number, dict(zip(lines[first - 1], line, strict=True)))
                for number, line in enumerate(lines[first:], first + 1)
            ]
        reader = csv.DictReader(io.StringIO(self.texts[self.imported]), delimiter=self.said.get("delimiter", ","))
        return [(reader.line_num, row) for row in reader]

    def write_to(self, folder: Path) -> None:
        """The maps and files as the page says that they are."""
        for name, text in self.maps.items():
            (folder / name).write_text(text, encoding="utf-8")
        for name, text in self.texts.items():
            content = text.encode(self.said.get("encoding", "utf-8"))
            (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        for name, (sheet, lines) in self.sheets.items():
            book = Workbook()
            book.worksheets[0].title = sheet
            for line in lines:
                book.worksheets[0].append([_cell(text) for text in line])
            book.save(folder / name)

    def _under(self, heading: str) -> str:
        """The first table below a heading, or below a line of text that begins so or has it in it."""
        found = re.search(rf"{re.escape(heading)}.*?\n\n(?P<table>(?:\|[^\n]*\n)+)", self.text, re.S)
        assert found is not None, f"{self.name} has no table below {heading!r}"
        return found["table"]


def table(text: str) -> list[list[str]]:
    """The rows of a table, its header first, without the line of dashes."""
    rows = [[cell.strip() for cell in line.strip()[1:-1].split("|")] for line in text.splitlines()]
    return [rows[0], *rows[2:]]


def _cell(text: str) -> object:
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        return datetime.fromisoformat(text)
    return int(text) if text.isdigit() else text or None


def page_map(name: str) -> str:
    """The map of a page."""
    return Page(name).map
