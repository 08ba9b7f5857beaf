"""The tables of orders that other systems tell head office of: what was told, and what was asked of which location.

They join the MetaData of `schema`. The first two grow with what other systems tell, not with a log: their keys begin
with the source and its order. Times are microseconds UTC, quantities thousandths.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

from head_office.database.schema import metadata

ROUTED_ORDER: Final = Table(
    "routed_order",
    metadata,
    Column("source", Text, nullable=False),
    Column("order_id", Text, nullable=False),
    # What `head_office.orders.order_course` makes of what was told, asked and answered.
    Column("revision", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("location_id", Text),  # of its home
    Column("cancelled", Boolean(create_constraint=False), nullable=False),
    Column("told_at", BigInteger, nullable=False),  # the first event
    Column("changed_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("source", "order_id"),
    Index("routed_order_state", "state", "source", "order_id"),
    Index("routed_order_location", "location_id", "source", "order_id"),
)

ROUTED_EVENT: Final = Table(
    "routed_event",
    metadata,
    Column("source", Text, nullable=False),
    Column("order_id", Text, nullable=False),
    Column("number", Integer, nullable=False),  # of the order's events, from 1
    Column("command_key", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("event_source", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("location_id", Text),  # the one that it names
    Column("digest", LargeBinary(32), nullable=False),  # of its content
    Column("body", LargeBinary, nullable=False),  # a ToldContent as JSON
    Column("told_at", BigInteger, nullable=False),
    # What it was answered, for ever: `asked` and where, or its outcome. The short items as JSON.
    Column("answered", Text, nullable=False),
    Column("answered_location", Text),
    Column("answered_short", LargeBinary),
    # What became of it; None until that is known.
    Column("outcome", Text),
    Column("reason", Text),
    Column("short", LargeBinary),
    Column("settled_at", BigInteger),
    PrimaryKeyConstraint("source", "order_id", "number"),
    Index("routed_event_key", "source", "command_key", unique=True),
    CheckConstraint("number > 0", name="routed_event_number"),
    CheckConstraint("(outcome IS NULL) = (settled_at IS NULL)", name="routed_event_settled_is_whole"),
)

ORDER_INSTRUCTION_HEAD: Final = Table(
    "order_instruction_head",
    metadata,
    Column("location_id", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),  # the last one given
)

ORDER_INSTRUCTION: Final = Table(
    "order_instruction",
    metadata,
    Column("location_id", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("command_key", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("order_id", Text, nullable=False),
    Column("event_number", Integer, nullable=False),
    Column("step", Integer, nullable=False),  # among all that was asked for the order, from 1
    Column("aside", Boolean(create_constraint=False), nullable=False),
    Column("body", LargeBinary, nullable=False),  # the OrderInstruction as JSON, its number left out
    Column("asked_at", BigInteger, nullable=False),
    # The answer, once the router has read it from the log: a RecordedOutcome as JSON.
    Column("answer", LargeBinary),
    Column("answered_at", BigInteger),
    PrimaryKeyConstraint("location_id", "number"),
    Index("order_instruction_key", "location_id", "command_key", unique=True),
    Index("order_instruction_order", "source", "order_id", "step"),
    Index("order_instruction_open", "location_id", "number", postgresql_where=text("answer IS NULL")),
    CheckConstraint("(answer IS NULL) = (answered_at IS NULL)", name="order_instruction_answer_is_whole"),
)
