"""The table of when each branch was in contact. It joins the MetaData of `schema`; times are microseconds UTC."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, PrimaryKeyConstraint, Table, Text

from head_office.database.schema import metadata

# One row for calls that were answered with one verdict and followed each other without a long silence. While a run goes
# on its last call is that of `contact`, so that a call costs no more than before.
CONTACT_RUN: Final = Table(
    "contact_run",
    metadata,
    Column("location_id", Text, nullable=False),
    Column("began_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),  # its last call; None: it goes on
    Column("verdict", Text, nullable=False),
    PrimaryKeyConstraint("location_id", "began_at"),
    CheckConstraint("ended_at >= began_at", name="contact_run_extent"),
)

GOES_ON: Final = CONTACT_RUN.c.ended_at.is_(None)
"""What `contact_run_open` finds: at most one run of a location."""
Index("contact_run_open", CONTACT_RUN.c.location_id, unique=True, postgresql_where=GOES_ON)
