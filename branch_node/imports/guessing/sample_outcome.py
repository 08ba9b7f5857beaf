"""What the rows of a sample become by a map: read by the same parser and reader as an import's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from branch_node.imports.cells.cell_readers import RowRejected
from branch_node.imports.guessing.file_sample import FileSample
from branch_node.imports.guessing.map_guess import GuessContext
from branch_node.imports.import_summary import RejectReason, RejectReasons
from branch_node.imports.mapping.map_parser import parse_map
from branch_node.imports.row_preview import RowPreview
from branch_node.imports.rows.import_catalogue import ItemsCatalogue
from branch_node.imports.rows.row_reader import RowReader

_KEPT: Final = 100


class SampleOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The first rows that would be recorded, and how many of all that were read would be."""

    rows: Sequence[RowPreview]
    read: int
    recorded: int
    skipped: int
    rejected: int
    reasons: Sequence[RejectReason]


def sample_outcome(map_text: str, sample: FileSample, context: GuessContext) -> SampleOutcome:
    """The outcome of a sample's rows by a map. Raises MapError, HeaderError."""
    found = parse_map(map_text.encode(), "the map")
    catalogue = context.catalogue or ItemsCatalogue()
    reader = RowReader(found, sample.columns, catalogue=catalogue, now=context.written_at)
    rows: list[RowPreview] = []
    recorded = skipped = rejected = 0
    reasons = RejectReasons()
    for record in sample.rows:
        try:
            if record.fault is not None:
                raise RowRejected(record.fault)
            if len(record.cells) != len(sample.columns):
                raise RowRejected(f"has {len(record.cells)} cells, the header has {len(sample.columns)}")
            entry = reader.read(record.cells)
            if isinstance(entry, str):
                skipped += 1
                continue
            preview = RowPreview.of(record.line, entry, reader.own_id(record.cells))
            if found.unknown_items == "reject" and catalogue.unit_of(entry.item_id) is None:
                raise RowRejected(f"there is no item {entry.item_id!r} (unknown-item)")
        except RowRejected as error:
            rejected += 1
            reasons.add(record.line, str(error))
            continue
        recorded += 1
        if len(rows) < _KEPT:
            rows.append(preview)
    return SampleOutcome(
        rows=rows,
        read=len(sample.rows),
        recorded=recorded,
        skipped=skipped,
        rejected=rejected,
        reasons=reasons.top(),
    )
