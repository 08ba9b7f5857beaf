"""The order of receipt: indexes to read it, and how far it is complete while transactions that receive are open."""

from alembic import op

revision = "0005"
down_revision = "0004"

INDEXES = """
CREATE INDEX ingest_batch_moment ON ingest_batch (received_at);
CREATE INDEX quarantine_released ON quarantine (released_at) WHERE released_at IS NOT NULL;
"""

# Who is about to take a moment holds, until its transaction ends, an advisory lock whose key says above which moment
# its own will be: 2^62 + the floor that it read. pg_locks shows these keys to everybody.
FUNCTIONS = """
CREATE OR REPLACE FUNCTION larder_received_at() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    moment bigint;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1279349328, 1);
    PERFORM pg_advisory_xact_lock_shared(4611686018427387904 + (SELECT last_value FROM received_floor));
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

CREATE FUNCTION larder_receipts(OUT settled bigint, OUT given bigint) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    -- In this order: whoever takes a moment after the first statement takes a later one.
    SELECT last_value INTO given FROM received_floor;
    SELECT least(given, min(((classid::bigint << 32) | objid::bigint) - 4611686018427387904)) INTO settled
    FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND classid::bigint BETWEEN 1073741824 AND 1082130431
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND pid IS DISTINCT FROM pg_backend_pid();
END $$;
COMMENT ON FUNCTION larder_receipts() IS
    'settled: every transaction that received up to then has ended; a snapshot taken later shows all of it. given: the '
    'last moment given.';
"""


def upgrade() -> None:
    op.execute(INDEXES)
    op.execute(FUNCTIONS)
