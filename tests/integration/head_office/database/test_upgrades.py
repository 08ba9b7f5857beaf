"""Upgrades of a head office that has data.

Mappings made before the catalogue kept moments are in its history; levels with a target become such with a point;
deliveries against orders that were received before are kept like later ones.
"""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import patch

import msgspec
from alembic import command
from alembic.config import Config
from sqlalchemy import text

from head_office.catalogue import catalogue_history, item_proposals
from head_office.catalogue.item_codes import items_known, read_codes
from head_office.catalogue.location_levels import LevelChange, list_levels, put_levels
from head_office.database.schema import MIGRATIONS, VERSION_TABLE
from head_office.log import decoder
from head_office.reports.verification import verify
from shared.catalogue_messages import (
    CATALOGUE_START,
    CatalogueAlias,
    CatalogueItem,
    CatalogueLocation,
    catalogue_hash,
    read_catalogue_page,
)
from shared.events import Reference
from shared.levels.reorder_levels import ReorderLevel
from shared.runtime.database.engine import postgres_engine
from shared.runtime.database.migrations import migrate
from tests.support.consolidation import Branch, OldVersion, figures, open_location
from tests.support.events import an_event
from tests.support.order_ledger import PLACES, delivery

BEFORE_MOMENTS = "0006"
HAMRA = CatalogueLocation(location_id="BEY-01", name="Hamra", timezone="UTC", day_start=240)
APPLE = CatalogueItem(item_id="apple", name="Pomme", unit="kg")


def test_mappings_from_before_the_moments_are_known_from_the_beginning_and_sent_to_their_branch(
    postgres_url_factory: Callable[[], str],
) -> None:
    engine = postgres_engine(postgres_url_factory())
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes.update(connection=connection, version_table=VERSION_TABLE)
        command.upgrade(config, BEFORE_MOMENTS)
        digest = bytes(32)
        entries = [
            (
                "location",
                CatalogueLocation(location_id="BEY-01", name="Hamra", timezone="UTC", day_start=240),
                "BEY-01",
            ),
            ("item", CatalogueItem(item_id="apple", name="Pomme", unit="kg"), None),
        ]
        for version, (kind, content, place) in enumerate(entries, start=1):
            body = msgspec.to_builtins(content)
            digest = catalogue_hash(digest, {"version": version, kind: body})
            connection.execute(
                text(
                    "INSERT INTO catalogue_entry (version, kind, location_id, told, content, hash)"
                    " VALUES (:version, :kind, :place, true, :content, :hash)"
                ),
                {
                    "version": version,
                    "kind": kind,
                    "place": place,
                    "content": msgspec.json.encode(content).decode(),
                    "hash": digest,
                },
            )
        connection.execute(text("UPDATE catalogue_head SET version = 2, hash = :hash"), {"hash": digest})
        connection.execute(text("INSERT INTO item VALUES ('apple', 'Pomme', 'kg', NULL, NULL, '{}')"))
        connection.execute(text("INSERT INTO item_alias VALUES ('BEY-01', 'تفاح', 'apple')"))
    migrate(engine, MIGRATIONS, VERSION_TABLE)
    with engine.begin() as connection:
        assert catalogue_history.verify(connection) == 3
        assert read_codes(connection, ["apple"], known_at=1).codes_at("BEY-01", "apple") == ["apple", "تفاح"]
        assert items_known(connection, ["apple"], 1)["apple"].name == "Pomme"
        sent = catalogue_history.page(connection, 0, 10, "BEY-01").entries
        assert sent[-1].alias == CatalogueAlias(location_id="BEY-01", alias="تفاح", item_id="apple")
        assert [each.alias for each in item_proposals.list_aliases(connection)] == ["تفاح"]
    engine.dispose()


BEFORE_POINTS = "0009"


class OldLevel(msgspec.Struct):
    """What a branch of an older version reads of a level: it refuses a page where one of these is missing."""

    location_id: str
    item_id: str
    level: int
    target: int


