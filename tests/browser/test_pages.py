"""Both pages in a browser without script, on real processes: recorded offline, shipped, explained at head office."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.group import Group, Visit, a_context, a_group
from tests.support.databases import Databases
from tests.support.html import faults
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def group(tmp_path: Path, databases: Databases) -> Iterator[Group]:
    expect.set_options(timeout=20_000)  # a busy machine is no failure
    with databases.fresh() as url, a_group(tmp_path, url) as started:
        yield started


def record(page: Page, button: str, item: str, quantity: str) -> None:
    page.get_by_label("Item").fill(item)
    page.get_by_label(re.compile("^How much")).fill(quantity)
    page.get_by_role("button", name=button).click()


def test_a_day_at_the_branch_and_at_head_office(group: Group, browser: Browser) -> None:
    with (
        a_context(browser, java_script_enabled=False) as at_the_branch,
        a_context(browser, java_script_enabled=False) as at_the_office,
    ):
        branch = Visit(at_the_branch, group.branch_url, group.branch_key)
        page = branch.page
        confirmation = page.get_by_role("status")

        # The line is cut from the first minute on. Each of the four is recorded.
        page.get_by_role("link", name="Delivery").click()
        record(page, "Record the delivery", "Whole milk", "48")
        expect(confirmation).to_contain_text("On hand now: 48 l.")

        # A form sent twice counts once: back to the form as it was, and the button again.
        form = page.request.get(f"{group.branch_url}/record/waste").text()
        fields = dict(re.findall(r'name="(csrf|key)" value="([^"]+)"', form))
        sent = {**fields, "item": "milk", "quantity": "1.5", "reason": "spoiled"}
        for _ in range(2):
            answer = page.request.post(f"{group.branch_url}/record/waste", form=sent)
            assert 'On hand now: <strong><data value="46.5">46.5</data> l' in answer.text()

        page.get_by_role("link", name="Deduction").click()
        record(page, "Record the deduction", "milk", "3.25")
        expect(confirmation).to_contain_text("On hand now: 43.25 l.")
        page.reload()
        expect(confirmation).to_contain_text("On hand now: 43.25 l.")

        # A bad quantity is told beside the field, which keeps it and has the focus.
        record(page, "Record the deduction", "milk", "1.2345")
        field = page.get_by_label("How much was taken")
        expect(field).to_have_value("1.2345")
        expect(field).to_be_focused()
        expect(page.locator("#quantity-error")).to_contain_text("4 decimals; at most 3 are kept")

        page.get_by_role("link", name="Count").click()
        record(page, "Record the count", "milk", "40")
        expect(confirmation).to_contain_text("The book said 43.25: variance \N{MINUS SIGN}3.25.")

        # With the keyboard alone: past the bar by the skip link, through the form, sent with Enter.
        page.get_by_role("link", name="Deduction").click()
        branch.open("/record/deduction?item=beans")
        with_keyboard(page)
        expect(confirmation).to_contain_text("Recorded: 2 kg of Coffee beans")
        expect(confirmation).to_contain_text("below zero")

        branch.open("/stock?q=milk")
        expect(page.get_by_role("row", name="Whole milk")).to_contain_text("40")
        branch.open("/log")
        # Three items that the branch defined, and five events.
        expect(page.locator("#waiting")).to_have_text("8 events, 1 to 8")
        expect(page.get_by_text("Head office cannot be reached")).to_be_visible()

        # The line comes back: what waits falls to zero, and head office shows the same figure.
        group.open_office()
        shipped(branch)
        expect(branch.page.get_by_text("Connected to head office.")).to_be_visible()

        office = Visit(at_the_office, group.office_url, group.office_key)
        page = office.page
        expect(page.get_by_role("columnheader", name="Beirut, Hamra")).to_be_visible()
        figure = page.get_by_role("link", name="milk at Beirut, Hamra")
        expect(figure).to_contain_text("40")
        figure.click()
        expect(page.locator("#figure")).to_have_text("40")
        assert explained(page) == (40, 0)
        why = [row.locator("td").last.inner_text() for row in page.locator("#passed tbody tr").all()]
        seen = "Happened before the count of event 7, which saw what was there."
        assert why == ["Changes no stock.", seen, seen, seen]

        # As of the moment before the count, every event counts, and they add up to what was there then.
        occurred = page.locator("#counts time").first.get_attribute("datetime")
        office.open("/stock?as_of=2020-01-01T00:00&zone=UTC")
        expect(page.get_by_text("No branch has recorded anything yet, as of then.")).to_be_visible()
        assert occurred is not None
        before = (datetime.fromisoformat(occurred) - timedelta(microseconds=1)).astimezone(UTC).replace(tzinfo=None)
        office.open(f"/explain?location_id=BEY-01&item_id=milk&zone=UTC&as_of={before.isoformat()}")
        counted, changes = explained(page)
        assert page.locator("#figure").inner_text() == "43.25"
        assert (counted, changes) == (0, 43.25)

        office.open("/transfers")
        expect(page.get_by_text("Nothing is in transit.")).to_be_visible()
        for visit in (branch, office):
            assert visit.asked
            assert {url.split("/")[2].split(":")[0] for url in visit.asked} == {"127.0.0.1"}


def with_keyboard(page: Page) -> None:
    """Record two of the item in the form, touching no mouse."""
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.locator("#quantity:focus").count():
            break
    expect(page.get_by_label("How much was taken")).to_be_focused()
    page.keyboard.type("2")
    page.keyboard.press("Enter")


def shipped(branch: Visit) -> None:
    """Wait until the page says that nothing waits to be shipped."""

    def waits() -> str:
        return branch.open("/log").locator("#waiting").inner_text()

    wait_until(lambda: waits() == "0 events", 60, what="everything to be shipped", interval=0.2)


def explained(page: Page) -> tuple[float, float]:
    """What the explanation on the page starts from, and the sum of its changes; the last row is their total."""
    start, changes = 0.0, 0.0
    rows = page.locator("#counts tbody tr").all()
    for row in rows[:-1]:
        figure = row.locator("td").nth(2)
        value = figure.locator("data").get_attribute("value") if figure.locator("data").count() else "0"
        if figure.inner_text().startswith("="):
            start = float(value or 0)
        else:
            changes += float(value or 0)
    total = rows[-1].locator("data").get_attribute("value")
    assert float(total or 0) == start + changes
    return start, changes


# What the browser makes of the sheet, measured in it. Runs outside of the page's own (blocked) scripts.
MEASURE = Path(__file__).with_name("measure.js").read_text()

WIDTHS = (320, 768, 1200)
BRANCH_PAGES = ("/record/waste", "/record/count?item=milk", "/stock", "/log", "/void/{event}", "/record/gift")
OFFICE_PAGES = ("/stock", "/stock?as_of=bad", "/explain?location_id=BEY-01&item_id=milk", "/transfers")


def test_how_the_pages_look(group: Group, browser: Browser, tmp_path: Path) -> None:
    group.open_office()
    for scheme in ("light", "dark"):
        for width in WIDTHS:
            looks = {"color_scheme": scheme, "viewport": {"width": width, "height": 900}, "has_touch": True}
            with a_context(browser, **looks, is_mobile=width < 1_000) as context:
                signed_out = context.new_page()
                signed_out.goto(group.branch_url)
                assert signed_out.evaluate(MEASURE) == []
                branch = Visit(context, group.branch_url, group.branch_key)
                event = prepared(branch)
                look(branch, [path.format(event=event) for path in BRANCH_PAGES], scheme)
                wrong(branch)
                assert branch.page.evaluate(MEASURE) == []
                shipped(branch)
                office = Visit(context, group.office_url, group.office_key)
                look(office, OFFICE_PAGES, scheme)
                branch.page.screenshot(path=tmp_path / f"{scheme}-{width}.png", full_page=True)
                assert {url.split("/")[2].split(":")[0] for url in branch.asked + office.asked} == {"127.0.0.1"}


def prepared(branch: Visit) -> str:
    """Record what makes the pages full, and give the id of an event."""
    branch.open("/record/delivery")
    confirmation = branch.page.get_by_role("status")
    record(branch.page, "Record the delivery", "odd", "123456.789")
    expect(confirmation).to_be_visible()
    branch.open("/record/deduction")
    record(branch.page, "Record the deduction", "milk", "1")
    expect(confirmation).to_be_visible()
    assert branch.page.evaluate(MEASURE) == []
    return branch.page.url.partition("done=")[2]


def wrong(branch: Visit) -> None:
    """A form with something wrong in every field."""
    branch.open("/record/deduction")
    record(branch.page, "Record the deduction", "milc", "1,250")
    expect(branch.page.locator(".error")).to_have_count(2)


def look(visit: Visit, paths: tuple[str, ...] | list[str], scheme: str) -> None:
    for path in paths:
        page = visit.open(path)
        assert faults(page.content()) == [], path
        page.locator("details").evaluate_all("all => all.forEach(each => { each.open = true })")
        assert page.evaluate(MEASURE) == [], (path, scheme, page.viewport_size)
        page.emulate_media(media="print", color_scheme=scheme)  # type: ignore[arg-type]
        assert page.locator("header nav").is_hidden()
        page.emulate_media(media="screen", color_scheme=scheme)  # type: ignore[arg-type]
