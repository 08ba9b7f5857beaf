"""migrate: twice, by two at once, on a newer database; one failed migration leaves nothing."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from shared.runtime.database.engine import sqlite_engine
from shared.runtime.database.migrations import DatabaseVersionError, migrate, pending_upgrade

ENV = """
import sqlalchemy as sa
from shared.runtime.database.migrations import run_environment
run_environment(sa.MetaData())
"""
REVISION = """
import sqlalchemy as sa
from alembic import op
revision = {revision!r}
down_revision = {down!r}
def upgrade():
    op.create_table({table!r}, sa.Column("number", sa.Integer, primary_key=True))
    {more}
"""


@pytest.fixture
def history(tmp_path: Path) -> Path:
    folder = tmp_path / "odd 100% folder" / "migrations"
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").write_text(ENV)
    add(folder, "0001", None, "first")
    return folder


def add(folder: Path, revision: str, down: str | None, table: str, more: str = "pass") -> None:
    text = REVISION.format(revision=revision, down=down, table=table, more=more)
    (folder / "versions" / f"{revision}.py").write_text(text)


def tables(engine: sa.Engine) -> set[str]:
    return set(sa.inspect(engine).get_table_names())


def test_to_the_newest_and_again(tmp_path: Path, history: Path) -> None:
    engine = sqlite_engine(tmp_path / "a.db")
    assert pending_upgrade(engine, history, "version_of_a")
    assert migrate(engine, history, "version_of_a") == "0001"
    assert not pending_upgrade(engine, history, "version_of_a")
    assert migrate(engine, history, "version_of_a") == "0001"
    add(history, "0002", "0001", "second")
    assert pending_upgrade(engine, history, "version_of_a")
    assert migrate(engine, history, "version_of_a") == "0002"
    assert tables(engine) == {"first", "second", "version_of_a"}


def test_a_newer_database_is_refused_in_one_clear_line(tmp_path: Path, history: Path) -> None:
    engine = sqlite_engine(tmp_path / "a.db")
    add(history, "0002", "0001", "second")
    migrate(engine, history, "v")
    (history / "versions" / "0002.py").unlink()
    for call in (migrate, pending_upgrade):
        with pytest.raises(DatabaseVersionError, match=r"newer Larder.*upgrade Larder") as caught:
            call(engine, history, "v")
        assert "\n" not in str(caught.value)


def test_a_failing_migration_leaves_the_database_as_it_was(tmp_path: Path, history: Path) -> None:
    engine = sqlite_engine(tmp_path / "a.db")
    migrate(engine, history, "v")
    add(history, "0002", "0001", "second", more="raise RuntimeError('half way')")
    with pytest.raises(RuntimeError, match="half way"):
        migrate(engine, history, "v")
    assert tables(engine) == {"first", "v"}
    assert pending_upgrade(engine, history, "v")


def test_two_starters_do_not_race(tmp_path: Path, history: Path) -> None:
    # A new file each time, as the race is for making it.
    for number in range(5):
        assert start_together(4, tmp_path / f"{number}.db", history) == ["0001"] * 4


def start_together(starters: int, path: Path, history: Path) -> list[str]:
    start = threading.Barrier(starters)

    def starter(_number: int) -> str:
        engine = sqlite_engine(path)
        start.wait(30)
        try:
            return migrate(engine, history, "v")
        finally:
            engine.dispose()

    with ThreadPoolExecutor(starters) as pool:
        return list(pool.map(starter, range(starters)))
