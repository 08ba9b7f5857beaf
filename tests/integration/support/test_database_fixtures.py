"""What the fixtures promise to all other tests."""

from collections.abc import Callable

import psycopg
import pytest
import sqlalchemy as sa

from tests.support.databases import IMAGE, IMAGE_SETTING, Databases, _container, container_image
from tests.support.strict_skips import require_docker


def run(url: str, statement: str) -> list[tuple[object, ...]]:
    engine = sa.create_engine(url)
    try:
        with engine.begin() as connection:
            result = connection.execute(sa.text(statement))
            return [tuple(row) for row in result] if result.returns_rows else []
    finally:
        engine.dispose()


prepared: list[str] = []


def prepare(url: str) -> None:
    prepared.append(url)
    run(url, "CREATE TABLE shelf AS SELECT 7 AS jars")


def test_every_database_is_empty_and_its_own(postgres_url_factory: Callable[..., str], pg_database: str) -> None:
    first, second = postgres_url_factory(), postgres_url_factory()
    assert len({first, second, pg_database}) == 3
    run(first, "CREATE TABLE shelf (jars int)")
    for url in (second, pg_database):
        assert run(url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_a_prepared_database_is_a_copy_of_one_that_was_prepared_once(postgres_url_factory: Callable[..., str]) -> None:
    prepared.clear()
    urls = [postgres_url_factory(prepare) for _ in range(3)]
    assert len(prepared) <= 1  # none when this test runs again in the same session
    run(urls[0], "UPDATE shelf SET jars = 8")
    assert [run(url, "SELECT jars FROM shelf") for url in urls] == [[(8,)], [(7,)], [(7,)]]


def test_a_database_is_dropped_though_somebody_is_connected(databases: Databases) -> None:
    with databases.fresh() as url:
        left_open = psycopg.connect(url.replace("+psycopg", ""))
    with psycopg.connect(databases.create().replace("+psycopg", "")) as other:
        name = url.rsplit("/", 1)[1]
        assert other.execute("SELECT count(*) FROM pg_database WHERE datname = %s", [name]).fetchone() == (0,)
    left_open.close()


def test_utf8_and_code_point_order(pg_database: str) -> None:
    assert run(pg_database, "SHOW server_encoding") == [("UTF8",)]
    rows = run(pg_database, "SELECT x FROM (VALUES ('b'), ('A'), ('é'), ('a'), ('B')) AS t(x) ORDER BY x COLLATE \"C\"")
    assert [row[0] for row in rows] == sorted(["b", "A", "é", "a", "B"])


def test_a_container_serves_where_docker_answers() -> None:
    require_docker()
    with _container() as url:
        version = run(url, "SHOW server_version")[0][0]
        assert str(version).startswith(IMAGE.rsplit(":", 1)[1])
        databases = Databases(url, fast=True)
        with databases.fresh(prepare) as copy:
            assert run(copy, "SELECT jars FROM shelf") == [(7,)]


def test_the_image_of_the_container_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(IMAGE_SETTING, raising=False)
    assert container_image() == IMAGE
    monkeypatch.setenv(IMAGE_SETTING, "registry.example/postgres:16")
    assert container_image() == "registry.example/postgres:16"


def test_the_container_is_of_the_image_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Docker: what would be started."""
    asked: list[str] = []

    class Refused(Exception):
        """No container is started here."""

    def start(image: str, **_options: object) -> None:
        asked.append(image)
        raise Refused

    monkeypatch.setenv(IMAGE_SETTING, "registry.example/postgres:16")
    monkeypatch.setattr("testcontainers.community.postgres.PostgresContainer", start)
    with pytest.raises(Refused), _container():
        pass
    assert asked == ["registry.example/postgres:16"]
