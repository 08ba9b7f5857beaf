"""Fixtures and options that all tests share."""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.databases import Databases, database_server
from tests.support.memory_folder import use_memory_for_temporary_files
from tests.support.strict_skips import (  # noqa: F401 - hooks, found by name
    pytest_addoption,
    pytest_make_collect_report,
    pytest_runtest_makereport,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


use_memory_for_temporary_files()
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts a job in the background with SIGINT ignored, and every process of the tests would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """What the imports and the collection made lives to the end: looking it through again and again is a tenth of
    the run."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """The PostgreSQL of this worker. Prefer `pg_database` or `postgres_url_factory`, which clean up after each test."""
    with database_server(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def postgres_url_factory(databases: Databases) -> Iterator[Callable[..., str]]:
    """Call it for the URL of a fresh database, as often as wanted; pass a function of its URL, such as one that runs
    the migrations, to have it prepared. That function runs once a session."""
    made: list[str] = []

    def create(prepare: Callable[[str], object] | None = None) -> str:
        made.append(databases.create(prepare))
        return made[-1]

    yield create
    for url in made:
        databases.drop(url)


@pytest.fixture
def pg_database(postgres_url_factory: Callable[..., str]) -> str:
    """The URL of a fresh, empty database, `postgresql+psycopg://…`."""
    return postgres_url_factory()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium for the length of a module. While it lives an event loop runs in this thread, which no other test
    that calls asyncio.run would survive."""
    from tests.support.browser import chromium  # here, as few tests need it

    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page in a context of its own: no cookies, no storage of another test."""
    context = browser.new_context()
    yield context.new_page()
    context.close()
