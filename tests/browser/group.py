"""A head office and a branch as real processes, with their pages, for the browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.support.forked import larder, run_larder
from tests.support.processes import RunningProcess, free_port

PLACE = "BEY-01"
ITEMS = (("milk", "Whole milk", "l"), ("beans", "Coffee beans", "kg"), ("odd", "<b>حلوم</b> & co", "kg"))


class Group:
    """The branch is set up to ship to a head office that does not run before `open_office`."""

    def __init__(self, folder: Path, database_url: str, running: ExitStack) -> None:
        self._folder = folder
        self._running = running
        self._port = free_port()
        self.office_url = f"http://127.0.0.1:{self._port}"
        self._office = folder / "office"
        self.office_key = _answer("head-office", "init", "--dir", self._office, "--database-url", database_url)["key"]
        place = _answer(
            *("head-office", "locations", "add", PLACE, "--dir", self._office),
            *("--name", "Beirut, Hamra", "--timezone", "Asia/Beirut"),
        )
        branch = folder / "branch"
        self.branch_key = _answer(
            *("branch", "init", "--dir", branch, "--location", PLACE, "--timezone", "Asia/Beirut"),
            *("--head-office", self.office_url, "--key", place["key"]),
        )["key"]
        self.node = running.enter_context(
            larder("branch", "serve", "--dir", branch, "--port", "0", output=folder / "branch.log")
        )
        self.branch_url = _address(self.node)
        for item_id, name, unit in ITEMS:
            defined = httpx.put(
                f"{self.branch_url}/v1/items/{item_id}",
                json={"name": name, "unit": unit},
                headers={"Authorization": f"Bearer {self.branch_key}"},
            )
            assert defined.status_code == 200, defined.text

    def open_office(self) -> None:
        """Start head office: the line is up from now on."""
        office = self._running.enter_context(
            larder(
                *("head-office", "serve", "--dir", self._office, "--port", str(self._port)),
                output=self._folder / "office.log",
            )
        )
        assert _address(office) == self.office_url


@contextmanager
def a_group(folder: Path, database_url: str) -> Iterator[Group]:
    with ExitStack() as running:
        yield Group(folder, database_url, running)


def _answer(*arguments: str | Path) -> dict[str, str]:
    done = run_larder(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    answer: dict[str, str] = json.loads(done.stdout)
    return answer


def _address(service: RunningProcess) -> str:
    return service.wait_for(r"ready on (http://\S+)", timeout=60)[1]


class Visit:
    """A tab of somebody who is signed in; everything that it asked the network for is in `asked`."""

    def __init__(self, context: BrowserContext, address: str, key: str) -> None:
        self.asked: list[str] = []
        context.on("request", lambda request: self.asked.append(request.url))
        self.address = address
        self.page: Page = context.new_page()
        self.open("/")
        self.page.get_by_label("Key").fill(key)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("button", name="Sign out")).to_be_visible()

    def open(self, path: str) -> Page:
        self.page.goto(self.address + path)
        return self.page


@contextmanager
def a_context(browser: Browser, **options: object) -> Iterator[BrowserContext]:
    context = browser.new_context(**options)  # type: ignore[arg-type]
    context.set_default_timeout(15_000)
    yield context
    context.close()
