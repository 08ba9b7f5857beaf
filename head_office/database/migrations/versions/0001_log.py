"""The consolidated log, how it arrived, and what is derived from it."""

from alembic import op

from shared.event_log import append_only_ddl

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE location (
    location_id text NOT NULL,
    name text NOT NULL,
    timezone text NOT NULL,
    day_start integer NOT NULL,
    added_at bigint NOT NULL,
    PRIMARY KEY (location_id),
    CONSTRAINT location_day_start CHECK (day_start BETWEEN 0 AND 1439)
);
CREATE TABLE head (
    location_id text NOT NULL,
    epoch bigint NOT NULL,
    sequence bigint NOT NULL,
    hash bytea NOT NULL,
    received_at bigint,
    occurred_at bigint,
    PRIMARY KEY (location_id)
) WITH (fillfactor = 50);
CREATE TABLE contact (
    location_id text NOT NULL,
    contacted_at bigint NOT NULL,
    epoch bigint NOT NULL,
    sequence bigint NOT NULL,
    verdict text NOT NULL,
    protocol integer NOT NULL,
    schema integer NOT NULL,
    software text NOT NULL,
    PRIMARY KEY (location_id)
);
CREATE TABLE event (
    location_id text NOT NULL,
    sequence bigint NOT NULL,
    event_id bytea NOT NULL,
    type text NOT NULL,
    item_id text,
    on_hand_change bigint,
    counted bigint,
    reserved_change bigint,
    in_transit_change bigint,
    reservation_id text,
    expires_at bigint,
    transfer_id text,
    voided_sequence bigint,
    occurred_at bigint NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (location_id, sequence),
    CONSTRAINT event_sequence_positive CHECK (sequence > 0),
    CONSTRAINT event_counts_or_moves CHECK (counted IS NULL OR (counted >= 0 AND on_hand_change IS NULL)),
    CONSTRAINT event_bounds CHECK (on_hand_change BETWEEN -1000000000000 AND 1000000000000 AND on_hand_change <> 0),
    CONSTRAINT event_voids_an_earlier_one CHECK (voided_sequence < sequence)
);
CREATE INDEX event_as_of ON event (location_id, item_id, occurred_at, sequence);
CREATE INDEX event_count ON event (location_id, item_id, occurred_at, sequence) WHERE counted IS NOT NULL;
CREATE INDEX event_reservation ON event (location_id, item_id, reservation_id) WHERE reservation_id IS NOT NULL;
CREATE INDEX event_transfer ON event (location_id, transfer_id, sequence) WHERE transfer_id IS NOT NULL;
CREATE INDEX event_transfer_item ON event (location_id, item_id, sequence) WHERE transfer_id IS NOT NULL;
CREATE INDEX event_transfer_order ON event (location_id, sequence) WHERE transfer_id IS NOT NULL;
CREATE UNIQUE INDEX event_transfer_out_once ON event (location_id, transfer_id, item_id)
    WHERE type = 'TRANSFER_OUT';
CREATE UNIQUE INDEX event_transfer_reversed_once ON event (location_id, transfer_id, item_id)
    WHERE type = 'TRANSFER_REVERSED';
