"""Proposals of items: each of its branch alone, also of codes that nobody defined; accepted or mapped one by one."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from head_office.catalogue import items
from head_office.catalogue.item_proposals import ItemProposal, accept, list_waiting, map_to
from shared.catalogue_messages import CatalogueItem
from shared.events import Definition
from shared.runtime.problems import Problem
from tests.integration.head_office.conftest import Api
from tests.support.branch_log import BranchLog

H1, H2 = "BEY-01", "BEY-02"


def defined(office: Engine, location_id: str, unit: str, *, events: bool, item_id: str = "apple") -> BranchLog:
    """A branch that defined an item of its own, and perhaps recorded it."""
    log = BranchLog(location_id)
    definition = Definition(name=f"{item_id} of {location_id}", unit=unit)
    log.record("ITEM_DEFINED", item_id=item_id, definition=definition, unit=None, quantity=None)
    if events:
        log.record("PURCHASE_RECEIVED", item_id=item_id, unit=unit, quantity=1_000)
    log.ship_now(office)
    return log


def waiting(office: Engine) -> dict[tuple[str, str], ItemProposal]:
    with office.connect() as connection:
        found = list_waiting(connection)
        # In pages of one it is the same list.
        after, paged = ("", ""), []
        while page := list_waiting(connection, after, 1):
            paged += page
            after = page[-1].location_id, page[-1].item_id
    assert paged == found
    return {(each.location_id, each.item_id): each for each in found}


def refused(office: Engine, *words: str) -> str:
    with pytest.raises(Problem) as caught, office.begin() as connection:
        accept(connection, *words)
    return caught.value.code


@pytest.mark.parametrize("events", [True, False])
def test_one_code_of_two_branches_in_two_units(office: Engine, events: bool) -> None:
    """The one is accepted; the other goes on waiting, and is mapped to a code of its own."""
    defined(office, H1, "pcs", events=events)
    defined(office, H2, "kg", events=events)
    assert set(waiting(office)) == {(H1, "apple"), (H2, "apple")}
    with office.begin() as connection:
        assert accept(connection, H1, "apple").unit == "pcs"
    left = waiting(office)
    assert set(left) == {(H2, "apple")}
    assert (left[H2, "apple"].name, left[H2, "apple"].unit) == ("apple of BEY-02", "kg")
    # The group's item stays what it is.
    assert refused(office, H2, "apple") == "unit-fixed"
    with office.begin() as connection:
        assert items.read(connection, "apple").unit == "pcs"
        items.put(connection, [CatalogueItem(item_id="apple-kg", name="Apples", unit="kg")])
        with pytest.raises(Problem, match="unit-differs"):
            map_to(connection, H2, "apple", "apple")
        assert map_to(connection, H2, "apple", "apple-kg").item_id == "apple-kg"
    assert waiting(office) == {}
    with office.begin() as connection:
        # Mapped once, it can be mapped anew.
        assert map_to(connection, H2, "apple", "apple-kg").item_id == "apple-kg"


def test_one_code_of_two_branches_in_one_unit_is_settled_for_both(office: Engine) -> None:
    defined(office, H1, "pcs", events=True)
    defined(office, H2, "pcs", events=False)
    with office.begin() as connection:
        accept(connection, H1, "apple")
    assert waiting(office) == {}
    assert refused(office, H2, "apple") == "not-waiting"


def test_a_code_that_nobody_defined_waits_for_a_name(office: Engine) -> None:
    """As after a restore of head office from before the item was created there."""
    log = BranchLog(H1)
    log.record("PURCHASE_RECEIVED", item_id="saffron", unit="g", quantity=5_000)
    log.record("ORDER_DEDUCTION", item_id="saffron", unit="g")
    log.ship_now(office)
    (proposal,) = waiting(office).values()
    assert (proposal.name, proposal.unit, proposal.sequence) == (None, "g", 1)
    assert refused(office, H1, "saffron") == "invalid-request"
    with office.begin() as connection:
        assert accept(connection, H1, "saffron", "Saffron").name == "Saffron"
    assert waiting(office) == {}


def test_a_nameless_code_is_mapped(office: Engine) -> None:
    log = BranchLog(H1)
    log.record("PURCHASE_RECEIVED", item_id="saffron", unit="g", quantity=5_000)
    log.ship_now(office)
    with office.begin() as connection:
        items.put(connection, [CatalogueItem(item_id="spice-7", name="Saffron", unit="g")])
        map_to(connection, H1, "saffron", "spice-7")
    assert waiting(office) == {}


def test_proposals_over_http(api: Api, office: Engine) -> None:
    defined(office, H1, "pcs", events=True)
    log = BranchLog(H2)
    log.record("PURCHASE_RECEIVED", item_id="saffron", unit="g", quantity=5_000)
    log.ship_now(office)
    rows = api.call("manager", "GET", "/v1/items-waiting").json()["items"]
    assert [(each["location_id"], each["item_id"], each["name"], each["unit"]) for each in rows] == [
        (H1, "apple", "apple of BEY-01", "pcs"),
        (H2, "saffron", None, "g"),
    ]
    address = f"/v1/items-waiting/{H2}/saffron/accept"
    nameless = api.call("manager", "POST", address)
    assert (nameless.status_code, nameless.json()["errors"][0]["field"]) == (422, "name")
    named = api.call("manager", "POST", address, {"name": "Saffron"})
    assert (named.status_code, named.json()["name"]) == (201, "Saffron")
    assert api.call("manager", "POST", f"/v1/items-waiting/{H1}/apple/accept").json()["name"] == "apple of BEY-01"
    assert api.call("manager", "GET", "/v1/items-waiting").json() == {"items": [], "next": None}
