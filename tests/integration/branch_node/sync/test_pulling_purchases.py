"""Suppliers and orders to them as branches pull them, of the real head office and of one that was restored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from branch_node.commands.purchases.receive_inputs import ReceiveContent, ReceivedLine
from branch_node.commands.purchases.receive_order import ReceiveOrder
from branch_node.database.purchases.delivered_line_verification import verify_delivered_lines
from branch_node.database.purchases.pulled_order_lists import read_purchase_order
from branch_node.database.purchases.pulled_order_rows import purchase_orders_where, supplier_names
from head_office.catalogue.catalogue_history import Change, publish
from shared.catalogue_messages import CatalogueItem, CataloguePurchaseOrder, CatalogueSupplier
from shared.purchases.purchase_orders import PurchaseOrder, PurchaseOrderState, closed_order
from shared.purchases.suppliers import Supplier
from tests.integration.branch_node.sync.test_with_head_office import A, B, Group, two_locations
from tests.support.branch_rig import BranchRig
from tests.support.pulled_orders import FARM, purchase_order

MILK = (("milk", "l", 10_000),)


@pytest.fixture
def group(postgres_url_factory: Callable[..., str], tmp_path: Path) -> Iterator[Group]:
    for place in (A, B):
        (tmp_path / place).mkdir()
    made = Group(postgres_url_factory(two_locations), tmp_path)
    yield made
    made.close()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[BranchRig]:
    made = BranchRig(tmp_path)
    yield made
    made.close()


def state(group: Group, *stated: PurchaseOrder | Supplier | str) -> None:
    """Publish orders for their locations, suppliers for all; a text is the id of a supplier that is removed."""
    changes = []
    for each in stated:
        if isinstance(each, PurchaseOrder):
            entry = CataloguePurchaseOrder(purchase_order_id=each.purchase_order_id, order=each)
            changes.append(Change(entry, each.location_id))
        elif isinstance(each, Supplier):
            changes.append(Change(CatalogueSupplier(supplier_id=each.supplier_id, supplier=each)))
        else:
            changes.append(Change(CatalogueSupplier(supplier_id=each)))
    with group.engine.begin() as connection:
        publish(connection, changes)


def orders(rig: BranchRig) -> list[PurchaseOrder]:
    with rig.store.reading() as connection:
        return purchase_orders_where(connection)


def suppliers(rig: BranchRig) -> dict[str, str]:
    with rig.store.reading() as connection:
        return supplier_names(connection, ("farm", "roaster"))


def receive(rig: BranchRig, quantity: int, key: str = "key-1") -> None:
    content = ReceiveContent(purchase_order_id="PO-000001", lines=(ReceivedLine(line=1, quantity=quantity, lot="L1"),))
    (outcome,) = rig.writer.commit([ReceiveOrder(content, key=key, actor="staff-1")])
    assert not isinstance(outcome, BaseException), outcome


def test_each_branch_has_its_own_orders_and_the_groups_suppliers(group: Group) -> None:
    here, there = purchase_order(lines=MILK), purchase_order("PO-000002", MILK, location_id=B)
    state(group, FARM, Supplier(supplier_id="roaster", name="Roaster"), here, there)
    group.sync()
    a, b = group.branches[A], group.branches[B]
    assert (orders(a), orders(b)) == ([here], [there])
    assert suppliers(a) == suppliers(b) == {"farm": "Farm of the valley", "roaster": "Roaster"}
    receive(a, 4_000)
    group.sync()
    assert group.logs_are_equal(A)
    stated = closed_order(here, None, "the farm has no more")
    state(group, stated, Supplier(supplier_id="farm", name="Farm"), "roaster")
    group.sync()
    assert orders(a) == [stated]
    assert suppliers(a) == suppliers(b) == {"farm": "Farm"}
    with a.store.reading() as connection:
        record = read_purchase_order(connection, "PO-000001")
        assert record is not None
        assert (record.state, record.close_reason) == (PurchaseOrderState.CLOSED, "the farm has no more")
        assert (bytes(record.lines[0].received), bytes(record.lines[0].open)) == (b"4", b"0")
        assert verify_delivered_lines(connection, lambda _: None) == []


def test_with_the_line_cut_an_order_is_received_by_what_was_pulled_last(group: Group) -> None:
    state(group, FARM, purchase_order(lines=MILK))
    group.sync(A)
    a = group.branches[A]
    a.restart()
    # Nothing is pulled or shipped here.
    receive(a, 9_500)
    receive(a, 500, key="key-2")
    with a.store.reading() as connection:
        record = read_purchase_order(connection, "PO-000001")
    assert record is not None
    assert record.state is PurchaseOrderState.RECEIVED
    group.sync(A)
    assert group.logs_are_equal(A)


def test_what_a_restored_head_office_does_not_know_is_dropped(rig: BranchRig) -> None:
    def tell(*stated: PurchaseOrder | Supplier) -> None:
        for each in stated:
            if isinstance(each, Supplier):
                rig.office.publish(supplier=CatalogueSupplier(supplier_id=each.supplier_id, supplier=each))
            else:
                entry = CataloguePurchaseOrder(purchase_order_id=each.purchase_order_id, order=each)
                rig.office.publish(purchase_order=entry)

    kept, lost = purchase_order(lines=MILK), purchase_order("PO-000002", MILK)
    rig.office.publish(item=CatalogueItem(item_id="milk", name="Milk", unit="l"))
    tell(FARM, kept, Supplier(supplier_id="roaster", name="Roaster"), lost)
    rig.ship()
    rig.pull()
    assert orders(rig) == [kept, lost]
    receive(rig, 4_000)
    del rig.office.catalogue[3:]
    # Stated again under an id that was given before.
    other = purchase_order("PO-000003", MILK)
    tell(other)
    rig.office.publish(item=CatalogueItem(item_id="cream", name="Cream", unit="l"))
    rig.ship()
    rig.pull()
    rig.puller.step()
    rig.pull()
    assert orders(rig) == [kept, other]
    assert suppliers(rig) == {"farm": "Farm of the valley"}
    with rig.store.reading() as connection:
        record = read_purchase_order(connection, "PO-000001")
    assert record is not None
    assert bytes(record.lines[0].received) == b"4"


def test_an_order_for_another_location_is_not_taken(rig: BranchRig) -> None:
    order = purchase_order(lines=MILK, location_id="TRI-01")
    rig.office.publish(purchase_order=CataloguePurchaseOrder(purchase_order_id="PO-000001", order=order))
    rig.ship()
    rig.pull()
    assert orders(rig) == []
    assert rig.reader.sync_state().catalogue_version == 1
