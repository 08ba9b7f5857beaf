"""The catalogue: versions, the chain, what each reader is told, units, and changes at the same time."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from head_office.catalogue import api_keys, catalogue_history, items, location_levels, locations
from head_office.catalogue.location_levels import LevelChange
from head_office.database.schema import ITEM_UNIT
from shared.catalogue_messages import (
    CATALOGUE_START,
    CatalogueDiverged,
    CatalogueEntry,
    CatalogueItem,
    CatalogueLevel,
    CatalogueLocation,
    CataloguePurchaseOrder,
    level_change,
    read_catalogue_page,
)
from shared.levels.reorder_levels import ReorderLevel
from shared.purchases.purchase_orders import PurchaseOrder, PurchaseOrderLine
from shared.runtime.http.scopes import Role
from shared.runtime.problems import Problem


def milk(**fields: object) -> CatalogueItem:
    return CatalogueItem(**{"item_id": "milk", "name": "Milk", "unit": "l", **fields})  # type: ignore[arg-type]


def pull(office: Engine, location: str | None, limit: int = 1_000) -> tuple[list[CatalogueEntry], int, str]:
    """Everything that a reader is told, each page verified as it would be, and where the reader then stands."""
    version, digest = 0, CATALOGUE_START
    told: list[CatalogueEntry] = []
    while True:
        with office.connect() as connection:
            sent = msgspec.json.encode(catalogue_history.page(connection, version, limit, location))
        page = read_catalogue_page(sent, version, digest)
        told += page.entries
        if page.entries:
            version, digest = page.entries[-1].version, page.entries[-1].hash
        if not page.more:
            return told, version, digest


def contents(told: list[CatalogueEntry]) -> list[object]:
    return [each.item or each.key or each.reorder_level or each.location for each in told]


def test_putting_the_same_item_again_makes_no_version(office: Engine) -> None:
    with office.begin() as connection:
        assert items.put(connection, [milk(), milk(item_id="rice", unit="kg")]) == ["added", "added"]
        before = catalogue_history.read_head(connection)
        assert items.put(connection, [milk()]) == ["unchanged"]
        assert catalogue_history.read_head(connection) == before
        assert items.put(connection, [milk(strict_at=("WH-1", "BEY-01", "WH-1"))]) == ["changed"]
        assert items.read(connection, "milk").strict_at == ("BEY-01", "WH-1")
        assert catalogue_history.read_head(connection).version == before.version + 1
        assert catalogue_history.verify(connection) == before.version + 1


def test_a_unit_is_fixed_after_the_first_event(office: Engine) -> None:
    with office.begin() as connection:
        items.put(connection, [milk()])
        assert items.put(connection, [milk(unit="ml")]) == ["changed"]
        connection.execute(
            ITEM_UNIT.insert(), {"location_id": "BEY-01", "item_id": "milk", "unit": "ml", "sequence": 1}
        )
        with pytest.raises(Problem) as refused:
            items.put(connection, [milk(item_id="rice"), milk(unit="l")])
        assert refused.value.code == "unit-fixed"
        assert refused.value.extras["units"] == ["ml"]
        # Another branch used another unit: what the catalogue says stays as it is, and nothing third is let in.
        connection.execute(ITEM_UNIT.insert(), {"location_id": "BEY-02", "item_id": "milk", "unit": "l", "sequence": 1})
        for unit in ("l", "cl"):
            with pytest.raises(Problem):
                items.put(connection, [milk(unit=unit)])
        assert items.put(connection, [milk(unit="ml", name="Whole milk")]) == ["changed"]


@pytest.mark.parametrize(
    ("item", "code"),
    [
        (milk(item_id="mi\u200blk"), "invalid-request"),
        (milk(item_id="cafe\u0301"), "invalid-request"),
        (milk(unit=" l"), "invalid-request"),
        (milk(name=" "), "invalid-request"),
        (milk(barcode="\x00"), "invalid-request"),
        (milk(strict_at=("NOWHERE",)), "unknown-location"),
    ],
)
def test_an_item_that_cannot_be_is_refused_whole(office: Engine, item: CatalogueItem, code: str) -> None:
    with office.begin() as connection:
        with pytest.raises(Problem) as refused:
            items.put(connection, [milk(item_id="rice"), item])
        assert refused.value.code == code
        assert items.list_items(connection) == []


@pytest.mark.parametrize(
    "location",
    [
        CatalogueLocation(location_id="X", name="X", timezone="Asia/Nowhere", day_start=0),
        CatalogueLocation(location_id="X", name="X", timezone="../etc/passwd", day_start=0),
        CatalogueLocation(location_id="X", name="X", timezone="Asia/Beirut", day_start=1_440),
        CatalogueLocation(location_id="X ", name="X", timezone="Asia/Beirut", day_start=0),
    ],
)
def test_a_location_that_cannot_be_is_refused(office: Engine, location: CatalogueLocation) -> None:
    with office.begin() as connection, pytest.raises(Problem) as refused:
        locations.add(connection, location)
    assert refused.value.code == "invalid-request"


@pytest.fixture
def a_system_with_more_than_zones(tmp_path: Path) -> Iterator[None]:
    for name in ("localtime", "posixrules", "Factory"):
        (tmp_path / name).write_bytes(b"TZif")
    zoneinfo.reset_tzpath([*zoneinfo.TZPATH, str(tmp_path)])
    locations._zones.cache_clear()
    yield
    zoneinfo.reset_tzpath()
    locations._zones.cache_clear()


@pytest.mark.usefixtures("a_system_with_more_than_zones")
@pytest.mark.parametrize("timezone", ["localtime", "posixrules", "Factory", "", "asia/beirut", "Asia", "posix/UTC"])
def test_what_is_no_zone_of_its_own_is_refused(office: Engine, timezone: str) -> None:
    """Whatever the system keeps in the folder of its zones."""
    with office.begin() as connection:
        old = locations.read(connection, "BEY-01")
        for act, location_id in ((locations.add, "NEW"), (locations.change, "BEY-01")):
            with pytest.raises(Problem) as refused:
                act(connection, msgspec.structs.replace(old, location_id=location_id, timezone=timezone))
            assert refused.value.code == "invalid-request"
            assert "no time zone" in msgspec.json.encode(refused.value.body(recording=True)).decode()
        locations.change(connection, msgspec.structs.replace(old, timezone="Etc/GMT-3"))


def test_a_location_is_added_once_and_changed(office: Engine) -> None:
    with office.begin() as connection:
        old = locations.read(connection, "BEY-01")
        with pytest.raises(Problem) as refused:
            locations.add(connection, old)
        assert refused.value.code == "location-exists"
        new = CatalogueLocation(location_id="BEY-01", name="Hamra", timezone="Europe/Paris", day_start=0)
        locations.change(connection, new)
        assert locations.read(connection, "BEY-01") == new
        version = catalogue_history.read_head(connection).version
        locations.change(connection, new)
        assert catalogue_history.read_head(connection).version == version


def test_the_time_of_its_report_is_no_matter_of_its_branch(office: Engine) -> None:
    with office.begin() as connection:
        old = locations.read(connection, "BEY-01")
        version = catalogue_history.read_head(connection).version
        locations.change(connection, old, 5 * 60 + 45)
        assert locations.report_times(connection, ["BEY-01", "WH-1"]) == {"BEY-01": 345, "WH-1": locations.REPORT_TIME}
        assert catalogue_history.read_head(connection).version == version
        locations.change(connection, msgspec.structs.replace(old, name="Hamra"))
        assert locations.report_times(connection, ["BEY-01"]) == {"BEY-01": 345}
        for time in (-1, 1_440):
            with pytest.raises(Problem) as refused:
                locations.change(connection, old, time)
            assert refused.value.code == "invalid-request"


def test_a_branch_is_told_what_is_for_it_and_nothing_else(office: Engine) -> None:
    with office.begin() as connection:
        items.put(connection, [milk()])
        level = ReorderLevel(reorder_point=1, order_up_to=2)
        location_levels.put_levels(connection, [LevelChange(place, "milk", level) for place in ("BEY-01", "BEY-02")])
        made = {
            name: api_keys.issue(connection, role, place).key_id
            for name, role, place in (
                ("admin", Role.ADMIN, None),
                ("manager", Role.MANAGER, None),
                ("viewer", Role.VIEWER, None),
                ("own", Role.STAFF, "BEY-01"),
                ("other", Role.MANAGER, "BEY-02"),
                ("node", Role.BRANCH, "BEY-01"),
                ("coordinator", Role.COORDINATOR, None),
            )
        }
        api_keys.revoke(connection, made["own"])
        newest = catalogue_history.read_head(connection)
    for limit in (1, 2, 1_000):
        told, version, digest = pull(office, "BEY-01", limit)
        assert (version, digest) == newest
        seen = contents(told)
        assert [each.item_id for each in seen if isinstance(each, CatalogueItem)] == ["milk"]
        assert [each for each in seen if isinstance(each, CatalogueLevel)] == [level_change("BEY-01", "milk", level)]
        assert [each.location_id for each in seen if isinstance(each, CatalogueLocation)] == ["BEY-01"]
        key_ids = [each.key.key_id for each in told if each.key]
        assert key_ids == [made[name] for name in ("admin", "manager", "viewer", "own", "own")]
        assert [each.key.revoked_at is None for each in told if each.key] == [True, True, True, True, False]
    everything = contents(pull(office, None)[0])
    assert not any(isinstance(each, CatalogueLevel) for each in everything)
    assert len([each for each in everything if isinstance(each, CatalogueLocation)]) == 3


def test_a_restored_catalogue_is_noticed(office: Engine) -> None:
    with office.begin() as connection:
        items.put(connection, [milk()])
    _, version, digest = pull(office, "BEY-01")
    with office.connect() as connection:
        assert catalogue_history.page(connection, version + 1, 10, "BEY-01").previous is None
        behind = msgspec.json.encode(catalogue_history.page(connection, version, 10, "BEY-01"))
    assert read_catalogue_page(behind, version, digest).entries == []
    with pytest.raises(CatalogueDiverged):
        read_catalogue_page(behind, version, "ab" * 32)


def test_its_history_cannot_be_changed_and_a_change_would_be_found(office: Engine) -> None:
    with office.begin() as connection:
        items.put(connection, [milk()])
    with office.connect() as connection, pytest.raises(IntegrityError, match="append-only"):
        connection.execute(text("UPDATE catalogue_entry SET content = '{}'"))
    with office.begin() as connection:
        connection.execute(text("ALTER TABLE catalogue_entry DISABLE TRIGGER ALL"))
        connection.execute(text("UPDATE catalogue_entry SET content = replace(content, 'Milk', 'Silk')"))
        with pytest.raises(catalogue_history.CatalogueBroken) as broken:
            catalogue_history.verify(connection)
        assert broken.value.version == 4


def test_changes_at_the_same_time_make_one_chain(office: Engine) -> None:
    def change(number: int) -> None:
        with office.begin() as connection:
            if number % 3:
                items.put(connection, [milk(item_id=f"item-{number}"), milk(item_id="shared", name=f"N{number}")])
            else:
                api_keys.issue(connection, Role.STAFF, "BEY-02")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(change, range(30)))
    with office.connect() as connection:
        assert catalogue_history.verify(connection) == 3 + 20 * 2 + 10
    assert pull(office, "BEY-02", 7)[1] == 53


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_split_into_pages_tells_the_same(office: Engine, data: st.DataObject) -> None:
    with office.begin() as connection:
        for _ in range(data.draw(st.integers(1, 8))):
            choice = data.draw(st.sampled_from(["item", "level", "key", "foreign key"]))
            if choice == "item":
                items.put(connection, [milk(name=data.draw(st.sampled_from(["A", "B", "C"])))])
            elif choice == "level":
                items.put(connection, [milk(item_id="rice")])
                place = data.draw(st.sampled_from(["BEY-01", "BEY-02"]))
                target = data.draw(st.integers(0, 5))
                level = ReorderLevel(reorder_point=0, order_quantity=target) if target else None
                location_levels.put_levels(connection, [LevelChange(place, "rice", level)])
            else:
                api_keys.issue(connection, Role.STAFF, "BEY-01" if choice == "key" else "BEY-02")
        newest = catalogue_history.read_head(connection)
    whole = [each for each in contents(pull(office, "BEY-01")[0]) if each is not None]
    for limit in (1, 3):
        told, version, digest = pull(office, "BEY-01", limit)
        assert (version, digest) == newest
        assert [each for each in contents(told) if each is not None] == whole


def test_a_page_is_bounded_by_the_bytes_of_its_content(office: Engine) -> None:
    lines = tuple(
        PurchaseOrderLine(line=line, item_id=f"item-{line:03}", unit="kg", quantity=line * 1_000)
        for line in range(1, 201)
    )
    orders = [
        PurchaseOrder(
            purchase_order_id=f"PO-{number}", location_id="BEY-01", supplier_id="farm", lines=lines, created_at=0
        )
        for number in range(20)
    ]
    with office.begin() as connection:
        for order in orders:
            entry = CataloguePurchaseOrder(purchase_order_id=order.purchase_order_id, order=order)
            catalogue_history.publish(connection, [catalogue_history.Change(entry, "BEY-01")])
    size = len(msgspec.json.encode(CataloguePurchaseOrder(purchase_order_id="PO-1", order=orders[0])))
    for max_bytes in (1, size, 3 * size + 100, 7 * size + 100, 10**9):
        version, digest, pages = 0, CATALOGUE_START, []
        more = True
        while more:
            with office.connect() as connection:
                sent = msgspec.json.encode(
                    catalogue_history.page(connection, version, 1_000, "BEY-01", max_bytes=max_bytes)
                )
            page = read_catalogue_page(sent, version, digest)
            held = [each.purchase_order.order for each in page.entries if each.purchase_order is not None]
            sizes = [len(each) for each in map(msgspec.json.encode, held)]
            assert sum(sizes) <= max_bytes or len(held) == 1
            pages.append(held)
            version, digest, more = page.entries[-1].version, page.entries[-1].hash, page.more
        assert [order for held in pages for order in held] == orders
