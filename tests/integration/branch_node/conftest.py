"""A branch's database on each of the two it may stand on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from branch_node.database.store import Store
from tests.support.branch import Branch, a_branch, branch_store
from tests.support.branch_api import Caller, a_caller

BOTH = ["sqlite", "postgresql"]


@pytest.fixture(params=BOTH)
def any_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'branch.db'}"
    make: Callable[[], str] = request.getfixturevalue("postgres_url_factory")
    return make()


@pytest.fixture
def any_store(any_url: str, tmp_path: Path) -> Iterator[Store]:
    store = branch_store(tmp_path, any_url)
    yield store
    store.close()


@pytest.fixture
def any_branch(any_url: str, tmp_path: Path) -> Iterator[Branch]:
    with a_branch(tmp_path, any_url) as branch:
        yield branch


@pytest.fixture
def branch(tmp_path: Path) -> Iterator[Branch]:
    with a_branch(tmp_path) as made:
        yield made


@pytest.fixture
def any_caller(any_url: str, tmp_path: Path) -> Iterator[Caller]:
    with a_caller(tmp_path, any_url) as caller:
        yield caller


@pytest.fixture
def caller(tmp_path: Path) -> Iterator[Caller]:
    with a_caller(tmp_path) as made:
        yield made
