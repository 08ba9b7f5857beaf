"""The address of a database as SQLAlchemy reads it, also in libpq's own form with several hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import URL


def database_url(text: str) -> URL:
    """The URL of a database: what SQLAlchemy reads, or `postgresql://user:password@h1:p1,h2:p2/db` of libpq.

    Raises ValueError where it is neither; its text holds nothing of the address.
    """
    from sqlalchemy import make_url  # imported here, as most commands do not need it
    from sqlalchemy.exc import ArgumentError

    scheme, separator, rest = text.partition("://")
    hosts = rest.partition("/")[0].partition("?")[0].rpartition("@")[2]
    try:
        if separator and "," in hosts and scheme.partition("+")[0] in {"postgresql", "postgres"}:
            return _of_several_hosts(f"postgresql://{rest}")
        return make_url(text)
    except (ArgumentError, ValueError) as error:
        raise ValueError("a database's address is like postgresql://user:password@host/database") from error


def _of_several_hosts(text: str) -> URL:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict
    from sqlalchemy import URL

    try:
        found = {name: str(value) for name, value in conninfo_to_dict(text).items() if value is not None}
    except psycopg.ProgrammingError as error:
        raise ValueError("libpq cannot read the address") from error
    user, password, database = (found.pop(name, None) for name in ("user", "password", "dbname"))
    hosts, ports = found.pop("host", "").split(","), found.pop("port", "").split(",")
    if len(ports) not in {1, len(hosts)} or any(port and not port.isdecimal() for port in ports):
        raise ValueError("a port is no number, or the address has not as many ports as hosts")
    ports = ports if len(ports) == len(hosts) else ports * len(hosts)
    # A port that is left out is libpq's own.
    pairs = tuple(f"{host}:{port or 5432}" for host, port in zip(hosts, ports, strict=True))
    return URL.create("postgresql+psycopg", user, password, database=database, query={**found, "host": pairs})