def test_levels_with_a_target_are_carried_over_and_their_history_stays_readable(
    postgres_url_factory: Callable[[], str],
) -> None:
    engine = postgres_engine(postgres_url_factory())
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    levels = [("milk", 2_000, 9_000), ("milk", 3_000, 9_000), ("rice", 500, 500), ("gin", 1, 2), ("gin", 0, 0)]
    told = [
        ("location", msgspec.to_builtins(HAMRA)),
        ("item", msgspec.to_builtins(APPLE)),
        *(
            ("reorder_level", {"location_id": "BEY-01", "item_id": item, "level": level, "target": target})
            for item, level, target in levels
        ),
    ]
    with engine.begin() as connection:
        config.attributes.update(connection=connection, version_table=VERSION_TABLE)
        command.upgrade(config, BEFORE_POINTS)
        digest = bytes(32)
        for version, (kind, body) in enumerate(told, start=1):
            digest = catalogue_hash(digest, {"version": version, kind: body})
            connection.execute(
                text(
                    "INSERT INTO catalogue_entry (version, kind, subject, known_from, location_id, told, content, hash)"
                    " VALUES (:version, :kind, :subject, 0, :place, true, :content, :hash)"
                ),
                {
                    "version": version,
                    "kind": kind,
                    "subject": body.get("item_id", "BEY-01"),
                    "place": None if kind == "item" else "BEY-01",
                    "content": msgspec.json.encode(body).decode(),
                    "hash": digest,
                },
            )
        connection.execute(
            text("UPDATE catalogue_head SET version = :version, hash = :hash"), {"version": len(told), "hash": digest}
        )
        connection.execute(text("INSERT INTO location VALUES ('BEY-01', 'Hamra', 'UTC', 240, 0)"))
        connection.execute(text("INSERT INTO item VALUES ('apple', 'Pomme', 'kg', NULL, NULL, '{}')"))
        for item, (level, target) in {item: figures for item, *figures in levels}.items():
            connection.execute(text(f"INSERT INTO reorder_level VALUES ('BEY-01', '{item}', {level}, {target})"))
    migrate(engine, MIGRATIONS, VERSION_TABLE)
    full = ReorderLevel(reorder_point=5, order_quantity=7, supplier_id="farm", pack_size=3, lead_days=1)
    with engine.begin() as connection:
        # Nothing was to be ordered at 0.5 rice, below it up to 0.5.
        stands = {"milk": (3_000, 9_000), "rice": (499, 500)}
        assert {each.item_id: each.level for each in list_levels(connection, "BEY-01")} == {
            item: ReorderLevel(reorder_point=point, order_up_to=up_to) for item, (point, up_to) in stands.items()
        }
        put_levels(connection, [LevelChange("BEY-01", "apple", full)])
        assert catalogue_history.verify(connection) == len(told) + 1
        sent = msgspec.json.encode(catalogue_history.page(connection, 0, 100, "BEY-01"))
    received = [each.reorder_level for each in read_catalogue_page(sent, 0, CATALOGUE_START).entries]
    at_the_branch = {each.item_id: each.reorder_level() for each in received if each is not None}
    assert at_the_branch["rice"] == ReorderLevel(reorder_point=499, order_up_to=500)
    assert at_the_branch["gin"] is None
    assert at_the_branch["apple"] == full
    read_by_an_older_one = [
        msgspec.convert(each["reorder_level"], OldLevel)
        for each in msgspec.json.decode(sent)["entries"]
        if "reorder_level" in each
    ]
    assert read_by_an_older_one[-1] == OldLevel("BEY-01", "apple", 5, 12)
    engine.dispose()


BEFORE_PURCHASES = "0016"


def test_deliveries_that_were_received_before_are_those_of_the_log(postgres_url_factory: Callable[[], str]) -> None:
    engine = postgres_engine(postgres_url_factory())
    migrate(engine, MIGRATIONS, VERSION_TABLE)
    with engine.begin() as connection:
        for place in PLACES:
            open_location(connection, place)
    for place in PLACES:
        events = [an_event(seed=number) for number in range(1, 2_600)]
        for number in range(5, 2_500, 40):
            events[number] = delivery(f"PO-{number % 7}", 1 + number % 3, number, seed=number + 1)
        events[5] = delivery("PO-1", 1, 7, kind="PURCHASE_RETURNED", seed=6)
        events[6] = delivery("PO-\x00", 1, 7, seed=7)
        events[7] = an_event("PURCHASE_RECEIVED", reference=Reference(kind="purchase-order", id="PO-1"), seed=8)
        events[8] = an_event("PURCHASE_RECEIVED", note='"purchase-order"', seed=9)
        events[9] = delivery("PO-1", 1, 7, note="new", seed=10)
        with patch.object(decoder, "understand", OldVersion.understand):
            Branch(place).record(events).ship(engine)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        kept = figures(connection)["delivered_line"]
        assert len(kept) == 2 * 63
        # As the version before left it: without the tables of purchases, and stamped so.
        for table in ("supplier", "purchase_order_line", "purchase_order", "purchase_order_number", "delivered_line"):
            connection.execute(text(f"DROP TABLE {table}"))
        connection.execute(text("DROP INDEX catalogue_entry_location"))
        # And what came after them.
        for table in ("contact_run", "mailed_morning", "purchasing_morning", "purchasing_mail"):
            connection.execute(text(f"DROP TABLE {table}"))
        connection.execute(text("ALTER TABLE location DROP COLUMN report_time"))
        config.attributes.update(connection=connection, version_table=VERSION_TABLE)
        command.stamp(config, BEFORE_PURCHASES)
    migrate(engine, MIGRATIONS, VERSION_TABLE)
    with engine.connect() as connection:
        assert figures(connection)["delivered_line"] == kept
        assert verify(connection).findings == []
    engine.dispose()
