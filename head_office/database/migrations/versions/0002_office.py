"""The catalogue, the API keys of the group, and the coordinator's instructions."""

from alembic import op

from shared.event_log import append_only_ddl

revision = "0002"
down_revision = "0001"

TABLES = """
CREATE TABLE item (
    item_id text NOT NULL,
    name text NOT NULL,
    unit text NOT NULL,
    category text,
    barcode text,
    strict_at text[] NOT NULL,
    PRIMARY KEY (item_id)
);
CREATE TABLE item_alias (
    location_id text NOT NULL,
    alias text NOT NULL,
    item_id text NOT NULL,
    PRIMARY KEY (location_id, alias)
);
CREATE TABLE reorder_level (
    location_id text NOT NULL,
    item_id text NOT NULL,
    level bigint NOT NULL,
    target bigint NOT NULL,
    PRIMARY KEY (location_id, item_id),
    CONSTRAINT reorder_level_up_to_target CHECK (0 <= level AND level <= target)
);
CREATE TABLE api_key (
    key_id text NOT NULL,
    key_hash text NOT NULL,
    role text NOT NULL,
    location_id text,
    label text,
    issued_at bigint NOT NULL,
    revoked_at bigint,
    PRIMARY KEY (key_id)
);
CREATE TABLE catalogue_head (
    single boolean NOT NULL,
    version bigint NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (single),
    CONSTRAINT catalogue_head_is_one_row CHECK (single)
) WITH (fillfactor = 50);
CREATE TABLE catalogue_entry (
    version bigint NOT NULL,
    kind text NOT NULL,
    location_id text,
    told boolean NOT NULL,
    content text NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (version)
);
CREATE TABLE transfer_token (
    transfer_id text NOT NULL,
    location_id text NOT NULL,
    token bigint NOT NULL,
    PRIMARY KEY (transfer_id, location_id)
) WITH (fillfactor = 80);
CREATE TABLE instruction_head (
    location_id text NOT NULL,
    number bigint NOT NULL,
    PRIMARY KEY (location_id)
) WITH (fillfactor = 50);
CREATE TABLE instruction (
    location_id text NOT NULL,
    transfer_id text NOT NULL,
    step text NOT NULL,
    number bigint NOT NULL,
    token bigint NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (location_id, transfer_id, step)
);
CREATE UNIQUE INDEX instruction_number ON instruction (location_id, number);
CREATE INDEX event_fact ON event (transfer_id, location_id, sequence) WHERE transfer_id IS NOT NULL;
CREATE INDEX event_item_defined ON event (location_id, sequence) WHERE type = 'ITEM_DEFINED';
INSERT INTO catalogue_head VALUES (true, 0, decode(repeat('00', 32), 'hex'));
"""


def upgrade() -> None:
    op.execute(TABLES)
    for statement in append_only_ddl("catalogue_entry", "postgresql"):
        op.execute(statement)
