"""The page /docs in a browser: from this machine alone, by keyboard, in light and dark."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.forked import larder, run_larder

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def _listen(page: Page, asked: list[str], said: list[str]) -> None:
    """Keep the addresses that a page asks for, and what it writes to the console."""
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))


def test_the_documentation_of_the_api(browser: Browser, tmp_path: Path) -> None:
    made = run_larder("branch", "init", "--dir", tmp_path / "node", "--location", "BEY-01")
    assert made.returncode == 0, made.stderr
    with larder("branch", "serve", "--dir", tmp_path / "node", "--port", "0", output=tmp_path / "log") as node:
        url = node.wait_for(r"http://127\.0\.0\.1:\d+")[0]
        for scheme in ("light", "dark"):
            context = browser.new_context(color_scheme=scheme)
            page = context.new_page()
            page.set_default_timeout(30_000)
            asked: list[str] = []
            said: list[str] = []
            _listen(page, asked, said)
            page.goto(f"{url}/docs")
            order = page.locator("[id$=record_order_v1_orders_post]")
            expect(order).to_be_visible(timeout=30_000)
            expect(page.get_by_text("A till, step by step").first).to_be_visible()
            expect(page.get_by_text("Without the header").first).to_be_visible()
            assert page.evaluate("document.documentElement.classList.contains('dark-mode')") is (scheme == "dark")
            # By keyboard alone: the operation opens, and shows its example and what a request without a key does.
            order.locator("button").first.focus()
            page.keyboard.press("Enter")
            expect(order.get_by_text("salad")).to_be_visible()
            expect(order.get_by_text("other lines under the same revision are refused")).to_be_visible()
            assert [each for each in asked if not each.startswith((url, "data:"))] == []
            assert said == []
            context.close()
        with_a_typo = browser.new_page()
        answer = with_a_typo.goto(f"{url}/v1/stok")
        assert answer is not None
        assert (answer.status, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
        with_a_typo.get_by_role("link", name="/docs").click()
        expect(with_a_typo).to_have_url(f"{url}/docs")
        with_a_typo.close()
