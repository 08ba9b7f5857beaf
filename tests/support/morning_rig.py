"""A head office whose clock the test sets, with locations in several zones, levels and logs: for its mornings."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select, text, update

from head_office.catalogue import items, locations
from head_office.catalogue.location_levels import LevelChange, put_levels
from head_office.database.morning_tables import PURCHASING_MAIL, PURCHASING_MORNING
from head_office.database.office_schema import CATALOGUE_ENTRY
from head_office.database.schema import LOCATION, MIGRATIONS, VERSION_TABLE, now
from head_office.reports.known_at import report_snapshot
from head_office.reports.mornings.morning_maker import MorningMaker
from head_office.reports.mornings.morning_report import morning_report
from head_office.reports.purchasing.purchasing_json import purchasing_parts
from head_office.reports.purchasing.purchasing_records import PurchasingReport
from shared.catalogue_messages import CatalogueItem, CatalogueLocation
from shared.levels.reorder_levels import ReorderLevel
from shared.runtime.clock import IdFactory
from shared.runtime.database.engine import postgres_engine
from shared.runtime.database.migrations import migrate
from tests.support.branch_log import BranchLog

# Later than any real clock that runs this: what was received is never moved back.
BEGIN = "2087-03-20T00:00"
ZONES = {"BEY-01": "Asia/Beirut", "BEY-02": "Asia/Beirut", "NYC-01": "America/New_York"}
_CLOCK = "CREATE OR REPLACE FUNCTION larder_now() RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT {}::bigint'"


def utc(moment: str) -> int:
    """Microseconds of a moment such as 2087-03-20T04:00, UTC."""
    return int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()) * 1_000_000


def set_clock(engine: Engine, moment: str | int) -> None:
    with engine.begin() as connection:
        connection.execute(text(_CLOCK.format(utc(moment) if isinstance(moment, str) else moment)))


def three_places(url: str) -> None:
    """A migrated head office with a location for each of ZONES, two items and their levels."""
    engine = postgres_engine(url)
    migrate(engine, MIGRATIONS, VERSION_TABLE)
    set_clock(engine, BEGIN)
    with engine.begin() as connection:
        for place, zone in ZONES.items():
            locations.add(
                connection,
                CatalogueLocation(location_id=place, name=f"Place {place}", timezone=zone, day_start=240),
            )
        items.put(connection, [CatalogueItem(item_id=each, name=each.title(), unit="l") for each in ("milk", "oil")])
        put_levels(
            connection,
            [
                LevelChange(
                    place,
                    each,
                    ReorderLevel(reorder_point=5_000, order_up_to=20_000, supplier_id=supplier, pack_size=6_000),
                )
                for place in ZONES
                for each, supplier in (("milk", "farm"), ("oil", None))
            ],
        )
    engine.dispose()


class MorningRig:
    """One such head office; its makers and mailers are the real ones."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.logs = {place: BranchLog(place) for place in ZONES}

    def clock(self, moment: str | int) -> None:
        set_clock(self.engine, moment)

    def maker(self, *, mailed: bool = False) -> MorningMaker:
        return MorningMaker(self.engine, mailed=mailed, new_id=IdFactory(), counted=lambda _: None)

    def make(self, *, mailed: bool = False) -> int:
        return self.maker(mailed=mailed).step()

    def record(self, place: str, kind: str, quantity: int, occurred_at: str, item_id: str = "milk") -> None:
        """Record an event at a branch and ship it now."""
        at = utc(occurred_at)
        counted: dict[str, Any] = {"quantity": quantity}
        if kind == "STOCKTAKE":
            counted = {"counted": quantity, "expected": 0}
        self.logs[place].record(kind, item_id=item_id, occurred_at=at, business_date=occurred_at[:10], **counted)
        self.logs[place].ship_now(self.engine)

    def report(
        self, date: str, *, location_ids: list[str] | None = None, known_at: str | None = None, **given: Any
    ) -> PurchasingReport:
        with report_snapshot(self.engine, None if known_at is None else utc(known_at)) as (connection, settled):
            return morning_report(connection, date=date, location_ids=location_ids, known_at=settled, **given)

    def made(self) -> list[tuple[str, str]]:
        """The mornings that were made, as (location, date), in order."""
        query = select(PURCHASING_MORNING.c.location_id, PURCHASING_MORNING.c.date)
        with self.engine.connect() as connection:
            return sorted((row.location_id, row.date) for row in connection.execute(query))

    def mails(self) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(select(PURCHASING_MAIL).order_by(PURCHASING_MAIL.c.mail_id)))


def as_bytes(report: PurchasingReport) -> bytes:
    """All of a report."""
    return b"".join(purchasing_parts(report))


def there_since(engine: Engine, micros: int) -> None:
    """Have the locations been there for so long."""
    with engine.begin() as connection:
        connection.execute(update(LOCATION).values(added_at=now(connection) - micros))
        at = now(connection) - micros
        connection.execute(text("ALTER TABLE catalogue_entry DISABLE TRIGGER catalogue_entry_no_change"))
        connection.execute(update(CATALOGUE_ENTRY).where(CATALOGUE_ENTRY.c.kind == "location").values(known_from=at))
        connection.execute(text("ALTER TABLE catalogue_entry ENABLE TRIGGER catalogue_entry_no_change"))


def make_until_stopped(url: str, folder: Path) -> None:
    """A process that makes what is due, again and again, and writes how many it made."""
    engine = postgres_engine(url)
    made = 0
    maker = MorningMaker(engine, mailed=True, new_id=IdFactory(), counted=lambda _: None)
    print("ready")
    while not (folder / "stop").exists():
        made += maker.step()
    print(f"made {made} in all")
    engine.dispose()
