"""Suppliers, orders and levels as they were known at a moment, against a model that remembers every state."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from head_office.catalogue import items
from head_office.catalogue.catalogue_history import Change, lock, publish
from head_office.catalogue.location_levels import LevelChange, LocationLevel, levels_known, put_levels
from head_office.catalogue.purchases.purchase_history import orders_known, suppliers_known
from shared.catalogue_messages import CatalogueItem, CataloguePurchaseOrder, CatalogueSupplier
from shared.levels.reorder_levels import ReorderLevel
from shared.purchases.purchase_orders import PurchaseOrder, PurchaseOrderLine, closed_order
from shared.purchases.suppliers import Supplier

PLACES = ("BEY-01", "BEY-02", "WH-1")
ITEMS = ("milk", "rice")
SUPPLIERS = ("farm", "mill")
ORDERS = tuple((f"PO-{place}-{number}", place) for place in PLACES for number in (1, 2))

quantities = st.integers(1, 50_000)
levels = st.none() | st.builds(
    lambda point, above, pack: ReorderLevel(reorder_point=point, order_up_to=point + above, pack_size=pack),
    st.integers(0, 50_000),
    quantities,
    st.none() | quantities,
)
suppliers = st.none() | st.builds(
    lambda name, lead: (name, lead), st.sampled_from(("One", "Two")), st.none() | st.integers(0, 9)
)
orders = st.tuples(st.lists(st.tuples(st.sampled_from(ITEMS), quantities, st.booleans()), min_size=1, max_size=3))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("level"), st.sampled_from(PLACES), st.sampled_from(ITEMS), levels),
        st.tuples(st.just("supplier"), st.sampled_from(SUPPLIERS), suppliers),
        st.tuples(st.just("order"), st.sampled_from(ORDERS), orders),
    ),
    max_size=12,
)
NOTHING = ([("milk", 1, True)],)
"""An order of which nothing is open: the history has what examples before wrote."""


def an_order(name: tuple[str, str], lines: list[tuple[str, int, bool]]) -> PurchaseOrder:
    return PurchaseOrder(
        purchase_order_id=name[0],
        location_id=name[1],
        supplier_id="farm",
        created_at=0,
        lines=tuple(
            PurchaseOrderLine(line=place, item_id=item, unit="kg", quantity=quantity, closed=closed)
            for place, (item, quantity, closed) in enumerate(lines, 1)
        ),
    )


class Model:
    """What stands, and all that ever stood by the moment from which it was known."""

    def __init__(self) -> None:
        self.levels: dict[tuple[str, str], ReorderLevel] = {}
        self.suppliers: dict[str, Supplier] = {}
        self.orders: dict[str, PurchaseOrder] = {}

    def expected(self, places: list[str]) -> tuple[Any, ...]:
        return (
            [LocationLevel(*key, level) for key, level in sorted(self.levels.items()) if key[0] in places],
            dict(self.suppliers),
            sorted(
                (
                    each
                    for each in self.orders.values()
                    if each.location_id in places and not all(line.closed for line in each.lines)
                ),
                key=lambda each: (each.location_id, each.purchase_order_id),
            ),
        )


def known(connection: Connection, places: list[str], moment: int) -> tuple[Any, ...]:
    return (
        levels_known(connection, places, moment),
        suppliers_known(connection, moment),
        orders_known(connection, places, moment),
    )


def apply(connection: Connection, model: Model, step: Any) -> None:
    kind, *rest = step
    if kind == "level":
        place, item, level = rest
        put_levels(connection, [LevelChange(place, item, level)])
        model.levels.pop((place, item), None)
        if level is not None:
            model.levels[place, item] = level
    elif kind == "supplier":
        code, said = rest
        supplier = None if said is None else Supplier(supplier_id=code, name=said[0], lead_days=said[1])
        publish(connection, [Change(CatalogueSupplier(supplier_id=code, supplier=supplier))])
        model.suppliers.pop(code, None)
        if supplier is not None:
            model.suppliers[code] = supplier
    else:
        order = an_order(rest[0], rest[1][0])
        publish(
            connection,
            [Change(CataloguePurchaseOrder(purchase_order_id=rest[0][0], order=order), order.location_id)],
        )
        model.orders[order.purchase_order_id] = order


def moment_of(connection: Connection) -> int:
    return int(connection.execute(text("SELECT coalesce(max(known_from), 0) FROM catalogue_entry")).scalar_one())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(history=steps, places=st.lists(st.sampled_from(PLACES), unique=True))
def test_what_was_known_at_a_moment_never_changes(office: Engine, history: Any, places: list[str]) -> None:
    with office.connect() as connection:
        items.put(connection, [CatalogueItem(item_id=each, name=each, unit="kg") for each in ITEMS])
        put_levels(connection, [LevelChange(place, item, None) for place in PLACES for item in ITEMS])
        for each in (*(("supplier", code, None) for code in SUPPLIERS), *(("order", name, NOTHING) for name in ORDERS)):
            apply(connection, Model(), each)
        connection.commit()
        model, remembered = Model(), {}
        for step in history:
            apply(connection, model, step)
            connection.commit()
            remembered[moment_of(connection)] = model.expected(places)
            for moment, then in remembered.items():
                assert known(connection, places, moment) == then
        assert levels_known(connection, places, None) == model.expected(places)[0]


def test_an_order_that_is_closed_is_known_with_its_open_lines_only_before(office: Engine) -> None:
    order = an_order(("PO-1", "BEY-01"), [("milk", 1_000, False), ("rice", 2_000, False)])
    moments = []
    for stands in (order, closed_order(order, [1], "short"), closed_order(order, None, "done")):
        with office.begin() as connection:
            lock(connection)
            entry = CataloguePurchaseOrder(purchase_order_id="PO-1", order=stands)
            publish(connection, [Change(entry, "BEY-01")])
            moments.append(moment_of(connection))
    with office.connect() as connection:
        found = [orders_known(connection, ["BEY-01"], moment) for moment in moments]
        assert orders_known(connection, ["BEY-02"], moments[-1]) == []
    assert found == [[order], [closed_order(order, [1], "short")], []]
