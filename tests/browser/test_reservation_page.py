"""The pages of reservations in a browser, on a real node: without script, by keyboard, on a tablet, in the dark."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.group import Visit, a_context
from tests.browser.test_pages import MEASURE, WIDTHS
from tests.support.forked import larder, run_larder
from tests.support.html import faults

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ITEMS = (("milk", "Whole milk", "l"), ("beans", "Coffee beans", "kg"), ("odd", "<b>حلوم</b> & co", "kg"))


class Shop(NamedTuple):
    """A node that serves, with 50 of each item."""

    url: str
    key: str

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = httpx.post(self.url + path, json=body, headers={"Authorization": f"Bearer {self.key}"})
        assert answer.status_code < 300, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def reserve(self, order_id: str, lines: dict[str, float], **more: Any) -> str:
        asked = [{"item_id": item_id, "quantity": quantity} for item_id, quantity in lines.items()]
        made: str = self.post("/v1/reservations", {"order_id": order_id, "lines": asked} | more)["reservation_id"]
        return made


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    expect.set_options(timeout=30_000)  # a busy machine is no failure
    folder = tmp_path / "node"
    done = run_larder("branch", "init", "--dir", folder, "--location", "BEY-01", "--timezone", "Asia/Beirut", "--json")
    assert done.returncode == 0, done.stderr
    key = json.loads(done.stdout)["key"]
    with larder("branch", "serve", "--dir", folder, "--port", "0", output=tmp_path / "node.log") as node:
        found = Shop(node.wait_for(r"ready on (http://\S+)", timeout=60)[1], key)
        for item_id, name, unit in ITEMS:
            defined = httpx.put(
                f"{found.url}/v1/items/{item_id}",
                json={"name": name, "unit": unit},
                headers={"Authorization": f"Bearer {key}"},
            )
            assert defined.status_code == 200, defined.text
            found.post("/v1/events", {"type": "PURCHASE_RECEIVED", "item_id": item_id, "quantity": 50})
        yield found


def fill(page: Page, order: str, *lines: tuple[str, str]) -> None:
    page.get_by_role("textbox", name="Order", exact=True).fill(order)
    for number, (item, quantity) in enumerate(lines, start=1):
        page.get_by_label(f"Item {number}", exact=True).fill(item)
        page.get_by_label(f"Quantity {number}", exact=True).fill(quantity)


def test_an_order_from_its_reservation_to_its_last_parcel(shop: Shop, browser: Browser) -> None:
    tablet = {"viewport": {"width": 820, "height": 1180}, "has_touch": True, "color_scheme": "dark"}
    with a_context(browser, java_script_enabled=False, **tablet) as context:
        visit = Visit(context, shop.url, shop.key)
        page = visit.page
        page.get_by_role("link", name="Reservations").click()
        page.get_by_role("link", name="Reserve for an order").click()

        # More lines keep what was typed, and the first of them has the focus.
        fill(page, "4711", ("Whole milk", "60"))
        page.get_by_role("button", name="More lines").click()
        expect(page.get_by_label("Item 4", exact=True)).to_be_focused()
        expect(page.get_by_label("Item 1", exact=True)).to_have_value("Whole milk")

        # What is short is told beside its line, which has the focus; Enter sends the form again.
        page.get_by_label("Item 4", exact=True).fill("beans")
        page.get_by_label("Quantity 4", exact=True).fill("1,5")
        page.get_by_role("button", name="Reserve it").click()
        field = page.get_by_label("Quantity 1", exact=True)
        expect(field).to_be_focused()
        expect(page.get_by_role("alert")).to_contain_text("Nothing was reserved")
        expect(page.locator("#quantity-1-error")).to_have_text("60 l wanted, 50 available.")
        field.fill("6")
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("Order 4711: reserved")
        expect(page.get_by_role("status")).to_contain_text("Whole milk: on hand 50 l, reserved 6, available 44")

        # The first parcel, with the keyboard alone: one less, nothing of the other, the rest kept.
        page.get_by_role("link", name="Confirm or release it").press("Enter")
        milk = page.get_by_label("Whole milk")
        expect(milk).to_have_value("6")
        page.get_by_label("Coffee beans").press("Control+a")
        page.keyboard.press("Delete")
        page.keyboard.press("Tab")
        expect(milk).to_be_focused()
        page.keyboard.press("Control+a")
        page.keyboard.type("4")
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowRight")
        expect(page.get_by_label("Keep it reserved")).to_be_checked()
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("Whole milk: 2 l reserved, 4 l confirmed")

        # More than is open is told at the item; then all that is open.
        page.get_by_role("link", name="Confirm or release it").click()
        milk.fill("7")
        page.get_by_role("button", name="Confirm what was sent").click()
        expect(page.locator(".error")).to_contain_text("7 to confirm, and only 2 still reserved.")
        expect(milk).to_be_focused()
        milk.fill("2")
        page.get_by_role("button", name="Confirm what was sent").click()
        expect(page.get_by_role("status")).to_contain_text("Order 4711: confirmed")
        expect(page.get_by_text("Nothing is reserved.")).to_be_visible()
        visit.open("/stock")
        expect(page.get_by_role("row", name="Whole milk")).to_contain_text("44")
        assert {url.split("/")[2].split(":")[0] for url in visit.asked} == {"127.0.0.1"}


def test_how_the_pages_of_reservations_look(shop: Shop, browser: Browser) -> None:
    """At every width, in both schemes: contrast, sizes of what is touched, nothing that scrolls sideways."""
    long = shop.reserve(("an order of a very long name " * 3).strip(), {"milk": 2.5, "odd": 44.125}, expires_in=86_400)
    ended = shop.reserve("B", {"beans": 1}, source="webshop")
    shop.post(f"/v1/reservations/{ended}/release", {})
    for scheme in ("light", "dark"):
        for width in WIDTHS:
            looks = {"color_scheme": scheme, "viewport": {"width": width, "height": 900}, "has_touch": True}
            with a_context(browser, **looks, is_mobile=width < 1_000) as context:
                visit = Visit(context, shop.url, shop.key)
                page = visit.page
                for path in ("/reservations", f"/reservations?done={long}", f"/reservations/{ended}", "/stock"):
                    good(visit.open(path))
                visit.open("/reservations/new")
                page.locator("details").evaluate_all("all => all.forEach(each => { each.open = true })")
                good(page)
                fill(page, "A", ("milc", "1,250"), ("beans", "x"))
                page.get_by_role("button", name="Reserve it").click()
                expect(page.locator(".error")).to_have_count(3)
                good(page)
                fill(page, "A", ("milk", "99"), ("beans", "1"))
                page.get_by_role("button", name="Reserve it").click()
                expect(page.locator(".error")).to_have_count(1)
                good(page)
                visit.open(f"/reservations/{long}")
                page.get_by_label("Whole milk").fill("99")
                page.get_by_role("button", name="Confirm what was sent").click()
                expect(page.locator(".error")).to_have_count(1)
                good(page)


def good(page: Page) -> None:
    assert faults(page.content()) == [], page.url
    assert page.evaluate(MEASURE) == [], (page.url, page.viewport_size)
