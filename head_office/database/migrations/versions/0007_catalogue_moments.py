"""Since when each entry of the catalogue is known, and the mappings of items as entries of it."""

import json
from hashlib import sha256

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

SUBJECTS = {"item": "item_id", "key": "key_id", "reorder_level": "item_id", "location": "location_id"}


def upgrade() -> None:
    op.execute("ALTER TABLE catalogue_entry DISABLE TRIGGER catalogue_entry_no_change")
    op.add_column("catalogue_entry", sa.Column("subject", sa.Text))
    # Entries from before this upgrade have no moment: they count as known from the beginning.
    op.add_column("catalogue_entry", sa.Column("known_from", sa.BigInteger, server_default="0", nullable=False))
    for kind, member in SUBJECTS.items():
        op.execute(f"UPDATE catalogue_entry SET subject = content::jsonb ->> '{member}' WHERE kind = '{kind}'")
    _publish_mappings(op.get_bind())
    op.alter_column("catalogue_entry", "subject", nullable=False)
    op.alter_column("catalogue_entry", "known_from", server_default=None)
    op.create_index("catalogue_entry_subject", "catalogue_entry", ["kind", "subject", "version"])
    op.execute("ALTER TABLE catalogue_entry ENABLE TRIGGER catalogue_entry_no_change")


def _publish_mappings(connection: sa.Connection) -> None:
    """Append the mappings made so far to the history, chained on as the product chains its entries."""
    version, digest = connection.execute(sa.text("SELECT version, hash FROM catalogue_head")).one()
    digest = bytes(digest)
    rows = connection.execute(sa.text("SELECT location_id, alias, item_id FROM item_alias ORDER BY 1, 2")).all()
    for row in rows:
        version += 1
        content = {"location_id": row.location_id, "alias": row.alias, "item_id": row.item_id}
        body = json.dumps(
            {"alias": content, "version": version}, sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )
        digest = sha256(digest + body.encode()).digest()
        connection.execute(
            sa.text(
                "INSERT INTO catalogue_entry (version, kind, location_id, told, content, hash, subject, known_from)"
                " VALUES (:version, 'alias', :location_id, true, :content, :hash, :alias, 0)"
            ),
            {
                "version": version,
                "location_id": row.location_id,
                "content": json.dumps(content, ensure_ascii=False),
                "hash": digest,
                "alias": row.alias,
            },
        )
    if rows:
        connection.execute(
            sa.text("UPDATE catalogue_head SET version = :version, hash = :hash"), {"version": version, "hash": digest}
        )
