"""The databases that a deliverer may stand on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.delivery_rig import DeliveryRig


@pytest.fixture(params=["sqlite", "postgresql"])
def any_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'subscriptions.db'}"
    make: Callable[[], str] = request.getfixturevalue("postgres_url_factory")
    return make()


@pytest.fixture
def rig(any_url: str) -> Iterator[DeliveryRig]:
    made = DeliveryRig(any_url)
    yield made
    made.close()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[DeliveryRig]:
    """On SQLite."""
    made = DeliveryRig(f"sqlite:///{tmp_path / 'subscriptions.db'}")
    yield made
    made.close()
