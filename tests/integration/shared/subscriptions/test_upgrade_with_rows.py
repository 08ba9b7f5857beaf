"""Subscriptions with secrets, cursors and deliveries go through the upgrade to keyed requests as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, text

import branch_node.database.schema as branch_schema
import head_office.database.schema as office_schema
from branch_node.database.store import MIGRATIONS as OF_A_BRANCH
from shared.runtime.database.migrations import migrate
from shared.runtime.database.planned_changes import Plan
from shared.subscriptions.request_keys import KeyedRequest
from shared.subscriptions.subscription_access import SubscriptionAccess
from shared.subscriptions.subscription_changes import rotation_plan
from tests.support.listed_messages import TABLES

OF_HEAD_OFFICE = office_schema.MIGRATIONS
ROWS: dict[str, dict[str, Any]] = {
    "subscription": {
        "subscription_id": "s-1", "url": "https://shop.example/hooks", "types": '["larder.StockAdded"]',
        "label": "Shop", "location_ids": None, "owner": "key-1", "state": "ACTIVE", "created_at": 7,
        "creation_key": "c-1", "creation_digest": "ab",
    },
    "subscription_cursor": {
        "subscription_id": "s-1", "location_id": "BEY-01", "cursor": "1.5.0", "delivered": 3, "failing_since": 8,
        "next_try_at": 9, "error": "timeout", "claim": 2, "claimed_until": 0,
    },
    "webhook_delivery": {
        "subscription_id": "s-1", "location_id": "BEY-01", "cursor": "1.4.0", "message_id": "m-1",
        "type": "larder.StockAdded", "state": "DELIVERED", "attempts": 1, "first_tried_at": 1, "last_tried_at": 1,
        "next_try_at": None, "refused_for": 0, "status": 200, "error": None, "number": 1,
    },
}  # fmt: skip
SECRETS = [
    {"subscription_id": "s-1", "number": 1, "secret": "whsec_a", "live_until": 10**15},
    {"subscription_id": "s-1", "number": 2, "secret": "whsec_b", "live_until": None},
]


def insert_row(engine: Engine, table: str, row: dict[str, Any]) -> None:
    names = ", ".join(row)
    with engine.begin() as connection:
        connection.execute(text(f"INSERT INTO {table} ({names}) VALUES (:{', :'.join(row)})"), row)


def rows_of(engine: Engine, table: str) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        found = [dict(each) for each in connection.execute(text(f"SELECT * FROM {table}")).mappings()]
    return sorted(found, key=str)


@pytest.mark.parametrize(
    ("migrations", "version_table", "before", "on"),
    [
        (OF_A_BRANCH, branch_schema.VERSION_TABLE, "0015", "sqlite"),
        (OF_A_BRANCH, branch_schema.VERSION_TABLE, "0015", "postgresql"),
        (OF_HEAD_OFFICE, office_schema.VERSION_TABLE, "0013", "postgresql"),
    ],
    ids=["branch-sqlite", "branch-postgresql", "head-office"],
)
def test_what_is_subscribed_goes_through_the_upgrade(
    migrations: Path, version_table: str, before: str, on: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'old.db'}"
    if on == "postgresql":
        url = request.getfixturevalue("postgres_url_factory")()
    engine = create_engine(url)
    config = Config()
    config.set_main_option("script_location", str(migrations))
    with engine.begin() as connection:
        config.attributes.update(connection=connection, version_table=version_table)
        command.upgrade(config, before)
    for table, row in ROWS.items():
        insert_row(engine, table, row)
    for each in SECRETS:
        insert_row(engine, "subscription_secret", {**each, "rotation_key": "r-1" if each["number"] == 2 else None})
    migrate(engine, migrations, version_table)
    for table, row in ROWS.items():
        assert rows_of(engine, table) == [row]
    assert rows_of(engine, "subscription_secret") == SECRETS

    def apply(plan: Plan) -> Any:
        with engine.begin() as connection:
            change = plan(connection)
            for write in change.writes:
                write(connection)
        return change.answer

    def rotate(made: str) -> Any:
        asked = KeyedRequest("r-2", "cd")
        access = SubscriptionAccess("key-1", own_only=True)
        return apply(rotation_plan(TABLES, access, "s-1", made, overlap_seconds=60, now=9, request=asked))

    assert rotate("whsec_c") == rotate("whsec_d") == "whsec_c"
    assert [each["number"] for each in rows_of(engine, "subscription_secret")] == [1, 2, 3]
    engine.dispose()
