"""The page of imports in a browser, on a real node without internet: with and without script, and by keyboard."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.group import Visit, a_context
from tests.browser.test_pages import MEASURE, WIDTHS
from tests.integration.branch_node.imports.import_runs import WITH_IDS, a_till_file, sales
from tests.support.forked import larder, run_larder
from tests.support.html import faults

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ROWS = 60_000  # so many that an import is seen on its way, also on a fast machine


@dataclass
class Till:
    """A node that serves, and what a till has written."""

    url: str
    key: str
    file: Path
    map_file: Path


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    expect.set_options(timeout=30_000)  # a busy machine is no failure
    folder = tmp_path / "node"
    done = run_larder("branch", "init", "--dir", folder, "--location", "BEY-01", "--timezone", "Asia/Beirut", "--json")
    assert done.returncode == 0, done.stderr
    key = json.loads(done.stdout)["key"]
    file = a_till_file(tmp_path / "sales.csv", [*sales(ROWS), '90001,"=cmd|<b>",1,2025-12-05 10:00'])
    map_file = tmp_path / "till.toml"
    map_file.write_text(WITH_IDS)
    with larder("branch", "serve", "--dir", folder, "--port", "0", output=tmp_path / "node.log") as node:
        url = node.wait_for(r"ready on (http://\S+)", timeout=60)[1]
        milk = {"name": "Whole milk", "unit": "l"}
        httpx.put(f"{url}/v1/items/milk", json=milk, headers={"Authorization": f"Bearer {key}"}).raise_for_status()
        yield Till(url, key, file, map_file)


def choose(page: Page, file: Path, map_file: Path | None) -> None:
    page.get_by_label("File", exact=True).set_input_files(file)
    if map_file is not None:
        page.get_by_label("A new map").set_input_files(map_file)


def test_a_file_from_the_till_to_the_stock(till: Till, browser: Browser, tmp_path: Path) -> None:
    with a_context(browser, color_scheme="dark", viewport={"width": 820, "height": 1180}) as context:
        visit = Visit(context, till.url, till.key)
        page = visit.page
        broken: list[str] = []
        page.on("pageerror", lambda error: broken.append(str(error)))
        page.get_by_role("link", name="Import").click()
        choose(page, till.file, till.map_file)
        page.get_by_role("button", name="Look at it first").press("Enter")

        # The page follows the dry run by itself, and the heading of what comes of it has the focus.
        expect(page.get_by_role("heading", name="Import sales.csv?")).to_be_focused()
        expect(page.get_by_role("row", name=f"Would be recorded {ROWS}", exact=True)).to_be_visible()
        expect(page.get_by_role("row", name="Would be rejected 1", exact=True)).to_be_visible()
        page.keyboard.press("Tab")
        page.get_by_role("button", name="Import now").press("Enter")

        # An import of so many rows is seen on its way.
        bar = page.get_by_role("progressbar")
        expect(bar).to_be_visible()
        expect(page.get_by_role("status")).to_contain_text("Imported: ")
        expect(page.locator("#progress-text")).not_to_have_text("Imported: 0 %")
        expect(page.get_by_role("heading", name="Imported: sales.csv")).to_be_focused()
        expect(page.get_by_role("status")).to_contain_text("rows were recorded. 1 was rejected.")
        with page.expect_download() as download:
            page.get_by_role("link", name="Download the rejects").click()
        assert download.value.suggested_filename == "sales.csv.rejects.csv"
        download.value.save_as(tmp_path / "rejects.csv")
        header, rejected = (tmp_path / "rejects.csv").read_text().splitlines()
        assert header.startswith("reject_line,reject_reason,id")
        assert f"{ROWS + 2}," in rejected
        assert ",'=cmd|<b>," in rejected
        page.get_by_role("link", name="Stock", exact=True).first.click()
        expect(page.get_by_role("row", name="Whole milk")).to_contain_text(f"\N{MINUS SIGN}{ROWS // 1_000}")

        # The same file again, with the map that was kept: nothing is left to do; then it is undone.
        visit.open("/imports")
        expect(page.locator("#map")).to_have_value("till-7")
        choose(page, till.file, None)
        page.get_by_role("button", name="Look at it first").click()
        expect(page.get_by_role("row", name=f"Recorded before {ROWS}", exact=True)).to_be_visible()
        page.get_by_role("button", name="Leave it").click()
        page.get_by_role("link", name="Undo sales.csv").click()
        page.get_by_label("Why").select_option("wrong-map")
        page.get_by_role("button", name="Undo it").click()
        expect(
            page.get_by_text("Nothing of it stands in the log.").or_(page.get_by_role("button", name="Go on"))
        ).to_be_visible()
        assert broken == []
        assert {url.split("/")[2].split(":")[0] for url in visit.asked} == {"127.0.0.1"}


def test_without_script_the_page_is_loaded_again_until_it_is_done(till: Till, browser: Browser, tmp_path: Path) -> None:
    with a_context(browser, java_script_enabled=False) as context:
        visit = Visit(context, till.url, till.key)
        page = visit.open("/imports")
        bad = tmp_path / "bad.toml"
        bad.write_text(WITH_IDS.replace("quantity", "quantty"))
        choose(page, till.file, bad)
        page.get_by_role("button", name="Look at it first").click()
        expect(page.locator("#map_file-error")).to_contain_text("bad.toml line 8, columns.quantty: no such key")
        expect(page.get_by_label("A new map")).to_be_focused()

        # A small file is there at once, a large one after some loads of the page.
        small = a_till_file(tmp_path / "small.csv", sales(3, first=95_001))
        choose(page, small, till.map_file)
        page.get_by_role("button", name="Look at it first").click()
        expect(page.get_by_role("row", name="Would be recorded 3", exact=True)).to_be_visible()
        page.get_by_role("button", name="Import now").click()
        expect(page.get_by_role("heading", name="Imported: small.csv")).to_be_visible()

        visit.open("/imports")
        choose(page, till.file, None)
        page.get_by_role("button", name="Look at it first").click()
        expect(page.get_by_role("row", name=f"Would be recorded {ROWS}", exact=True)).to_be_visible()
        page.get_by_role("button", name="Import now").click()
        expect(page.get_by_role("heading", name="Imported: sales.csv")).to_be_visible()
        visit.open("/stock")
        expect(page.get_by_role("row", name="Whole milk")).to_contain_text(f"\N{MINUS SIGN}{ROWS // 1_000}")


def test_how_the_pages_of_imports_look(till: Till, browser: Browser, tmp_path: Path) -> None:
    """At every width, in both schemes: contrast, sizes of what is touched, nothing that scrolls sideways."""
    bad = tmp_path / "bad.toml"
    bad.write_text(WITH_IDS.replace("quantity", "quantty"))
    rows = [*sales(3, first=99_001), '9,"<b>tea</b>",1,2025-12-05 10:00']
    file = a_till_file(tmp_path / f"{'a long name ' * 9}.csv", rows)
    for scheme in ("light", "dark"):
        for width in WIDTHS:
            looks = {"color_scheme": scheme, "viewport": {"width": width, "height": 900}, "has_touch": True}
            with a_context(browser, **looks, is_mobile=width < 1_000) as context:
                visit = Visit(context, till.url, till.key)
                page = visit.open("/imports")
                choose(page, file, bad)
                page.get_by_role("button", name="Look at it first").click()
                expect(page.locator("#map_file-error")).to_be_visible()
                good(page)
                choose(page, file, till.map_file)
                page.get_by_role("button", name="Look at it first").click()
                expect(page.get_by_role("button", name="Import now")).to_be_visible()
                good(page)
                page.get_by_role("button", name="Import now").click()
                expect(page.get_by_role("link", name="Import another file")).to_be_visible()
                good(page)
                visit.open("/imports")
                page.locator("details").evaluate_all("all => all.forEach(each => { each.open = true })")
                good(page)
                page.locator("td.name a").first.click()
                expect(page.get_by_role("link", name="Undo it")).to_be_visible()
                good(page)
                page.get_by_role("link", name="Undo it").click()
                expect(page.get_by_role("button", name="Undo it")).to_be_visible()
                good(page)


def good(page: Page) -> None:
    assert faults(page.content()) == [], page.url
    assert page.evaluate(MEASURE) == [], (page.url, page.viewport_size)
