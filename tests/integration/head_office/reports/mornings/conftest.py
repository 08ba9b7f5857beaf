"""A head office with locations in two zones, whose clock the test sets."""

from collections.abc import Callable, Iterator

import pytest

from shared.runtime.database.engine import postgres_engine
from tests.support.morning_rig import MorningRig, three_places


@pytest.fixture
def rig_url(postgres_url_factory: Callable[..., str]) -> str:
    return postgres_url_factory(three_places)


@pytest.fixture
def rig(rig_url: str) -> Iterator[MorningRig]:
    engine = postgres_engine(rig_url)
    yield MorningRig(engine)
    engine.dispose()
