"""The pages of orders to suppliers in a browser, on a real node without a line to head office: by keyboard, on a
tablet and a phone, in the dark, without script."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
from playwright.sync_api import Browser, Page, expect

from branch_node.database.purchases.pulled_order_rows import store_purchase_orders, store_suppliers
from branch_node.database.store import Store
from branch_node.settings import load
from shared.events import Cost
from shared.purchases.suppliers import Supplier
from tests.browser.group import Visit, a_context
from tests.browser.test_pages import MEASURE
from tests.browser.test_reservation_page import ITEMS, Shop
from tests.support.forked import larder, run_larder
from tests.support.html import faults
from tests.support.pulled_orders import FARM, purchase_order

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WIDTHS = (360, 768, 1200)
ODD = Supplier(supplier_id="odd", name="<b>مزرعة</b> & sons, of a name that is far longer than its goods are good")
ALL = (("milk", "l", 10_000), ("beans", "kg", 5_000), ("odd", "kg", 1_234_500))
ORDERS = (
    purchase_order("PO-000001", ALL, due="2020-01-31", cost=Cost(amount="30.00", currency="USD")),
    purchase_order("PO-000002", ALL, supplier_id="odd", due=None),
    msgspec.structs.replace(
        purchase_order("PO-000003", ALL, closed=(1, 2, 3), due="2020-02-29"),
        close_reason="The farm has no more, and will not have any before the summer",
        note="Ring twice",
    ),
    purchase_order("PO-000004-of-a-very-long-id-that-somebody-has-made-up-for-it", ALL, closed=(2,)),
)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A node that pulled orders once, and has no line to head office now."""
    expect.set_options(timeout=30_000)  # a busy machine is no failure
    folder = tmp_path / "node"
    done = run_larder("branch", "init", "--dir", folder, "--location", "BEY-01", "--timezone", "Asia/Beirut", "--json")
    assert done.returncode == 0, done.stderr
    key = json.loads(done.stdout)["key"]
    store = Store(load(folder).database_url, folder)
    engine = store.writing_engine()
    with engine.begin() as connection:
        store_suppliers(connection, (FARM, ODD))
        store_purchase_orders(connection, ORDERS)
    engine.dispose()
    store.close()
    with larder("branch", "serve", "--dir", folder, "--port", "0", output=tmp_path / "node.log") as node:
        found = Shop(node.wait_for(r"ready on (http://\S+)", timeout=60)[1], key)
        for item_id, name, unit in ITEMS:
            defined = httpx.put(
                f"{found.url}/v1/items/{item_id}",
                json={"name": name, "unit": unit},
                headers={"Authorization": f"Bearer {key}"},
            )
            assert defined.status_code == 200, defined.text
        yield found


def tab_to(page: Page, name: str) -> None:
    """Press Tab until this field has the focus."""
    for _ in range(60):
        if page.evaluate("document.activeElement.name") == name:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not come to {name}")


