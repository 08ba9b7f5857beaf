"""What a map says about its files: encoding, sheet, header, and which names of columns it uses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, Self

import msgspec

from branch_node.imports.mapping.import_map import ImportMap

_OWN_REJECTS: Final = re.compile(rb'(?:\xef\xbb\xbf)?"?reject_line"?[^\w"\r\n]"?reject_reason\b')


class FileLayout(msgspec.Struct, frozen=True, kw_only=True):
    """How a file is laid out. Without `encoding` it is UTF-8, or what its byte order mark says.

    `sheet` is the name of a workbook's sheet, the first by default; of its rows those up to `most_rows` are read, by
    default all. `header_line` counts from 1: lines before it are titles. `header` are the names of a file that has
    none. `decimal` is written into the numbers of workbooks. `used` are the names of columns that must not stand twice.
    """

    encoding: str | None = None
    sheet: str | None = None
    header_line: int | None = None
    header: list[str] | None = None
    decimal: str = "."
    used: frozenset[str] = frozenset()
    most_rows: int | None = None

    @classmethod
    def of(cls, import_map: ImportMap) -> Self:
        """The layout of the files that a map is for."""
        return cls(
            encoding=import_map.encoding,
            sheet=import_map.sheet,
            header_line=import_map.header_line,
            header=import_map.header,
            decimal=import_map.decimal,
            used=frozenset(_columns(msgspec.to_builtins(import_map))),
        )

    def for_file(self, head: bytes) -> Self:
        """The layout of the file that begins with `head`.

        Rejects are UTF-8 with their header first, whatever the layout of the file whose rows they hold.
        """
        if _OWN_REJECTS.match(head) is None:
            return self
        return msgspec.structs.replace(self, encoding=None, header_line=None, header=None)

    def header_names(self, cells: list[str]) -> list[str]:
        """The names in a header: without blanks around them and empty ones at the end, the unused ones made unique."""
        names = [cell.strip() for cell in cells]
        while names and not names[-1]:
            names.pop()
        given = set(names)
        seen: set[str] = set()
        last: dict[str, int] = {}  # of each name, so that a line of noise with one name a thousand times is no work
        for place, name in enumerate(names):
            if name in seen and name not in self.used:
                number = last.get(name, 1) + 1
                while (unique := f"{name} ({number})".strip()) in given:
                    number += 1
                given.add(unique)
                last[name] = number
                names[place] = unique
            seen.add(name)
        return names


def _columns(value: Any, key: str = "") -> Iterator[str]:
    """The names of columns in a map: by its keys, so that a table which is added to maps is seen too."""
    if isinstance(value, dict):
        if key in ("where", "when"):
            yield from value
        for inner, each in value.items():
            # All that stands in [columns] is a column; so is what a key such as `name_column` says.
            yield from _columns(each, "columns" if key == "columns" else inner)
    elif isinstance(value, list):
        for each in value:
            yield from _columns(each, key)
    elif isinstance(value, str) and (key in ("columns", "on") or key.endswith("column")):
        yield value