CREATE TABLE voided (
    location_id text NOT NULL,
    sequence bigint NOT NULL,
    by_sequence bigint NOT NULL,
    PRIMARY KEY (location_id, sequence),
    CONSTRAINT voided_before_its_void CHECK (sequence < by_sequence)
);
CREATE TABLE log_segment (
    location_id text NOT NULL,
    first_sequence bigint NOT NULL,
    last_sequence bigint NOT NULL,
    frame bytea NOT NULL,
    PRIMARY KEY (location_id, first_sequence),
    CONSTRAINT log_segment_extent
        CHECK (first_sequence > 0 AND last_sequence BETWEEN first_sequence AND first_sequence + 999)
);
ALTER TABLE log_segment ALTER COLUMN frame SET STORAGE EXTERNAL;
CREATE TABLE ingest_batch (
    location_id text NOT NULL,
    last_sequence bigint NOT NULL,
    first_sequence bigint NOT NULL,
    received_at bigint NOT NULL,
    PRIMARY KEY (location_id, last_sequence),
    CONSTRAINT ingest_batch_extent CHECK (0 < first_sequence AND first_sequence <= last_sequence)
);
CREATE INDEX ingest_batch_received ON ingest_batch (location_id, received_at);
CREATE TABLE quarantine (
    location_id text NOT NULL,
    sequence bigint NOT NULL,
    hash bytea NOT NULL,
    reason text NOT NULL,
    type text,
    item_id text,
    transfer_id text,
    occurred_at bigint,
    received_at bigint NOT NULL,
    released_at bigint,
    release_number bigint,
    PRIMARY KEY (location_id, sequence),
    CONSTRAINT quarantine_release_is_whole CHECK ((released_at IS NULL) = (release_number IS NULL))
);
CREATE UNIQUE INDEX quarantine_release ON quarantine (location_id, release_number) WHERE release_number IS NOT NULL;
CREATE TABLE item_unit (
    location_id text NOT NULL,
    item_id text NOT NULL,
    unit text NOT NULL,
    sequence bigint NOT NULL,
    PRIMARY KEY (location_id, item_id)
);
CREATE INDEX item_unit_item ON item_unit (item_id);
CREATE TABLE stock (
    location_id text NOT NULL,
    item_id text NOT NULL,
    on_hand bigint NOT NULL,
    reserved bigint NOT NULL,
    counted_at bigint,
    counted_sequence bigint,
    latest_at bigint NOT NULL,
    latest_sequence bigint NOT NULL,
    recount boolean NOT NULL,
    PRIMARY KEY (location_id, item_id),
    CONSTRAINT stock_count_is_whole CHECK ((counted_at IS NULL) = (counted_sequence IS NULL)),
    CONSTRAINT stock_reserved_not_negative CHECK (reserved >= 0)
) WITH (fillfactor = 70);
CREATE INDEX stock_item ON stock (item_id);
CREATE TABLE transfer_line (
    location_id text NOT NULL,
    transfer_id text NOT NULL,
    item_id text NOT NULL,
    sent bigint NOT NULL,
    reversed bigint NOT NULL,
    received bigint NOT NULL,
    lost bigint NOT NULL,
    first_at bigint NOT NULL,
    PRIMARY KEY (location_id, transfer_id, item_id)
);
CREATE INDEX transfer_line_transfer ON transfer_line (transfer_id, item_id);
"""

# The frames are compressed already: EXTERNAL spares PostgreSQL the attempt to compress them again.
# In a subtransaction that is rolled back on purpose, a lock is released at once while setval stays, and a cancelled
# statement cannot leave the lock behind in a pooled connection.
FUNCTIONS = """
CREATE FUNCTION larder_now() RETURNS bigint LANGUAGE sql VOLATILE AS
$$ SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint $$;
COMMENT ON FUNCTION larder_now() IS 'Microseconds UTC: the only clock of SQL here, replaced in simulations.';

CREATE SEQUENCE received_floor AS bigint MINVALUE 0 START WITH 0;
COMMENT ON SEQUENCE received_floor IS 'No received_at given from now on is at or below it.';

CREATE FUNCTION larder_received_at() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    moment bigint;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1279349328, 1);
    BEGIN
        PERFORM pg_advisory_xact_lock(1279349328, 2);
        moment := greatest(larder_now(), (SELECT last_value + 1 FROM received_floor));
        PERFORM setval('received_floor', moment);
        RAISE EXCEPTION USING ERRCODE = 'LA001';
    EXCEPTION WHEN SQLSTATE 'LA001' THEN
        NULL;
    END;
    RETURN moment;
END $$;
COMMENT ON FUNCTION larder_received_at() IS
    'The moment at which the present transaction''s events are received; whoever asks what was known waits for it.';

CREATE FUNCTION larder_settle(known_at bigint) RETURNS bigint LANGUAGE plpgsql VOLATILE
SET lock_timeout = '20s' AS $$
DECLARE
    settled bigint;
    reached bigint;
BEGIN
    BEGIN
        PERFORM pg_advisory_xact_lock(1279349328, 1);
        SELECT last_value INTO reached FROM received_floor;
        settled := least(known_at, greatest(larder_now(), reached));
        IF settled > reached THEN
            PERFORM setval('received_floor', settled);
        END IF;
        RAISE EXCEPTION USING ERRCODE = 'LA001';
    EXCEPTION WHEN SQLSTATE 'LA001' THEN
        NULL;
    END;
    RETURN settled;
END $$;
COMMENT ON FUNCTION larder_settle(bigint) IS
    'Waits for what is being received, and bars anything later from being received at or before the moment returned.';
"""

APPEND_ONLY = ("event", "voided", "log_segment", "ingest_batch", "item_unit")


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(FUNCTIONS)
    for table in APPEND_ONLY:
        for statement in append_only_ddl(table, "postgresql"):
            op.execute(statement)
