"""Addresses of PostgreSQL in libpq's own form with several hosts; connections without prepared statements, and what
they take for a server that vanished."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url, text

from shared.runtime.database.engine import listening_connection, postgres_engine
from shared.runtime.database_url import database_url
from shared.runtime.settings import PostgresSettings, SettingsError, load_settings
from tests.support.statements import prepared_statements


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
    assert (prepared_statements(engine) > 0) == prepared
    engine.dispose()


def time_outs(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """What the connection's socket has: seconds of silence before the first probe, seconds between probes, how many
    are sent, and milliseconds that what was sent may stay without an acknowledgement."""
    with socket.socket(fileno=os.dup(connection.fileno())) as copy:
        return {
            name: copy.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
            for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
        }


def test_every_connection_gives_up_a_server_that_vanished(postgres_url: str) -> None:
    """The one that listens too: it sends so seldom that nothing else would tell."""
    expected = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 30_000}
    engine = postgres_engine(postgres_url)
    with engine.connect() as pooled, listening_connection(postgres_url, "test") as listening:
        driver = pooled.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        assert (time_outs(driver), time_outs(listening)) == (expected, expected)
    engine.dispose()
    # What the address says stays.
    address = make_url(postgres_url).update_query_dict({"keepalives_idle": "7"}).render_as_string(hide_password=False)
    with listening_connection(address, "test") as listening:
        assert time_outs(listening) == {**expected, "TCP_KEEPIDLE": 7}