def test_a_delivery_is_recorded_by_keyboard_alone(shop: Shop, browser: Browser) -> None:
    phone = {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"}
    with a_context(browser, java_script_enabled=True, **phone) as context:
        visit = Visit(context, shop.url, shop.key)
        page = visit.page
        page.get_by_role("link", name="Deliveries").press("Enter")
        page.get_by_role("link", name="PO-000001", exact=True).press("Enter")

        # Less than ordered, as one lot; Enter in a field records, and never adds a lot.
        tab_to(page, "quantity-1-1")
        page.keyboard.press("Control+a")
        page.keyboard.type("4,5")
        tab_to(page, "lot-1-1")
        page.keyboard.type("A")
        tab_to(page, "again")
        page.keyboard.press("Enter")
        second = page.locator("#quantity-1-2")
        expect(second).to_be_focused()
        expect(page.locator("#quantity-1-1")).to_have_value("4,5")
        page.keyboard.type("x")
        tab_to(page, "expires-1-2")
        page.keyboard.type("12242026")
        tab_to(page, "quantity-2-1")
        page.keyboard.press("Control+a")
        page.keyboard.type("6")
        tab_to(page, "quantity-3-1")
        page.keyboard.press("Control+a")
        page.keyboard.press("Delete")
        page.keyboard.press("Enter")

        # What is wrong has the focus and tells it; nothing that was typed is lost.
        expect(second).to_be_focused()
        expect(page.get_by_role("alert")).to_contain_text("Nothing was recorded yet.")
        expect(second).to_have_attribute("aria-invalid", "true")
        expect(page.locator("#expires-1-2")).to_have_value("2026-12-24")
        expect(page.locator("#quantity-2-1")).to_have_value("6")
        page.keyboard.press("Control+a")
        page.keyboard.type("5.5")
        page.keyboard.press("Enter")
        told = page.get_by_role("status")
        expect(told).to_contain_text("Recorded: a delivery of order PO-000001")
        expect(told).to_contain_text("5.5 l of Whole milk, expires 24 Dec 2026")
        expect(told).to_contain_text("More came than was ordered: Coffee beans, 6 of 5 kg")
        expect(told).to_contain_text("Still open of the order: <b>حلوم</b> & co")
        assert {url.split("/")[2].split(":")[0] for url in visit.asked} == {"127.0.0.1"}

        # What is open of the rest, with a double click: it is recorded once.
        page.get_by_role("link", name="Look at the order").press("Enter")
        page.locator("#quantity-3-1").fill("7")
        expect(page.locator("#quantity-2-1")).to_be_hidden()
        page.get_by_role("button", name="Record the delivery").dblclick()
        expect(told).to_contain_text("7 kg of <b>حلوم</b> & co")
        found = httpx.get(f"{shop.url}/v1/purchase-orders/PO-000001", headers={"Authorization": f"Bearer {shop.key}"})
        assert [line["received"] for line in found.json()["lines"]] == [10, 6, 7]

        # A mistake is voided from what was told, and the order is open again.
        page.get_by_role("link", name="Void it").press("Enter")
        page.get_by_label("Why").select_option("mistake")
        page.get_by_role("button", name="Void it").press("Enter")
        expect(told).to_contain_text("Voided: a delivery of order PO-000001")
        visit.open("/deliveries/PO-000001")
        expect(page.locator("#quantity-3-1")).to_have_value("1234.5")


def test_how_the_pages_of_deliveries_look(shop: Shop, browser: Browser) -> None:
    """At every width, in both schemes: contrast, sizes of what is touched, nothing that scrolls sideways."""
    body = {"lines": [{"line": 1, "quantity": 3, "lot": "L-2026-11-29-with-a-long-name"}, {"line": 2, "quantity": 7}]}
    event = shop.post("/v1/purchase-orders/PO-000002/receive", body)["recorded"][0]["event_id"]
    for scheme in ("light", "dark"):
        for width in WIDTHS:
            looks = {"color_scheme": scheme, "viewport": {"width": width, "height": 900}, "has_touch": True}
            with a_context(browser, **looks, is_mobile=width < 1_000, java_script_enabled=True) as context:
                visit = Visit(context, shop.url, shop.key)
                page = visit.page
                long = ORDERS[3].purchase_order_id
                for path in (
                    "/deliveries",
                    f"/deliveries?done={event}",
                    "/deliveries?q=PO-9",
                    "/deliveries/PO-000002",
                    "/deliveries/PO-000003",
                    f"/deliveries/{long}",
                    "/record/delivery?order=PO-9",
                ):
                    good(visit.open(path))
                visit.open("/deliveries/PO-000001")
                page.locator("details").evaluate_all("all => all.forEach(each => { each.open = true })")
                page.get_by_role("button", name="Another lot of Whole milk").click()
                page.locator("#quantity-1-1").fill("1,250")
                page.locator("#lot-1-2").fill("B")
                page.locator("#cost-2-1").fill("dear")
                page.get_by_role("button", name="Record the delivery").click()
                expect(page.locator(".error")).not_to_have_count(0)
                good(page)


def good(page: Page) -> None:
    assert faults(page.content()) == [], page.url
    assert page.evaluate(MEASURE) == [], (page.url, page.viewport_size)
