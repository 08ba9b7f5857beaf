"""A migrated head office for every test."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine, create_engine

from head_office.schema import MIGRATIONS, VERSION_TABLE
from shared.runtime.database import postgres_engine
from shared.runtime.migrations import migrate


def migrated(url: str) -> None:
    engine = create_engine(url)
    migrate(engine, MIGRATIONS, VERSION_TABLE)
    engine.dispose()


@pytest.fixture
def office(postgres_url_factory: Callable[..., str]) -> Iterator[Engine]:
    """An empty head office: no locations."""
    engine = postgres_engine(postgres_url_factory(migrated))
    yield engine
    engine.dispose()
