"""The mornings at which the report was made, the newest first, and what became of the mails about them."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import date
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, Row, and_, or_, select

from head_office.database.morning_tables import MAILED_MORNING, PURCHASING_MAIL, PURCHASING_MORNING
from head_office.reports.purchasing.purchasing_records import LocationState
from shared.event_record import moment_text
from shared.runtime.problems import INVALID_REQUEST

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


class MorningKey(NamedTuple):
    """A morning's place in the list: by date, the newest first, then by location."""

    date: str
    location_id: str


class MailOut(msgspec.Struct, frozen=True, kw_only=True):
    """The mail about a morning. `state`: GATHERED once with others of its date, then WAITING, SENT or GIVEN_UP.

    `error`: why the last attempt failed; of one that was sent, whom the server did not take it for.
    """

    state: str
    attempts: int
    next_try_at: str | None
    sent_at: str | None
    error: str | None


class MorningOut(msgspec.Struct, frozen=True, kw_only=True):
    """A morning at which the report of a location was made. `sequence`: its cut, `listed`: items to be ordered.

    `mail` is null where none is sent: nobody is to get it, or it was made more than a day late.
    """

    location_id: str
    date: str
    as_of: str
    known_at: str
    made_at: str
    window_days: int
    sequence: int
    state: LocationState
    listed: int
    mail: MailOut | None


def checked_date(name: str, text: str | None) -> str | None:
    """A parameter that is a date, or None where it was not given. Raises Problem 422 `invalid-request`."""
    if text is None:
        return None
    why = "not a date such as 2026-01-31"
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text).isoformat()
    except ValueError:
        why = "there is no such date"
    raise INVALID_REQUEST(f"{name}: {why}", errors=[{"field": name, "message": why}])


def list_mornings(
    connection: Connection,
    *,
    location_ids: Collection[str] | None = None,
    begin: str | None = None,
    end: str | None = None,
    after: MorningKey | None = None,
    limit: int = 100,
) -> list[MorningOut]:
    """List the mornings of the given locations (None: all) from the date `begin` on and before `end`."""
    morning, mailed, mail = PURCHASING_MORNING, MAILED_MORNING, PURCHASING_MAIL
    query = (
        select(
            morning,
            mailed.c.location_id.label("mailed"),
            mail.c.state.label("mail_state"),
            *(mail.c.attempts, mail.c.next_try_at, mail.c.sent_at, mail.c.error),
        )
        .select_from(
            morning.outerjoin(
                mailed, and_(mailed.c.location_id == morning.c.location_id, mailed.c.date == morning.c.date)
            ).outerjoin(mail, mail.c.mail_id == mailed.c.mail_id)
        )
        .order_by(morning.c.date.desc(), morning.c.location_id)
        .limit(limit)
    )
    if location_ids is not None:
        query = query.where(morning.c.location_id.in_(sorted(location_ids)))
    if begin is not None:
        query = query.where(morning.c.date >= begin)
    if end is not None:
        query = query.where(morning.c.date < end)
    if after is not None:
        same = and_(morning.c.date == after.date, morning.c.location_id > after.location_id)
        query = query.where(or_(morning.c.date < after.date, same))
    return [_morning(row) for row in connection.execute(query)]


def morning_dates(connection: Connection, location_ids: Collection[str], *, limit: int) -> list[str]:
    """List the dates of which a report was made at one of these locations, the newest first."""
    morning = PURCHASING_MORNING.c
    mine = morning.location_id.in_(sorted(location_ids))
    query = select(morning.date).where(mine).distinct().order_by(morning.date.desc()).limit(limit)
    return list(connection.execute(query).scalars())


def _morning(row: Row[Any]) -> MorningOut:
    return MorningOut(
        location_id=row.location_id,
        date=row.date,
        as_of=moment_text(row.as_of),
        known_at=moment_text(row.known_at),
        made_at=moment_text(row.made_at),
        window_days=row.window_days,
        sequence=row.sequence,
        state=LocationState(row.state),
        listed=row.listed,
        mail=None if row.mailed is None else _mail(row),
    )


def _mail(row: Row[Any]) -> MailOut:
    if row.mail_state is None:
        return MailOut(state="GATHERED", attempts=0, next_try_at=None, sent_at=None, error=None)
    waits = row.mail_state == "WAITING"
    return MailOut(
        state=row.mail_state,
        attempts=row.attempts,
        next_try_at=moment_text(row.next_try_at) if waits else None,
        sent_at=None if row.sent_at is None else moment_text(row.sent_at),
        error=row.error,
    )
