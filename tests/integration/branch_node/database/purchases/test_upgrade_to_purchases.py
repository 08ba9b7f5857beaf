"""A branch of before: its log has deliveries against orders already, and its cursor has passed over the orders."""

from __future__ import annotations

from sqlalchemy import create_engine, insert, select, text

from branch_node.database.purchases.delivered_line_verification import verify_delivered_lines
from branch_node.database.schema import DELIVERED_LINE, LOCATION, LOG, VERSION_TABLE
from branch_node.database.store import MIGRATIONS
from shared.catalogue_messages import CATALOGUE_START
from shared.chain import EMPTY, Head, seal
from shared.event_log import append, create_head
from shared.events import Reference
from shared.runtime.database.migrations import migrate
from tests.integration.branch_node.database.test_schema import database_at
from tests.support.branch import HERE
from tests.support.events import NOON, an_event


def test_deliveries_are_read_from_the_log_and_the_catalogue_is_pulled_again(any_url: str) -> None:
    line = Reference(id="PO-7", kind="purchase-order", line=2)
    events = [
        an_event("PURCHASE_RECEIVED", seed=1, quantity=5_000, reference=line),
        an_event("PURCHASE_RECEIVED", seed=2, quantity=1_000, reference=Reference(id="PO-7", kind="purchase-order")),
        an_event("PURCHASE_RECEIVED", seed=3, quantity=1_000, reference=Reference(id="PO-7", kind="note", line=2)),
        an_event("ORDER_DEDUCTION", seed=4, quantity=1_000, reference=line),
        an_event("PURCHASE_RETURNED", seed=5, quantity=2_000, reference=line),
        an_event("PURCHASE_RECEIVED", seed=6, quantity=1_000, note='"purchase-order"'),
    ]
    with database_at(any_url, "0016") as connection:
        connection.execute(
            insert(LOCATION).values(
                location_id=HERE.location_id, name="Hamra", timezone="Asia/Beirut", day_start=240, replaying=False
            )
        )
        columns = "(location_id, catalogue_version, catalogue_hash, instructions_after)"
        connection.execute(text(f"INSERT INTO sync_state {columns} VALUES ('BEY-01', 7, '{'ab' * 32}', 3)"))
        create_head(connection, LOG, HERE.location_id)
        head, sealed = EMPTY, []
        for event in events:
            sealed.append(seal(event, head, NOON))
            head = Head(event.epoch, event.sequence, sealed[-1].hash)
        append(connection, LOG, sealed)
    engine = create_engine(any_url)
    migrate(engine, MIGRATIONS, VERSION_TABLE)
    with engine.begin() as connection:
        rows = [tuple(row) for row in connection.execute(select(DELIVERED_LINE).order_by(DELIVERED_LINE.c.sequence))]
        assert verify_delivered_lines(connection, lambda _: None) == []
        cursor = connection.execute(text("SELECT catalogue_version, catalogue_hash FROM sync_state")).one()
    item = events[0].item_id
    assert rows == [
        (1, "PO-7", 2, item, 5_000, 0, events[0].occurred_at),
        (5, "PO-7", 2, item, 0, 2_000, events[4].occurred_at),
    ]
    assert tuple(cursor) == (0, CATALOGUE_START)
    engine.dispose()
