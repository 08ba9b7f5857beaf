"""Every GET of head office, pages too, takes as many statements at 300 locations as at 3."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine
from starlette.testclient import TestClient

from head_office.catalogue import api_keys, item_proposals, items, location_levels, locations
from head_office.catalogue.location_levels import LevelChange
from head_office.main import HeadOfficeService, build
from head_office.settings import HeadOfficeSettings
from head_office.transfers import instructions
from shared.catalogue_messages import CatalogueItem, CatalogueLocation
from shared.events import Definition
from shared.levels.reorder_levels import ReorderLevel
from shared.messages import Instruction, InstructionLine, InstructionStep
from tests.integration.head_office.api.test_access import TABLE
from tests.integration.head_office.api.test_database_away import StandingClock
from tests.integration.head_office.conftest import PLACES, WHO, Api
from tests.support.branch_log import BranchLog
from tests.support.statements import noted_statements
from tests.support.waiting import wait_until

PAGES = ("/stock", "/stock?q=milk", "/explain?location_id=BEY-01&item_id=milk", "/transfers")
FILTERED = (
    *(f"/v1/{path}?item_id={code}" for path in ("stock", "events", "reports/variance", "reports/in-transit")
      for code in ("milk", "own-code")),
    "/v1/events?transfer_id=t-1", "/v1/stock/own-code", "/v1/reservations/r-1",
    "/v1/reservations?item_id=milk&state=ACTIVE",
)  # fmt: skip
LINES = (InstructionLine(1, "milk", 1_000, "l"),)


def fill(office: Engine, numbers: range) -> None:
    """Give each location stock, a count, a transfer on its way, an instruction, a level, and an item of its own."""
    with office.begin() as connection:
        items.put(connection, [CatalogueItem(item_id="milk", name="Milk", unit="l")])
    for number in numbers:
        name = PLACES[number] if number < len(PLACES) else f"SHOP-{number:03d}"
        log = BranchLog(name)
        log.record("ITEM_DEFINED", item_id=f"own-{number}", definition=Definition(name="Own", unit="l"))
        log.record("PURCHASE_RECEIVED", quantity=5_000)
        log.record("STOCKTAKE", counted=4_000, expected=5_000)
        log.record("PURCHASE_RECEIVED", item_id="own-code", quantity=1_000)
        reserved = {"reservation_id": f"r-{number}", "expires_at": 2**52}
        log.record("STOCK_RESERVED", item_id="own-code", quantity=500, **reserved)
        log.record("TRANSFER_OUT", transfer_id=f"t-{number}", transfer_line=1, quantity=1_000)
        asked = Instruction(
            transfer_id=f"t-{number}", step=InstructionStep.IN, token=1, location_id=name,
            source="BEY-02" if name == "BEY-01" else "BEY-01", destination=name, lines=LINES,
        )  # fmt: skip
        with office.begin() as connection:
            if number >= len(PLACES):
                place = CatalogueLocation(location_id=name, name=name, timezone="UTC", day_start=0)
                locations.add(connection, place)
            log.ship(connection)
            instructions.put(connection, [asked])
            level = ReorderLevel(reorder_point=9_000, order_up_to=9_001)
            location_levels.put_levels(connection, [LevelChange(name, "milk", level)])
            item_proposals.map_to(connection, name, "own-code", "milk")


def statements(api: Api, service: HeadOfficeService) -> dict[str, int]:
    """How many statements each GET takes, once its key is known."""
    signed = api.client.post("/sign-in", data={"key": api.keys["manager"], "next": "/stock"})
    assert signed.status_code == 200, signed.text
    found: dict[str, int] = {}
    gets = [
        (path, "branch" if "branch" in allowed else sorted(allowed)[0])
        for m, path, _, allowed in TABLE
        if m == "GET" and "/stream" not in path
    ]
    for path, who in [*gets, *((path, "viewer") for path in FILTERED), *((page, None) for page in PAGES)]:
        for _ in range(2):
            with noted_statements(service.engine) as ran:
                answer = api.client.get(path) if who is None else api.call(who, "GET", path)
            assert answer.status_code == 200, (path, answer.text)
        found[path] = len(ran)
    return found


@pytest.fixture
def service(office_url: str, tmp_path: Path) -> HeadOfficeService:
    settings = HeadOfficeSettings(dir=tmp_path, database_url=SecretStr(office_url), threads=4, ingests=2)
    return build(settings, StandingClock())


def test_a_route_takes_as_many_statements_at_300_locations_as_at_3(office: Engine, service: HeadOfficeService) -> None:
    with office.begin() as connection:
        keys = {who: api_keys.issue(connection, role, place).text for who, (role, place) in WHO.items()}
    fill(office, range(3))
    with TestClient(service.app, base_url="https://testserver", raise_server_exceptions=False) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200, what="head office")
        api = Api(client, keys)
        few = statements(api, service)
        fill(office, range(3, 300))
        many = statements(api, service)
    assert many == few
    assert max(many.values()) <= 25, many
