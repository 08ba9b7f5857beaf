"""A migrated head office with three locations, for every test."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine, create_engine

from head_office import locations
from head_office.schema import MIGRATIONS, VERSION_TABLE
from shared.messages import CatalogueLocation
from shared.runtime.database import postgres_engine
from shared.runtime.migrations import migrate

PLACES = ("BEY-01", "BEY-02", "WH-1")


def three_locations(url: str) -> None:
    engine = create_engine(url)
    migrate(engine, MIGRATIONS, VERSION_TABLE)
    with engine.begin() as connection:
        for location_id in PLACES:
            locations.add(
                connection,
                CatalogueLocation(
                    location_id=location_id, name=f"Place {location_id}", timezone="Asia/Beirut", day_start=240
                ),
            )
    engine.dispose()


@pytest.fixture
def office_url(postgres_url_factory: Callable[..., str]) -> str:
    return postgres_url_factory(three_locations)


@pytest.fixture
def office(office_url: str) -> Iterator[Engine]:
    engine = postgres_engine(office_url)
    yield engine
    engine.dispose()
