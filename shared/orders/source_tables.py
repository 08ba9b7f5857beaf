"""The tables of the systems that may tell of orders, alike at a branch and at head office. Times: microseconds UTC."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)


class SourceTables(NamedTuple):
    """`secret` has the secrets of each source as they are: a signature can be verified with no less."""

    source: Table
    secret: Table


def source_tables(metadata: MetaData) -> SourceTables:
    """Define the tables in `metadata`."""
    source = Table(
        "inbound_source",
        metadata,
        Column("source", Text, primary_key=True),
        Column("hold_days", Integer, nullable=False),  # how long a placed order is held that names no expiry
        Column("created_at", BigInteger, nullable=False),
        CheckConstraint("hold_days BETWEEN 1 AND 366", name="inbound_source_hold_days"),
    )
    secret = Table(
        "inbound_secret",
        metadata,
        Column("source", Text, nullable=False),
        Column("number", BigInteger, nullable=False),  # of the source's secrets, from 1
        Column("secret", Text, nullable=False),
        Column("created_at", BigInteger, nullable=False),
        Column("expires_at", BigInteger),  # of one that was replaced
        PrimaryKeyConstraint("source", "number"),
        ForeignKeyConstraint(["source"], ["inbound_source.source"], name="inbound_secret_source"),
    )
    newest = text("expires_at IS NULL")
    # One at a time is not replaced.
    Index("inbound_secret_newest", secret.c.source, unique=True, sqlite_where=newest, postgresql_where=newest)
    return SourceTables(source, secret)
