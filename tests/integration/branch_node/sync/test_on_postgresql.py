"""The same agent where the branch's database is PostgreSQL."""

from __future__ import annotations

from pathlib import Path

from branch_node.database.verification import verify_chain, verify_projection
from branch_node.sync.shipping_status import ShippingState
from shared.catalogue_messages import CatalogueItem, CatalogueKey, CatalogueLevel
from shared.messages import Instruction, InstructionLine, InstructionStep
from tests.support.branch_rig import BranchRig


def test_ship_pull_transfer_and_verify(tmp_path: Path, pg_database: str) -> None:
    rig = BranchRig(tmp_path, url=pg_database)
    office = rig.office
    office.publish(item=CatalogueItem(item_id="milk", name="Milk", unit="l"))
    office.publish(key=CatalogueKey(key_id="k1", key_hash="11" * 32, role="staff"))
    office.publish(reorder_level=CatalogueLevel(location_id=rig.location_id, item_id="milk", level=1, target=2))
    rig.ship()
    rig.pull()
    rig.record(5_000, 1_000)
    lines = (InstructionLine(1, "milk", 2_000, "l"),)
    here, there = rig.location_id, "TRI-01"
    made = {"transfer_id": "t1", "source": here, "destination": there, "lines": lines, "location_id": here}
    for token, step in enumerate((InstructionStep.OUT, InstructionStep.REVERSE), start=1):
        office.ask(Instruction(step=step, token=token, **made))  # type: ignore[arg-type]
        rig.pull()
        rig.pull()
        rig.ship()
    assert office.lines == rig.lines()
    assert len(office.lines) == 4
    assert rig.on_hand("milk") == 6_000
    rig.restart()
    rig.ship()
    rig.pull()
    assert rig.state is ShippingState.OK
    assert len(rig.lines()) == 4
    with rig.store.reading() as connection:
        assert verify_chain(connection, here, lambda _: None, deep=True) is None
        assert verify_projection(connection, here, lambda _: None) == []
    rig.close()
