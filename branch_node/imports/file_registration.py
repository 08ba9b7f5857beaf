"""How an import begins: what its file is, which columns and lookups it has, and which earlier file it continues."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from branch_node.imports.mapping.import_map import ImportMap
from branch_node.imports.recorders.import_recorder import ImportRecorder
from branch_node.imports.register.import_lifecycle import ImportPlan
from branch_node.imports.register.import_runs import BY_LINE, FileRegistration, ImportRecord
from branch_node.imports.register.row_commands import KeyedContent, RowRecorded
from branch_node.imports.register.row_keys import RowKeys
from branch_node.imports.reject_files import CONFLICTS_HELP, Conflicts
from branch_node.imports.rows.row_columns import LookupTable
from branch_node.imports.source_file import FileRefused, Fingerprint, SourceFile, SourceRecord, read_lookup
from branch_node.problems import IMPORT_BEGINS_ANOTHER, IMPORT_FILE_DIFFERS


def header_of(file: SourceFile, first: SourceRecord | None, given: list[str] | None) -> list[str]:
    """The names of a file's columns: as given by the map, else of its first record. Raises FileRefused."""
    if first is not None and Conflicts.is_header(first.cells):
        raise FileRefused(f"{file.path} holds conflicts: {CONFLICTS_HELP}")
    if given is not None:
        return given
    if first is None:
        raise FileRefused(f"{file.path} is empty")
    if first.fault is not None:
        raise FileRefused(f"{file.path} line {first.line}: {first.fault}")
    return [name.strip() for name in first.cells]


def lookups_of(file: SourceFile, import_map: ImportMap) -> dict[str, LookupTable]:
    """The lookups of a map, from the files beside the imported one. Raises FileRefused or HeaderError."""
    beside, delimiter, encoding = file.path.parent, import_map.delimiter, import_map.encoding
    return {
        name: read_lookup(beside / each.file, each.key, delimiter, name=name, encoding=encoding, folder=file.folder)
        for name, each in import_map.lookup.items()
    }


class LongerFiles:
    """Finds out whether a file is the beginning of a longer one that was imported, by its first rows.

    Only rows that are known by their line need it: the longer file's hash is of all its bytes.
    """

    def __init__(self, recorder: ImportRecorder, keys: RowKeys, lineages: Sequence[str]) -> None:
        self._recorder = recorder
        self._keys = keys
        self._lineages = lineages

    def check(self, rows: Sequence[KeyedContent]) -> None:
        """Raises 409 `import-begins-another` where most of these rows stand at the same lines of a longer file."""
        for lineage in self._lineages:
            keys = msgspec.structs.replace(self._keys, lineage=lineage)
            there = [row._replace(key=self._keys.moved(row.key, lineage)) for row in rows]
            if self._equal(keys, there[:1]) or self._equal(keys, there[-1:]):
                equal = self._equal(keys, there)
                if 2 * equal > len(rows):
                    raise IMPORT_BEGINS_ANOTHER(f"{equal} of its rows are recorded, at the same lines of a longer file")

    def _equal(self, keys: RowKeys, rows: Sequence[KeyedContent]) -> int:
        return sum(isinstance(each, RowRecorded) for each in self._recorder.find(keys, rows))


def plan_of(
    file: SourceFile, fingerprint: Fingerprint, import_map: ImportMap, recorder: ImportRecorder
) -> tuple[FileRegistration, ImportPlan, LongerFiles | None]:
    """How a file would be imported, and the longer files that may begin with it.

    Raises an error of the recorder where the file may not be imported.
    """
    source, column, scope = import_map.source, import_map.columns.id, import_map.id_scope
    kind = scope if isinstance(scope, str) else f"column {scope.column}"
    registration = FileRegistration(
        source=source,
        file=file.name,
        size=fingerprint.size,
        sha256=fingerprint.sha256,
        known_by=BY_LINE if column is None else f"column {column}" + ("" if kind == "source" else f" in {kind}"),
        scope=None if column is None else kind,
    )
    earlier = recorder.earlier(source)
    alike = [each for each in earlier if each.known_by == registration.known_by]
    # Rows with ids are known in whatever file they come, unless ids meant something else when they came first.
    wanted = earlier if registration.by_bytes else [each for each in earlier if each.known_by != registration.known_by]
    begun = _longest_beginning(wanted, file, fingerprint)
    if begun is not None:
        found, ends_line = begun
        if (
            found.known_by == registration.known_by
            and not ends_line
            and not any(each.sha256 == fingerprint.sha256 for each in earlier)
        ):
            raise IMPORT_FILE_DIFFERS(
                f"this file begins like {found.file!r} (import {found.import_id}), whose last line has grown since",
                import_id=found.import_id,
            )
        registration = msgspec.structs.replace(registration, continues=found.import_id)
    plan = recorder.plan(registration)
    if not registration.by_bytes:
        return registration, plan, None
    longer = sorted({each.lineage for each in alike if each.size > fingerprint.size} - {plan.keys.lineage})
    return registration, plan, LongerFiles(recorder, plan.keys, longer) if plan.new and longer else None


def _longest_beginning(
    earlier: Sequence[ImportRecord], file: SourceFile, fingerprint: Fingerprint
) -> tuple[ImportRecord, bool] | None:
    """The longest of the imports with whose whole bytes this file begins, and whether they end at the end of a line."""
    prefixes = file.prefixes(sorted({each.size for each in earlier if 0 < each.size < fingerprint.size}))
    begins = [
        (each, prefix.ends_line)
        for each in earlier
        if (prefix := prefixes.get(each.size)) is not None and prefix.sha256 == each.sha256
    ]
    return max(begins, key=lambda each: each[0].size, default=None)
