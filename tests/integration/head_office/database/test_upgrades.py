"""Upgrades of a head office that has data: mappings made before the catalogue kept moments are in its history."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from alembic import command
from alembic.config import Config
from sqlalchemy import text

from head_office.catalogue import catalogue_history, item_proposals
from head_office.catalogue.item_codes import items_known, read_codes
from head_office.database.schema import MIGRATIONS, VERSION_TABLE
from shared.messages import CatalogueAlias, CatalogueItem, CatalogueLocation, catalogue_hash
from shared.runtime.database.engine import postgres_engine
from shared.runtime.database.migrations import migrate

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
