"""Small head offices: that of the log's tests, and one with three locations of the catalogue."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from shared.runtime.database.engine import postgres_engine
from tests.integration.head_office.log.conftest import office  # noqa: F401 - a fixture, found by name


@pytest.fixture
def group_office(office_url: str) -> Iterator[Engine]:
    """BEY-01, BEY-02 and WH-1 are in the catalogue, with empty logs."""
    engine = postgres_engine(office_url)
    yield engine
    engine.dispose()
