"""A coordinator of 5,000 locations, beside a real head office: it starts, and starts again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Engine, create_engine, text

from head_office.catalogue import api_keys
from head_office.database.schema import MIGRATIONS, VERSION_TABLE
from shared.runtime.database.migrations import migrate
from shared.runtime.http.scopes import Role
from tests.support.branch_log import BranchLog
from tests.support.processes import larder, run_larder
from tests.support.waiting import wait_until

LOCATIONS = 5_000
READY = r"ready on (http://127\.0\.0\.1:\d+)"


def many_locations(url: str) -> None:
    engine = create_engine(url)
    migrate(engine, MIGRATIONS, VERSION_TABLE)
    with engine.begin() as connection:
        for statement in (
            "INSERT INTO location (location_id, name, timezone, day_start, added_at)"
            " SELECT 'SHOP-' || n, 'Shop ' || n, 'UTC', 0, 0 FROM generate_series(1, :many) AS n",
            "INSERT INTO head (location_id, epoch, sequence, hash)"
            " SELECT 'SHOP-' || n, 1, 0, decode(repeat('00', 32), 'hex') FROM generate_series(1, :many) AS n",
        ):
            connection.execute(text(statement), {"many": LOCATIONS})
    engine.dispose()


def kept_cursor(coordinator: Engine) -> str:
    with coordinator.connect() as connection:
        return str(connection.execute(text("SELECT cursor FROM feed WHERE name = 'facts'")).scalar() or "")


def test_a_coordinator_of_5000_locations_starts_again_and_again(
    postgres_url_factory: Callable[..., str], coordinator_url: str, database: Engine, tmp_path: Path
) -> None:
    office_url = postgres_url_factory(many_locations)
    office = create_engine(office_url)
    with office.begin() as connection:
        key = api_keys.issue(connection, Role.COORDINATOR, None).text
        log = BranchLog("SHOP-1")
        log.record("TRANSFER_IN", transfer_id="by-hand", transfer_line=1)
        log.ship(connection)
    office.dispose()
    serve = ("head-office", "serve", "--dir", tmp_path / "office", "--database-url", office_url, "--port", "0")
    with larder(*serve, output=tmp_path / "office.txt") as head_office:
        url = head_office.wait_for(READY)[1]
        folder = tmp_path / "transfer"
        made = run_larder(
            "transfer", "init", "--dir", folder, "--head-office", url, "--key", key, "--database-url", coordinator_url
        )
        assert made.returncode == 0, made.stderr
        # What an older version stored: a place for each location, too long for any address.
        older = json.dumps({f"SHOP-{number}": [0, 0] for number in range(1, LOCATIONS + 1)})
        with database.begin() as connection:
            connection.execute(
                text("INSERT INTO feed (name, cursor, hash, moved_at) VALUES ('facts', :cursor, '', 0)"),
                {"cursor": older},
            )
        for number in (1, 2):
            output = tmp_path / f"transfer-{number}.txt"
            with larder("transfer", "serve", "--dir", folder, "--port", "0", output=output) as coordinator:
                coordinator.wait_for(READY)
                wait_until(lambda: 0 < len(kept_cursor(database)) < 1_000, what="the cursor that head office gave")
                assert coordinator.returncode is None
                assert coordinator.stop() == 0
