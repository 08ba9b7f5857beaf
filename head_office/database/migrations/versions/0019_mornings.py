"""When a location's report is made each morning; the mornings that were made, and the mails about them."""

import sqlalchemy as sa
from alembic import op

from shared.event_log import append_only_ddl

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("location", sa.Column("report_time", sa.Integer, nullable=False, server_default=sa.text("360")))
    op.create_check_constraint("location_report_time", "location", "report_time BETWEEN 0 AND 1439")
    op.create_table(
        "purchasing_morning",
        sa.Column("location_id", sa.Text, nullable=False),
        sa.Column("date", sa.Text, nullable=False),
        sa.Column("as_of", sa.BigInteger, nullable=False),
        sa.Column("known_at", sa.BigInteger, nullable=False),
        sa.Column("made_at", sa.BigInteger, nullable=False),
        sa.Column("window_days", sa.Integer, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("listed", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("location_id", "date"),
        sa.CheckConstraint("as_of <= known_at AND known_at <= made_at", name="purchasing_morning_moments"),
        sa.CheckConstraint("state IN ('FRESH', 'BLIND', 'INCOMPLETE')", name="purchasing_morning_state"),
        sa.CheckConstraint("sequence >= 0 AND listed >= 0 AND window_days > 0", name="purchasing_morning_figures"),
    )
    op.create_index("purchasing_morning_date", "purchasing_morning", ["date", "location_id"])
    for statement in append_only_ddl("purchasing_morning", "postgresql"):
        op.execute(statement)
    op.create_table(
        "purchasing_mail",
        sa.Column("mail_id", sa.Text, primary_key=True),
        sa.Column("date", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_try_at", sa.BigInteger, nullable=False),
        sa.Column("sent_at", sa.BigInteger),
        sa.Column("error", sa.Text),
        sa.CheckConstraint("state IN ('WAITING', 'SENT', 'GIVEN_UP')", name="purchasing_mail_state"),
        sa.CheckConstraint("(state = 'SENT') = (sent_at IS NOT NULL)", name="purchasing_mail_is_sent"),
    )
    op.create_index(
        "purchasing_mail_waiting", "purchasing_mail", ["next_try_at"], postgresql_where=sa.text("state = 'WAITING'")
    )
    op.create_table(
        "mailed_morning",
        sa.Column("location_id", sa.Text, nullable=False),
        sa.Column("date", sa.Text, nullable=False),
        sa.Column("mail_id", sa.Text),
        sa.PrimaryKeyConstraint("location_id", "date"),
        sa.ForeignKeyConstraint(["mail_id"], ["purchasing_mail.mail_id"]),
    )
    op.create_index("mailed_morning_mail", "mailed_morning", ["mail_id"])
