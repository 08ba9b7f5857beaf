"""Transfers with lease and journal, the facts heard of them, and what head office told of the group."""

from alembic import op

from shared.event_log import append_only_ddl

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE transfer (
    transfer_id text NOT NULL,
    source text NOT NULL,
    destination text NOT NULL,
    mode text NOT NULL,
    deadline bigint,
    created_at bigint NOT NULL,
    created_by text,
    command_key text,
    digest bytea,
    cancel_requested_at bigint,
    cancel_requested_by text,
    state text NOT NULL,
    end_reason text,
    ended_at bigint,
    conflict text,
    asked text[] NOT NULL,
    last_step text,
    attempts integer NOT NULL,
    asked_at bigint,
    token bigint NOT NULL,
    lease_holder text,
    lease_expires_at bigint,
    due_at bigint,
    journal_length integer NOT NULL,
    PRIMARY KEY (transfer_id),
    CONSTRAINT transfer_command_key UNIQUE (command_key),
    CONSTRAINT transfer_goes_somewhere CHECK (source <> destination),
    CONSTRAINT transfer_mode CHECK (mode IN ('immediate')),
    CONSTRAINT transfer_state CHECK (state IN ('REQUESTED', 'OUT_PENDING', 'OUT_CANCEL_PENDING', 'IN_PENDING',
        'CANCEL_PENDING', 'REVERSE_PENDING', 'COMPLETED', 'REVERSED', 'REJECTED')),
    CONSTRAINT transfer_end_is_whole CHECK ((state IN ('COMPLETED', 'REJECTED', 'REVERSED')) = (ended_at IS NOT NULL)
        AND (ended_at IS NULL) = (end_reason IS NULL) AND (ended_at IS NULL) = (due_at IS NOT NULL)),
    CONSTRAINT transfer_lease_is_whole CHECK ((lease_holder IS NULL) = (lease_expires_at IS NULL)),
    CONSTRAINT transfer_ended_is_nobodys CHECK (ended_at IS NULL OR lease_holder IS NULL),
    CONSTRAINT transfer_token_fences CHECK (token >= 0 AND (lease_holder IS NULL OR token > 0)),
    CONSTRAINT transfer_counts CHECK (attempts >= 0 AND journal_length >= 0),
    CONSTRAINT transfer_asked_steps CHECK (asked <@ ARRAY['out', 'refuse-out', 'in', 'refuse-in', 'reverse']),
    CONSTRAINT transfer_digest CHECK (octet_length(digest) = 32)
) WITH (fillfactor = 70);
CREATE INDEX transfer_due ON transfer (due_at) WHERE ended_at IS NULL;
CREATE INDEX transfer_listed ON transfer (created_at, transfer_id);
CREATE INDEX transfer_state_listed ON transfer (state, created_at, transfer_id);
CREATE INDEX transfer_source ON transfer (source, created_at, transfer_id);
CREATE INDEX transfer_destination ON transfer (destination, created_at, transfer_id);

