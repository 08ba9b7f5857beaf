"""A migrated head office for every test."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine

from head_office.database.schema import MIGRATIONS, VERSION_TABLE
from shared.runtime.database.engine import postgres_engine
from shared.runtime.database.migrations import migrate
from tests.support.consolidation import open_location


def one_location(url: str) -> None:
    engine = postgres_engine(url)
    migrate(engine, MIGRATIONS, VERSION_TABLE)
    with engine.begin() as connection:
        open_location(connection)
    engine.dispose()


@pytest.fixture
def office(postgres_url_factory: Callable[..., str]) -> Iterator[Engine]:
    """A head office with one location, BEY-01, that has no events."""
    engine = postgres_engine(postgres_url_factory(one_location))
    yield engine
    engine.dispose()
