"""The mails about mornings, as they are kept: gathered, claimed by one process for a while, noted.

Moments are microseconds UTC.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Final, NamedTuple

from sqlalchemy import Connection, insert, literal, select, update

from head_office.database.morning_tables import MAILED_MORNING, PURCHASING_MAIL, UNGATHERED, WAITING_MAIL
from head_office.database.schema import now
from shared.runtime.clock import DAY, MINUTE, SECOND
from shared.runtime.retry import exponential_waits

MAILED_WITHIN: Final = DAY
"""A morning that is made later than that after its moment is not mailed; nor is one tried again after so long."""
CLAIMED_FOR: Final = 5 * MINUTE
"""How long a process has for a mail that it claimed; after that another one takes it over."""
MOST_GATHERED: Final = 1_000
_WAITS: Final = exponential_waits(60.0, 3_600.0)


class ClaimedMail(NamedTuple):
    """A mail that this process is to send, about the mornings of a date at these locations. `attempt`: from 1."""

    mail_id: str
    date: str
    location_ids: tuple[str, ...]
    created_at: int
    attempt: int


def gather(connection: Connection, new_id: Callable[[int], str]) -> int:
    """Make a mail for each date of the mornings that wait for one; how many mails."""
    found = connection.execute(
        select(MAILED_MORNING.c.date, MAILED_MORNING.c.location_id)
        .where(UNGATHERED)
        .order_by(MAILED_MORNING.c.date, MAILED_MORNING.c.location_id)
        .limit(MOST_GATHERED)
        .with_for_update(skip_locked=True)
    ).all()
    mails = 0
    for date, rows in groupby(found, lambda row: row.date):
        moment = now(connection)
        mail_id = new_id(moment)
        connection.execute(
            insert(PURCHASING_MAIL).values(
                mail_id=mail_id, date=date, state="WAITING", created_at=moment, attempts=0, next_try_at=moment
            )
        )
        places = [row.location_id for row in rows]
        connection.execute(
            update(MAILED_MORNING)
            .where(MAILED_MORNING.c.date == date, MAILED_MORNING.c.location_id.in_(places))
            .values(mail_id=mail_id)
        )
        mails += 1
    return mails


def claim(connection: Connection) -> ClaimedMail | None:
    """Claim a mail that is to be tried now; None where there is none. Mails that are too old are given up."""
    moment = now(connection)
    connection.execute(
        update(PURCHASING_MAIL)
        .where(WAITING_MAIL, PURCHASING_MAIL.c.created_at <= moment - MAILED_WITHIN)
        .where(PURCHASING_MAIL.c.next_try_at <= moment)
        .values(state="GIVEN_UP")
    )
    due = (
        select(PURCHASING_MAIL.c.mail_id)
        .where(WAITING_MAIL, PURCHASING_MAIL.c.next_try_at <= moment)
        .order_by(PURCHASING_MAIL.c.next_try_at)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    row = connection.execute(
        update(PURCHASING_MAIL)
        .where(PURCHASING_MAIL.c.mail_id == due)
        .values(attempts=PURCHASING_MAIL.c.attempts + 1, next_try_at=literal(moment + CLAIMED_FOR))
        .returning(PURCHASING_MAIL)
    ).first()
    if row is None:
        return None
    places = connection.execute(
        select(MAILED_MORNING.c.location_id)
        .where(MAILED_MORNING.c.mail_id == row.mail_id)
        .order_by(MAILED_MORNING.c.location_id)
    ).scalars()
    return ClaimedMail(row.mail_id, row.date, tuple(places), row.created_at, row.attempts)


def note_sent(connection: Connection, mail: ClaimedMail, remark: str | None) -> None:
    """Note that the server took a mail, and of whom it did not. Also after the claim ended: it was sent."""
    connection.execute(
        update(PURCHASING_MAIL)
        .where(PURCHASING_MAIL.c.mail_id == mail.mail_id, PURCHASING_MAIL.c.state != "SENT")
        .values(state="SENT", sent_at=now(connection), error=remark)
    )


def note_failed(connection: Connection, mail: ClaimedMail, why: str) -> None:
    """Note why a mail was not sent, and when to try again; nothing where another process has claimed it since."""
    wait = _WAITS[min(mail.attempt, len(_WAITS)) - 1]
    connection.execute(
        update(PURCHASING_MAIL)
        .where(WAITING_MAIL, PURCHASING_MAIL.c.mail_id == mail.mail_id, PURCHASING_MAIL.c.attempts == mail.attempt)
        .values(error=why, next_try_at=now(connection) + round(wait * SECOND))
    )