CREATE TABLE transfer_line (
    transfer_id text NOT NULL REFERENCES transfer (transfer_id),
    line integer NOT NULL,
    item_id text NOT NULL,
    quantity bigint NOT NULL,
    unit text NOT NULL,
    PRIMARY KEY (transfer_id, line),
    CONSTRAINT transfer_line_item UNIQUE (transfer_id, item_id),
    CONSTRAINT transfer_line_counts_from_one CHECK (line > 0),
    CONSTRAINT transfer_line_quantity CHECK (quantity BETWEEN 1 AND 1000000000000)
);
CREATE TABLE journal (
    transfer_id text NOT NULL REFERENCES transfer (transfer_id),
    number integer NOT NULL,
    token bigint NOT NULL,
    at bigint NOT NULL,
    holder text NOT NULL,
    state text NOT NULL,
    asked text,
    note text,
    PRIMARY KEY (transfer_id, number),
    CONSTRAINT journal_counts_from_one CHECK (number > 0),
    CONSTRAINT journal_state CHECK (state IN ('REQUESTED', 'OUT_PENDING', 'OUT_CANCEL_PENDING', 'IN_PENDING',
        'CANCEL_PENDING', 'REVERSE_PENDING', 'COMPLETED', 'REVERSED', 'REJECTED')),
    CONSTRAINT journal_asked CHECK (asked IN ('out', 'refuse-out', 'in', 'refuse-in', 'reverse'))
);
CREATE TABLE fact (
    transfer_id text NOT NULL,
    location_id text NOT NULL,
    sequence bigint NOT NULL,
    type text NOT NULL,
    item_id text,
    quantity bigint,
    reason text,
    occurred_at bigint NOT NULL,
    received_at bigint NOT NULL,
    PRIMARY KEY (transfer_id, location_id, sequence)
);
CREATE TABLE stray (
    transfer_id text NOT NULL,
    heard_at bigint NOT NULL,
    why text NOT NULL,
    PRIMARY KEY (transfer_id)
);
CREATE TABLE feed (
    name text NOT NULL,
    cursor text NOT NULL,
    hash text NOT NULL,
    moved_at bigint NOT NULL,
    PRIMARY KEY (name)
);
CREATE TABLE known_location (
    location_id text NOT NULL,
    name text NOT NULL,
    PRIMARY KEY (location_id)
);
CREATE TABLE known_item (
    item_id text NOT NULL,
    name text NOT NULL,
    unit text NOT NULL,
    PRIMARY KEY (item_id)
);
CREATE TABLE known_key (
    key_id text NOT NULL,
    key_hash text NOT NULL,
    role text NOT NULL,
    location_id text,
    revoked_at bigint,
    PRIMARY KEY (key_id)
);
"""

FUNCTIONS = """
CREATE FUNCTION larder_now() RETURNS bigint LANGUAGE sql VOLATILE AS
$$ SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint $$;
COMMENT ON FUNCTION larder_now() IS 'Microseconds UTC: the only clock of SQL here, replaced in simulations.';

CREATE FUNCTION guard_transfer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'UPDATE' THEN
        RAISE EXCEPTION 'larder: a transfer is never deleted' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.token < OLD.token THEN
        RAISE EXCEPTION 'larder: the fencing token of % only grows', OLD.transfer_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.lease_holder IS NOT NULL AND NEW.lease_holder IS DISTINCT FROM OLD.lease_holder AND NEW.token = OLD.token
    THEN
        RAISE EXCEPTION 'larder: the lease of % changes hands under a higher token only', OLD.transfer_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.ended_at IS NOT NULL
        AND ROW (NEW.state, NEW.ended_at, NEW.end_reason) IS DISTINCT FROM ROW (OLD.state, OLD.ended_at, OLD.end_reason)
    THEN
        RAISE EXCEPTION 'larder: % has ended as %', OLD.transfer_id, OLD.state
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF ROW (NEW.transfer_id, NEW.source, NEW.destination, NEW.mode, NEW.deadline, NEW.created_at, NEW.digest)
        IS DISTINCT FROM
        ROW (OLD.transfer_id, OLD.source, OLD.destination, OLD.mode, OLD.deadline, OLD.created_at, OLD.digest)
        OR NOT NEW.asked @> OLD.asked OR NEW.journal_length < OLD.journal_length
    THEN
        RAISE EXCEPTION 'larder: what was asked for in % does not change', OLD.transfer_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER transfer_guard BEFORE UPDATE OR DELETE ON transfer FOR EACH ROW EXECUTE FUNCTION guard_transfer();
CREATE TRIGGER transfer_no_truncate BEFORE TRUNCATE ON transfer FOR EACH STATEMENT EXECUTE FUNCTION guard_transfer();
"""

APPEND_ONLY = ("transfer_line", "journal", "fact")


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(FUNCTIONS)
    for table in APPEND_ONLY:
        for statement in append_only_ddl(table, "postgresql"):
            op.execute(statement)
