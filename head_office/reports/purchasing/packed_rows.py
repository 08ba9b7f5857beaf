"""The rows of a large purchasing report, packed: a report of 400,000 rows takes megabytes, not hundreds of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple, overload

import msgspec
import zstandard

from head_office.reports.purchasing.purchasing_records import COLUMNS, LocationState, PurchasingRow

MOST_TOGETHER: Final = 1_000
"""How many rows are packed into one frame, so many are unpacked at the same time."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder().decode
_FLAGS: Final = COLUMNS.index("flags")
_STATE: Final = COLUMNS.index("location_state")


class RowOrder(NamedTuple):
    """The place of a row: by supplier, those without one last, then by location and item."""

    without_supplier: bool
    supplier_id: str
    location_id: str
    item_id: str


def order_of(row: PurchasingRow) -> RowOrder:
    """The place of a row in the report."""
    return RowOrder(row.supplier_id is None, row.supplier_id or "", row.location_id, row.item_id)


class PackedRows(Sequence[PurchasingRow]):
    """Rows in the order of the report, unpacked as they are read; as often as they are."""

    def __init__(self, frames: Sequence[bytes], length: int) -> None:
        self._frames = frames
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[PurchasingRow]:
        for frame in self._frames:
            yield from unpacked(frame)

    @overload
    def __getitem__(self, place: int) -> PurchasingRow: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[PurchasingRow]: ...
    def __getitem__(self, place: int | slice) -> PurchasingRow | Sequence[PurchasingRow]:
        return list(self)[place]


class RowPacker:
    """Takes the rows of one run of locations after the other, in the order of locations, and puts them in order.

    The rows of a supplier at a later run all come after those at an earlier one, so nothing is ever sorted twice.
    """

    def __init__(self) -> None:
        self._frames: dict[tuple[bool, str], list[bytes]] = {}
        self._length = 0

    def add(self, rows: Iterable[PurchasingRow]) -> None:
        """Pack the rows of the next locations."""
        by_supplier: dict[tuple[bool, str], list[PurchasingRow]] = {}
        for row in sorted(rows, key=order_of):
            by_supplier.setdefault(order_of(row)[:2], []).append(row)
            self._length += 1
        for supplier, theirs in by_supplier.items():
            frames = self._frames.setdefault(supplier, [])
            for start in range(0, len(theirs), MOST_TOGETHER):
                frames.append(packed(theirs[start : start + MOST_TOGETHER]))

    def rows(self) -> PackedRows:
        """All rows in the order of the report."""
        frames = [frame for supplier in sorted(self._frames) for frame in self._frames[supplier]]
        return PackedRows(frames, self._length)


def packed(rows: Sequence[PurchasingRow]) -> bytes:
    """Pack rows into a frame."""
    return zstandard.compress(_encode([msgspec.structs.astuple(row) for row in rows]), 1)


def unpacked(frame: bytes) -> Iterator[PurchasingRow]:
    """The rows of a frame."""
    for values in _decode(zstandard.decompress(frame)):
        values[_FLAGS] = tuple(values[_FLAGS])
        values[_STATE] = LocationState(values[_STATE])
        yield PurchasingRow(**dict(zip(COLUMNS, values, strict=True)))
