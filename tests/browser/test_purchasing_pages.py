"""Head office's pages of purchasing in a browser, on a real process: by keyboard, without script, on a tablet, dark."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Page, expect

from head_office.catalogue import locations
from shared.catalogue_messages import CatalogueLocation
from shared.runtime.database.engine import postgres_engine
from tests.browser.group import Visit, a_context
from tests.browser.test_pages import MEASURE, WIDTHS
from tests.support.databases import Databases
from tests.support.forked import larder, run_larder
from tests.support.html import faults
from tests.support.office_visitor import FARM, something_to_order

pytestmark = [pytest.mark.browser, pytest.mark.slow]

REPORTS = ("/reports/variance", "/reports/usage?by=order", "/reports/unmet-demand", "/reports/usage?from=x&to=")
PAGES = ("/purchasing?date=now", "/purchasing?date=now&rows=all", "/orders?state=ANY", "/new-order", *REPORTS)


class BuyingOffice(NamedTuple):
    """A head office that serves, and has something to order."""

    url: str
    key: str


@pytest.fixture
def office(tmp_path: Path, databases: Databases) -> Iterator[BuyingOffice]:
    expect.set_options(timeout=30_000)  # a busy machine is no failure
    folder = tmp_path / "office"
    with databases.fresh() as url:
        done = run_larder("head-office", "init", "--dir", folder, "--database-url", url, "--json")
        assert done.returncode == 0, done.stderr
        key = json.loads(done.stdout)["key"]
        engine = postgres_engine(url)
        with engine.begin() as connection:
            for place, name in (("BEY-01", "Beirut, Hamra"), ("BEY-02", "بيروت، الميناء"), ("WH-1", "Warehouse")):
                locations.add(
                    connection,
                    CatalogueLocation(location_id=place, name=name, timezone="Asia/Beirut", day_start=240),
                )
        something_to_order(engine)
        engine.dispose()
        with larder("head-office", "serve", "--dir", folder, "--port", "0", output=tmp_path / "office.log") as serving:
            yield BuyingOffice(serving.wait_for(r"ready on (http://\S+)", timeout=60)[1], key)


def press_until(page: Page, selector: str) -> None:
    """Press Tab until it is there."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.locator(f"{selector}:focus").count():
            return
    raise AssertionError(f"{selector} is not reached by Tab")


def test_a_morning_of_the_purchasing_office_by_keyboard(office: BuyingOffice, browser: Browser) -> None:
    with a_context(browser, java_script_enabled=False) as context:
        visit = Visit(context, office.url, office.key)
        page = visit.open("/purchasing?date=now")
        # From the report to an order of it.
        press_until(page, "a[href^='/new-order']")
        page.keyboard.press("Enter")
        expect(page.get_by_label("Item 1")).to_have_value("milk")
        expect(page.get_by_label("Quantity 1")).to_have_value("18")
        press_until(page, "#quantity-1")
        page.keyboard.type("24")
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("The order is made.")
        expect(page.get_by_role("row", name="Whole milk")).to_contain_text("24 l")
        # Its due date and note, then the rest is not waited for.
        press_until(page, "#note")
        page.keyboard.type("at the back door")
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("The order is changed.")
        expect(page.get_by_text("at the back door")).to_be_visible()
        press_until(page, "#reason")
        page.keyboard.type("sold out there")
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("Nothing more of it is waited for.")
        # A file is saved as it is named.
        page.goto(f"{office.url}/purchasing?date=now")
        for name, ending in (("CSV", ".csv"), ("XLSX", ".xlsx"), ("PDF", ".pdf")):
            with page.expect_download() as saving:
                page.get_by_role("link", name=f"{name} file of this report").click()
            assert saving.value.suggested_filename.endswith(ending)
        assert {url.split("/")[2].split(":")[0] for url in visit.asked} == {"127.0.0.1"}


def test_how_these_pages_look(office: BuyingOffice, browser: Browser, tmp_path: Path) -> None:
    order = ""
    for scheme in ("light", "dark"):
        for width in WIDTHS:
            looks = {"color_scheme": scheme, "viewport": {"width": width, "height": 900}, "has_touch": True}
            with a_context(browser, **looks, is_mobile=width < 1_000) as context:
                visit = Visit(context, office.url, office.key)
                if not order:
                    visit.open("/purchasing?date=now").screenshot(path=tmp_path / "to-order.png", full_page=True)
                    assert visit.page.evaluate(MEASURE) == []
                    order = an_order(visit)
                for number, path in enumerate((*PAGES, order)):
                    page = visit.open(path)
                    assert faults(page.content()) == [], path
                    page.screenshot(path=tmp_path / f"{scheme}-{width}-{number}.png", full_page=True)
                    assert page.evaluate(MEASURE) == [], (path, scheme, width)
                wrong(visit.open("/new-order"))
                page.screenshot(path=tmp_path / f"{scheme}-{width}-wrong.png", full_page=True)
                assert page.evaluate(MEASURE) == []
                page.emulate_media(media="print", color_scheme=scheme)
                assert page.locator("header nav").is_hidden()


def an_order(visit: Visit) -> str:
    """Order what the report says of the farm, and give the address of the order."""
    page = visit.open("/purchasing?date=now")
    page.get_by_role("link", name=f"of {FARM} for Beirut, Hamra").click()
    page.get_by_label("Note").fill("حلوم at the back door")
    page.get_by_label("Cost 1").fill("36,5")
    page.get_by_label("Currency of the costs").fill("EUR")
    page.get_by_label("Due").fill("2087-03-19")
    page.get_by_role("button", name="Order it").click()
    expect(page.get_by_role("status")).to_contain_text("The order is made.")
    return page.url.removeprefix(visit.address)


def wrong(page: Page) -> None:
    page.get_by_label("For", exact=True).select_option("BEY-01")
    page.get_by_label("From", exact=True).select_option("farm")
    page.get_by_label("Item 1").fill("milc")
    page.get_by_label("Quantity 1").fill("1,250")
    page.get_by_role("button", name="Order it").click()
    expect(page.locator(".error")).to_have_count(2)
