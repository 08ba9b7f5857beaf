"""Imports are known by what they hold, not by the names of files: which they were, and which events are theirs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256
from urllib.parse import quote

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Connection

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_BATCH = 1_000


def upgrade() -> None:
    _create_tables()
    connection = op.get_bind()
    files = {}
    earlier = connection.execute(sa.text("SELECT * FROM import_file ORDER BY began_at, source, file")).mappings().all()
    for number, row in enumerate(earlier, start=1):
        prefix = (row["source"], _key_part(row["file"]))
        files[prefix] = (f"before-{number}", row["known_by"] != "line")
        # Whether an older version came to the end of a file is not known.
        values = {**row, "import_id": f"before-{number}", "lineage": "name:" + prefix[1].replace(":", "%3A")}
        connection.execute(
            sa.text(
                "INSERT INTO import_run (import_id, source, file, size, sha256, known_by, lineage, begins_at, "
                "begins_line, end_line, rows, recorded, rejected, conflicting, actor, began_at, state) "
                "VALUES (:import_id, :source, "
                ":file, :size, :sha256, :known_by, :lineage, 0, 0, 0, 0, 0, 0, 0, 'localcli', :began_at, 'INCOMPLETE')"
            ),
            values,
        )
    if files:
        _adopt_events(connection, files)
    op.drop_table("import_file")


def _create_tables() -> None:
    op.create_table(
        "import_run",
        sa.Column("import_id", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("known_by", sa.Text, nullable=False),
        sa.Column("lineage", sa.Text, nullable=False),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in ("begins_at", "begins_line", "end_line", "rows", "recorded", "rejected", "conflicting")
        ),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("began_at", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.CheckConstraint("state IN ('IMPORTED', 'INCOMPLETE', 'UNDOING', 'UNDONE')", name="import_run_state"),
    )
    standing = sa.text("state <> 'UNDONE'")
    op.create_index(
        "import_run_content",
        "import_run",
        ["source", "size", "sha256"],
        unique=True,
        sqlite_where=standing,
        postgresql_where=standing,
    )
    op.create_table(
        "import_span",
        sa.Column("first_sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("last_sequence", sa.BigInteger, nullable=False),
        sa.Column("import_id", sa.Text, nullable=False),
    )
    op.create_index("import_span_import", "import_span", ["import_id"])
    op.create_table(
        "import_named_row",
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("row_id", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("source", "row_id", "sequence"),
    )


def _adopt_events(connection: Connection, files: dict[tuple[str, str], tuple[str, bool]]) -> None:
    """Note which events came from which file, and the ids of their rows, in one pass over the imported ones."""
    span: list[object] = []
    for batch in _imported(connection):
        ids: list[dict[str, object]] = []
        spans: list[dict[str, object]] = []
        for sequence, key in batch:
            _, source, file, row = key.split("/", 3)
            import_id, by_id = files.get((source, file), (None, False))
            if import_id is None:
                continue
            if by_id:
                ids.append({"source": source, "row_id": row, "sequence": sequence})
            if span and span[1] == sequence - 1 and span[2] == import_id:
                span[1] = sequence
                continue
            if span:
                spans.append(dict(zip(("first", "last", "import_id"), span, strict=True)))
            span = [sequence, sequence, import_id]
        _insert(connection, ids, spans)
    if span:
        _insert(connection, [], [dict(zip(("first", "last", "import_id"), span, strict=True))])
    connection.execute(
        sa.text(
            "UPDATE import_run SET recorded = COALESCE((SELECT SUM(last_sequence - first_sequence + 1) "
            "FROM import_span WHERE import_span.import_id = import_run.import_id), 0)"
        )
    )


def _insert(connection: Connection, ids: list[dict[str, object]], spans: list[dict[str, object]]) -> None:
    if ids:
        connection.execute(sa.text("INSERT INTO import_named_row VALUES (:source, :row_id, :sequence)"), ids)
    if spans:
        connection.execute(sa.text("INSERT INTO import_span VALUES (:first, :last, :import_id)"), spans)


def _imported(connection: Connection) -> Iterator[list[tuple[int, str]]]:
    after = 0
    while True:
        rows = connection.execute(
            sa.text(
                "SELECT sequence, command_key FROM event WHERE sequence > :after AND command_key LIKE 'import/%/%/%' "
                "ORDER BY sequence LIMIT :batch"
            ),
            {"after": after, "batch": _BATCH},
        ).all()
        if not rows:
            return
        yield [(row.sequence, row.command_key) for row in rows]
        after = rows[-1].sequence


def _key_part(text: str) -> str:
    """As this version made it of a file's name; kept here, as a migration never changes."""
    if len(text) <= 72 and re.fullmatch(r"[ -$&-}]+", text):
        return text
    kept = "".join(chr(code) for code in range(0x20, 0x7E) if chr(code) != "%")
    quoted = quote(text, safe=kept).replace("~", "%7E")
    return quoted if len(quoted) <= 72 else "~" + sha256(text.encode()).hexdigest()
