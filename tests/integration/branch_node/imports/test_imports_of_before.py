"""Files that an older version imported, whose rows have keys with the name of their file, are not recorded again."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from branch_node.commands.event_inputs import EventContent
from branch_node.database.schema import VERSION_TABLE
from branch_node.imports.register.import_lifecycle import UndoStep
from branch_node.imports.register.import_runs import imports_of
from branch_node.imports.register.row_commands import ImportEvent
from shared.events import EventType
from tests.integration.branch_node.imports.import_runs import TILL, WITH_IDS, a_till_file, dry_run, import_file
from tests.support.branch import Branch, a_branch
from tests.support.events import MINUTE, NOON

ROWS = ["1,milk,1,2025-12-31 12:00", "2,milk,1,2025-12-31 12:01"]
THIRD = "3,milk,1,2025-12-31 12:02"
DAY = 24 * 60 * MINUTE
BY_LINE = TILL.replace("till-7", "till-8")
LATER_TABLES = (
    "import_named_row",
    "import_span",
    "import_run",
    "reservation_line",
    "reservation",
    "reorder_level",
    "subscription",
    "subscription_secret",
    "subscription_cursor",
    "subscription_request",
    "webhook_delivery",
    "inbound_order",
    "inbound_secret",
    "inbound_source",
    "delivered_line",
    "purchase_order_line",
    "purchase_order",
    "supplier",
)
"""Those that the version before did not have, or had otherwise."""


def recorded_before(branch: Branch, keys: Sequence[str], source: str) -> None:
    """Record the rows as the older version did."""
    for minute, key in enumerate(keys):
        entry = EventContent(
            type=EventType.ORDER_DEDUCTION,
            item_id="milk",
            quantity=1_000,
            occurred_at=NOON - DAY - 2 * 60 * MINUTE + minute * MINUTE,
            source=source,
        )
        branch.run(ImportEvent(entry, key=key, actor="localcli"))


def at_the_version_before(url: str, files: Sequence[tuple[str, Path, str]]) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        on_postgresql = engine.dialect.name == "postgresql"
        connection.execute(text("DROP TRIGGER head_available" + (" ON head" if on_postgresql else "")))
        if on_postgresql:
            connection.execute(text("DROP FUNCTION refuse_unavailable"))
        for index in ("event_of_reservation", "event_reserved"):
            connection.execute(text(f"DROP INDEX {index}"))
        for table in LATER_TABLES:
            connection.execute(text(f"DROP TABLE {table}"))
        connection.execute(
            text("CREATE TABLE reorder_level (item_id TEXT PRIMARY KEY, level BIGINT NOT NULL, target BIGINT NOT NULL)")
        )
        for column in ("scopes", "earlier_texts", "label", "issued_at", "last_used_at"):
            connection.execute(text(f"ALTER TABLE api_key DROP COLUMN {column}"))
        connection.execute(
            text(
                "CREATE TABLE import_file (source TEXT NOT NULL, file TEXT NOT NULL, size BIGINT NOT NULL, sha256 TEXT "
                "NOT NULL, known_by TEXT NOT NULL, began_at BIGINT NOT NULL, PRIMARY KEY (source, file))"
            )
        )
        for source, path, known_by in files:
            content = path.read_bytes()
            values = (source, path.name, len(content), sha256(content).hexdigest(), known_by, NOON - DAY)
            names = ("source", "file", "size", "sha256", "known_by", "began_at")
            connection.execute(
                text("INSERT INTO import_file VALUES (:source, :file, :size, :sha256, :known_by, :began_at)"),
                dict(zip(names, values, strict=True)),
            )
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '0009'"))
    engine.dispose()


@pytest.mark.parametrize("postgresql", [False, True])
def test_rows_are_known_by_what_they_were_known_by(
    tmp_path: Path, postgresql: bool, request: pytest.FixtureRequest
) -> None:
    given = request.getfixturevalue("pg_database") if postgresql else None
    by_id = a_till_file(tmp_path / "50% of 1:2.csv", ROWS)
    by_line = a_till_file(tmp_path / "lines.csv", ROWS)
    with a_branch(tmp_path / "node", given) as branch:
        recorded_before(branch, [f"import/till-7/50%25 of 1:2.csv/{row}" for row in (1, 2)], "till-7")
        recorded_before(branch, [f"import/till-8/lines.csv/#{line}" for line in (2, 3)], "till-8")
        url = branch.store.url
    at_the_version_before(url, [("till-7", by_id, "column id"), ("till-8", by_line, "line")])
    with a_branch(tmp_path / "node", given) as branch:
        branch.clock.advance(DAY)  # so that event ids are new
        with branch.store.reading() as connection:
            found = imports_of(connection)
        assert [(each.file, each.recorded) for each in found] == [("lines.csv", 2), ("50% of 1:2.csv", 2)]
        for file, mapped in ((by_id, WITH_IDS), (by_line, BY_LINE)):
            renamed = tmp_path / f"renamed {file.name}"
            renamed.write_bytes(file.read_bytes())
            for path in (file, renamed):
                assert dry_run(branch, path, mapped).already_recorded == 2
                again = import_file(branch, path, mapped)
                assert (again.recorded, again.already_recorded) == (0, 2)
            longer = import_file(branch, a_till_file(tmp_path / f"longer {file.name}", [*ROWS, THIRD]), mapped)
            assert (longer.recorded, longer.already_recorded, longer.conflicting) == (1, 2, 0)
        assert branch.on_hand("milk") == -6_000
        changed = import_file(branch, a_till_file(tmp_path / "c.csv", ["1,milk,7,2025-12-31 12:00"]), WITH_IDS)
        assert changed.conflicting == 1
        (voided,) = branch.writer.commit([UndoStep(found[1].import_id, actor="localcli")])
        assert (voided, branch.on_hand("milk")) == (2, -4_000)
        assert import_file(branch, by_id, WITH_IDS).recorded == 2
