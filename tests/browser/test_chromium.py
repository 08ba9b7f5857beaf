"""The browser that the tests of the pages rely on."""

import pytest
from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser


def test_a_page_is_shown(page: Page) -> None:
    page.set_content("<label>Waste <input name=waste></label><script>document.title = 'stock'</script>")
    page.get_by_label("Waste").fill("2.5")
    assert (page.title(), page.locator("input").input_value()) == ("stock", "2.5")


def test_pages_share_nothing(page: Page, browser: Browser) -> None:
    page.context.add_cookies([{"name": "who", "value": "mona", "url": "http://127.0.0.1"}])
    other = browser.new_context()
    assert other.cookies() == []
    other.close()
