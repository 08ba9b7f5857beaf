"""The purchasing report over real logs: what is to be ordered, as of a moment, known at one."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Engine, text

from head_office.catalogue import items
from head_office.catalogue.location_levels import LevelChange, put_levels
from head_office.database.schema import now
from head_office.reports.known_at import report_snapshot
from head_office.reports.purchasing.purchasing_records import LocationState, PurchasingReport, PurchasingRow
from head_office.reports.purchasing.purchasing_report import purchasing_report
from head_office.transfers import instructions
from shared.catalogue_messages import CatalogueItem
from shared.levels.reorder_levels import ReorderLevel
from shared.messages import Instruction, InstructionLine, InstructionStep
from shared.runtime.clock import DAY
from tests.support.consolidation import Branch
from tests.support.events import an_event


def report(office: Engine, known_at: int | None = None, **options: Any) -> PurchasingReport:
    """The report of now, or as it was known at a moment."""
    moment = known_at
    if moment is None:
        with office.connect() as connection:
            moment = now(connection)
    with report_snapshot(office, moment) as (connection, settled):
        assert settled is not None
        options = {"location_ids": None, "as_of": None, "given": known_at is not None, **options}
        return purchasing_report(connection, known_at=settled, **options)


def rows(found: PurchasingReport) -> dict[tuple[str, str], PurchasingRow]:
    return {(row.location_id, row.item_id): row for row in found.rows}


def moment(office: Engine) -> int:
    with office.connect() as connection:
        return now(connection)


def test_one_item_by_the_formulas(group_office: Engine) -> None:
    with group_office.begin() as connection:
        items.put(connection, [CatalogueItem(item_id="tomato", name="Tomatoes", unit="kg")])
        level = ReorderLevel(reorder_point=20_000, order_up_to=50_000, pack_size=6_000, lead_days=1)
        put_levels(connection, [LevelChange("BEY-01", "tomato", level), LevelChange("BEY-02", "tomato", level)])
    at = moment(group_office)
    branch = Branch("BEY-01").record(
        [
            an_event(
                "PURCHASE_RECEIVED", seed=1, item_id="tomato", unit="kg", quantity=30_000, occurred_at=at - 10 * DAY
            ),
            an_event("ORDER_DEDUCTION", seed=2, item_id="tomato", unit="kg", quantity=13_000, occurred_at=at - 3 * DAY),
            an_event("ORDER_DEDUCTION", seed=3, item_id="tomato", unit="kg", quantity=1_000, occurred_at=at),
        ]
    )
    branch.ship(group_office)
    before = report(group_office)
    row = rows(before)["BEY-01", "tomato"]
    assert (row.on_hand, row.projected, row.to_order, row.packs) == (16_000, 16_000, 36_000, 6)
    assert (row.daily_usage, row.days_left, row.suggested_reorder_point) == (1_300, 123, 4_000)
    assert (row.name, row.unit, row.flags, row.location_state) == ("Tomatoes", "kg", (), LocationState.FRESH)
    assert rows(before)["BEY-02", "tomato"].to_order == 54_000
    assert [each.location_id for each in before.locations] == ["BEY-02", "WH-1", "BEY-01"]
    _send(group_office, "t1", 2_000)
    later = rows(report(group_office))
    assert later["BEY-01", "tomato"].in_transit == 2_000
    assert ("BEY-02", "tomato") in later
    assert before.known_at is not None
    assert list(report(group_office, before.known_at).rows) == list(before.rows)


def test_where_goods_were_going_is_known_after_their_instructions_are_gone(group_office: Engine) -> None:
    with group_office.begin() as connection:
        items.put(connection, [CatalogueItem(item_id="tomato", name="Tomatoes", unit="kg")])
        level = ReorderLevel(reorder_point=20_000, order_up_to=50_000)
        put_levels(connection, [LevelChange("BEY-01", "tomato", level)])
    _send(group_office, "t1", 2_000)
    at = moment(group_office)
    assert rows(report(group_office, at))["BEY-01", "tomato"].in_transit == 2_000
    moved = {"item_id": "tomato", "unit": "kg", "quantity": 2_000, "transfer_id": "t1", "transfer_line": 1}
    Branch("BEY-01").record([an_event("TRANSFER_IN", seed=5, **moved, occurred_at=at)]).ship(group_office)
    with group_office.begin() as connection:
        connection.execute(text("DELETE FROM instruction"))
    assert rows(report(group_office, at))["BEY-01", "tomato"].in_transit == 2_000
    assert rows(report(group_office))["BEY-01", "tomato"].in_transit == 0


def _send(office: Engine, transfer_id: str, quantity: int) -> None:
    with office.begin() as connection:
        instructions.put(
            connection,
            [
                Instruction(
                    transfer_id=transfer_id,
                    step=InstructionStep.OUT,
                    token=1,
                    location_id="WH-1",
                    source="WH-1",
                    destination="BEY-01",
                    lines=(InstructionLine(line=1, item_id="tomato", quantity=quantity, unit="kg"),),
                )
            ],
        )
    out = an_event(
        "TRANSFER_OUT", seed=9, item_id="tomato", unit="kg", quantity=quantity, transfer_id=transfer_id, transfer_line=1
    )
    Branch("WH-1").record([msgspec.structs.replace(out, occurred_at=moment(office))]).ship(office)
