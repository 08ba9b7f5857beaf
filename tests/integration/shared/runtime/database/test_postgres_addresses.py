"""Addresses of PostgreSQL in libpq's own form with several hosts, and connections without prepared statements."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from shared.runtime.database.engine import listening_connection, postgres_engine
from shared.runtime.database_url import database_url
from shared.runtime.settings import PostgresSettings, SettingsError, load_settings


def several_hosts(url: str, *others: int) -> str:
    """The same database in libpq's form, after hosts where nothing listens."""
    parsed = make_url(url)
    hosts = ",".join([*(f"127.0.0.1:{port}" for port in others), f"127.0.0.1:{parsed.port}"])
    return f"postgresql://{parsed.username}:{parsed.password}@{hosts}/{parsed.database}?target_session_attrs=read-write"


@pytest.fixture
def postgres_url(postgres_url_factory: Callable[..., str]) -> str:
    return postgres_url_factory()


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_the_host_that_answers_is_used(postgres_url: str, closed_port: int, tmp_path: Path) -> None:
    address = several_hosts(postgres_url, closed_port)
    settings = load_settings(PostgresSettings, {"dir": tmp_path, "database_url": address})
    assert settings.database_url is not None
    engine = postgres_engine(settings.database_url.get_secret_value())
    with engine.connect() as connection:
        assert connection.execute(text("SELECT current_database()")).scalar_one() == make_url(postgres_url).database
    engine.dispose()
    with listening_connection(address, "test") as listening:
        row = listening.execute("SHOW application_name").fetchone()
    assert row == ("test",)


@pytest.mark.parametrize(
    ("address", "hosts", "query"),
    [
        ("postgresql://u:p%40@h1:1,h2:2/db", ("h1:1", "h2:2"), {}),
        ("postgres://u@h1,h2:7/db?sslmode=require", ("h1:5432", "h2:7"), {"sslmode": "require"}),
        ("postgresql+psycopg://u@h1,h2/db?connect_timeout=3", ("h1:5432", "h2:5432"), {"connect_timeout": "3"}),
    ],
)
def test_an_address_with_several_hosts(address: str, hosts: tuple[str, ...], query: dict[str, str]) -> None:
    url = database_url(address)
    assert (url.get_backend_name(), url.username, url.database) == ("postgresql", "u", "db")
    assert url.query == {**query, "host": hosts}
    assert "p@" not in url.render_as_string()


@pytest.mark.parametrize(
    "address", ["postgresql://u@h1:x,h2/db", "mysql://h1,h2/db", "h1,h2", "postgresql://h1:1:1,h2/"]
)
def test_an_address_that_cannot_be_read_is_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="database_url"):
        load_settings(PostgresSettings, {"dir": tmp_path, "database_url": address})


@pytest.mark.parametrize("prepared", [True, False])
def test_prepared_statements_can_be_switched_off(postgres_url: str, prepared: bool) -> None:
    engine = postgres_engine(postgres_url, pool_size=1, prepared_statements=prepared)
    with engine.connect() as connection:
        for number in range(20):
            connection.execute(text("SELECT :number + 1"), {"number": number})
        kept = connection.execute(text("SELECT count(*) FROM pg_prepared_statements")).scalar_one()
    engine.dispose()
    assert (kept > 0) == prepared
