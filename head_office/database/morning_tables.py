"""The tables of the reports that are made each morning, and of the mails about them.

They join the MetaData of `schema`. Times are microseconds UTC, dates as 2026-01-31 on the location's calendar.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    literal_column,
)

from head_office.database.schema import metadata

# Append-only: what was made on a morning stays. Its figures follow from its moments, so they are not kept.
PURCHASING_MORNING: Final = Table(
    "purchasing_morning",
    metadata,
    Column("location_id", Text, nullable=False),
    Column("date", Text, nullable=False),
    Column("as_of", BigInteger, nullable=False),
    Column("known_at", BigInteger, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("window_days", Integer, nullable=False),
    Column("sequence", BigInteger, nullable=False),  # the cut: the last one of the location known then
    Column("state", Text, nullable=False),
    Column("listed", Integer, nullable=False),  # how many items were to be ordered
    PrimaryKeyConstraint("location_id", "date"),
    CheckConstraint("as_of <= known_at AND known_at <= made_at", name="purchasing_morning_moments"),
    CheckConstraint("state IN ('FRESH', 'BLIND', 'INCOMPLETE')", name="purchasing_morning_state"),
    CheckConstraint("sequence >= 0 AND listed >= 0 AND window_days > 0", name="purchasing_morning_figures"),
    Index("purchasing_morning_date", "date", "location_id"),
)

PURCHASING_MAIL: Final = Table(
    "purchasing_mail",
    metadata,
    Column("mail_id", Text, primary_key=True),
    Column("date", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_try_at", BigInteger, nullable=False),  # also how long the process that sends it has for it
    Column("sent_at", BigInteger),
    Column("error", Text),  # of the last attempt; where it was sent: who did not get it
    CheckConstraint("state IN ('WAITING', 'SENT', 'GIVEN_UP')", name="purchasing_mail_state"),
    CheckConstraint("(state = 'SENT') = (sent_at IS NOT NULL)", name="purchasing_mail_is_sent"),
)

WAITING_MAIL: Final = PURCHASING_MAIL.c.state == literal_column("'WAITING'")
"""What `purchasing_mail_waiting` finds: few of all mails."""
Index("purchasing_mail_waiting", PURCHASING_MAIL.c.next_try_at, postgresql_where=WAITING_MAIL)

# The mornings that are mailed; mail_id: in which mail, None until the round that made them has ended.
MAILED_MORNING: Final = Table(
    "mailed_morning",
    metadata,
    Column("location_id", Text, nullable=False),
    Column("date", Text, nullable=False),
    Column("mail_id", Text),
    PrimaryKeyConstraint("location_id", "date"),
    ForeignKeyConstraint(["mail_id"], ["purchasing_mail.mail_id"]),
    Index("mailed_morning_mail", "mail_id"),
)

UNGATHERED: Final = MAILED_MORNING.c.mail_id.is_(None)
