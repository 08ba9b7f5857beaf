"""Small head offices: that of the log's tests, and one with three locations of the catalogue."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from sqlalchemy import Engine

from shared.runtime.database.engine import postgres_engine
from tests.integration.head_office.conftest import three_locations
from tests.integration.head_office.log.conftest import office  # noqa: F401 - a fixture, found by name


@pytest.fixture
def group_office(office_url: str) -> Iterator[Engine]:
    """BEY-01, BEY-02 and WH-1 are in the catalogue, with empty logs."""
    engine = postgres_engine(office_url)
    yield engine
    engine.dispose()


@pytest.fixture
def fresh_office(postgres_url_factory: Callable[..., str]) -> Callable[[], AbstractContextManager[Engine]]:
    """Call it for an office as `group_office` of its own, for each example of a property."""

    @contextmanager
    def made() -> Iterator[Engine]:
        engine = postgres_engine(postgres_url_factory(three_locations))
        yield engine
        engine.dispose()

    return made
