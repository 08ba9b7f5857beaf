"""`larder head-office stock` and `log`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
import typer
from sqlalchemy import Connection, select

from head_office.catalogue import locations
from head_office.catalogue.item_codes import items_meant
from head_office.catalogue.items import check_seen
from head_office.catalogue.locations import check_locations
from head_office.cli.office_completion import complete_item, complete_location
from head_office.cli.office_database import DatabaseUrl, Directory, report
from head_office.database.schema import HEAD, now
from head_office.log.log_lines import LogLine, occurred_in, read_at, read_page
from head_office.reports import group_stock
from head_office.reports.freshness import Freshness, freshness
from head_office.reports.known_at import AsOf
from head_office.reports.report_moments import AskedPeriod, StockQuestion, asked_text, at_location, ends_at
from head_office.reports.report_records import figures_out, period_out, total_out
from shared.chain import understand
from shared.event_record import moment_text
from shared.events import Event, EventNotUnderstood, effect, quantity_text
from shared.runtime.business_days import Asked, read_asked
from shared.runtime.cli.arguments import check_period, moment_or_date
from shared.runtime.cli.output import UTC, AsJson, local_time, print_json, print_table, print_text, short_time, signed
from shared.runtime.clock import SECOND, parse_rfc3339

PAGE = 1_000

Location = Annotated[
    str | None, typer.Option("--location", help="This location only.", autocompletion=complete_location)
]
Item = Annotated[str | None, typer.Option("--item", help="This item only.", autocompletion=complete_item)]
AsOfOption = Annotated[
    str | None,
    typer.Option(
        callback=moment_or_date,
        help="As it stood then: 2026-01-31T23:59:59+02:00, or a date for the end of that business day.",
    ),
]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        callback=moment_or_date,
        help="Over a period that begins then; a date is the start of that business day.",
    ),
]
To = Annotated[str | None, typer.Option("--to", callback=moment_or_date, help="Over a period that ends before then.")]
LogFrom = Annotated[
    str | None,
    typer.Option(
        "--from", callback=moment_or_date, help="What occurred from then on; a date is the start of that business day."
    ),
]
LogTo = Annotated[str | None, typer.Option("--to", callback=moment_or_date, help="What occurred before then.")]
KnownAt = Annotated[str | None, typer.Option(help="As head office knew it then.")]


def stock(
    *,
    location: Location = None,
    item: Item = None,
    as_of: AsOfOption = None,
    begin: From = None,
    end: To = None,
    known_at: KnownAt = None,
    total: Annotated[bool, typer.Option("--total", help="One line an item, over the locations.")] = False,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Stock of the group, now, as of a moment, or as known at one; each figure with its freshness."""
    wanted, known = _asked(as_of), _moment("--known-at", known_at)
    check_period(begin, end, as_of)
    over = AskedPeriod(_asked(begin), _asked(end))
    with report(folder, database_url, known) as (connection, settled):
        if location is not None:
            check_locations(connection, [location])
        places = None if location is None else [location]
        ask = partial(
            StockQuestion(wanted, over).answer,
            connection,
            location_ids=places,
            known_at=settled,
        )
        meant = None if item is None else items_meant(connection, item, places, settled)
        found, opened = ask(item_ids=meant)
        if item is not None and not found.rows:
            check_seen(connection, item)
        if stands_for := [each for each in meant or () if each != item]:
            where = "" if location is None else f" at {location}"
            print_text(f"{item} stands for {' and '.join(stands_for)}{where}: that is shown.", err=True)
        rows, cut = found.rows, found.cut
        fresh = freshness(connection, {row.location_id for row in rows}, cut)
        at: AsOf = cut.known_at or now(connection) if found.as_of is None else found.as_of
    about = {
        "as_of": asked_text(wanted),
        "from": asked_text(over.begin),
        "to": asked_text(over.end),
        "known_at": _text(cut.known_at),
        "cut": cut.sequences,
        "next": None,
    }
    if as_json and total:
        print_json({"items": [_total(each, rows, opened) for each in group_stock.totals(rows)], **about})
        return
    if as_json:
        print_json({"items": figures_out(rows, at, fresh, opened), **about})
        return
    # The last contact is a figure of now; for a past moment the last event known at that moment is shown.
    in_the_past = cut.known_at is not None
    freshness_column = "known to" if in_the_past else "last contact@"
    title = _heading("Stock of the group" if total else "Stock", wanted, over, at)
    if in_the_past:
        title += f", as known at {local_time(_text(cut.known_at), UTC)}"
    if total:
        _show_totals(title, rows, opened)
        return
    print_table(
        title,
        (
            *("item", "recorded as", "name~", "location"),
            *("before#", "change+", "on hand#", "reserved#", "available#", "unit"),
            *(freshness_column, "behind#", "flags~"),
        ),
        [
            (
                row.item_id,
                None if row.recorded_as == row.item_id else row.recorded_as,
                row.name,
                row.location_id,
                *_movement(row, opened),
                quantity_text(row.on_hand),
                quantity_text(row.reserved),
                quantity_text(row.available),
                row.unit,
                f"event {cut.sequences[row.location_id]}" if in_the_past else last_contact(fresh[row.location_id]),
                None if in_the_past else fresh[row.location_id].behind or None,
                " ".join(row.flags),
            )
            for row in rows
        ],
    )


def _heading(subject: str, wanted: Asked | None, over: AskedPeriod, at: AsOf) -> str:
    if over:
        ends = (("from", asked_text(over.begin)), ("to", asked_text(over.end)))
        return f"{subject} over the period " + " ".join(f"{word} {text}" for word, text in ends if text)
    if isinstance(wanted, date):
        return f"{subject} at the end of {wanted.isoformat()}"
    return f"{subject} at {local_time(moment_text(at if isinstance(at, int) else 0), UTC)}"


def _movement(
    row: group_stock.StockRow, opened: Mapping[group_stock.FigureKey, int] | None
) -> tuple[str | None, str | None]:
    return _before_and_change(None if opened is None else opened[row.key], row.on_hand)


def _before_and_change(before: int | None, on_hand: int) -> tuple[str | None, str | None]:
    return (None, None) if before is None else (quantity_text(before), signed((on_hand - before) / 1_000))


def _opened_total(
    total: group_stock.Total, rows: list[group_stock.StockRow], opened: Mapping[group_stock.FigureKey, int] | None
) -> int | None:
    return None if opened is None else group_stock.opened_total(total, rows, opened)


def _total(
    total: group_stock.Total, rows: list[group_stock.StockRow], opened: Mapping[group_stock.FigureKey, int] | None
) -> dict[str, object]:
    record = msgspec.structs.asdict(total_out(total))
    before = _opened_total(total, rows, opened)
    return record if before is None else {**record, "period": period_out(before, total.on_hand)}


def _show_totals(
    title: str, rows: list[group_stock.StockRow], opened: Mapping[group_stock.FigureKey, int] | None
) -> None:
    print_table(
        title,
        ("item", "locations#", "before#", "change+", "on hand#", "reserved#", "available#", "unit", "flags~"),
        [
            (
                each.item_id,
                each.locations,
                *_before_and_change(_opened_total(each, rows, opened), each.on_hand),
                quantity_text(each.on_hand),
                quantity_text(each.reserved),
                quantity_text(each.available),
                each.unit,
                " ".join(name for name in ("incomplete", "unit_conflict") if getattr(each, name)),
            )
            for each in group_stock.totals(rows)
        ],
    )


def log(
    location: Annotated[str, typer.Argument(metavar="LOCATION", autocompletion=complete_location)],
    *,
    begin: LogFrom = None,
    end: LogTo = None,
    oldest: Annotated[bool, typer.Option("--oldest", help="From the beginning, in the order of the log.")] = False,
    after: Annotated[
        int | None, typer.Option(min=0, help="Only events after this sequence, in the order of the log.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many events at most.")] = 100,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Head office's copy of a location's log, the newest first; with --oldest or --after in the order of the log.

    With --json one canonical line after another, as they were hashed, always in the order of the log. Over a period an
    event that cannot be read is left out.
    """
    newest_first = not oldest and after is None
    check_period(begin, end)
    over = AskedPeriod(_asked(begin), _asked(end))
    with report(folder, database_url, None) as (connection, _):
        check_locations(connection, [location])
        zone = ZoneInfo(locations.read(connection, location).timezone)
        if over:
            first, last = (at_location(each, location) for each in ends_at(connection, over, [location]))
            sequences = occurred_in(
                connection, location, first, last, after=after or 0, limit=limit, newest_first=newest_first
            )
            found = _lines_at(connection, location, sequences)
        elif newest_first:
            query = select(HEAD.c.sequence).where(HEAD.c.location_id == location)
            after = max(0, (connection.execute(query).scalar_one_or_none() or 0) - limit)
        if not over:
            found = _lines(connection, location, after or 0, limit)
        shown: list[tuple[object, ...]] = []
        for each in found:
            if as_json:
                typer.echo(each.line if each.line is not None else msgspec.json.encode(each).decode())
            else:
                shown.append(_entry(each, zone))
    if not as_json:
        columns = ("event#", "occurred@", "type~", "item", "change+", "unit", "event id", "hash")
        title = f"Log of {location}, times in {zone.key}"
        print_table(title, columns, shown[::-1] if newest_first else shown)


def _lines_at(connection: Connection, location: str, sequences: Sequence[int]) -> Iterator[LogLine]:
    for start in range(0, len(sequences), PAGE):
        yield from read_at(connection, location, sequences[start : start + PAGE])


def _lines(connection: Connection, location: str, after: int, limit: int) -> Iterator[LogLine]:
    while limit > 0:
        wanted = min(limit, PAGE)
        page = read_page(connection, location, after, wanted)
        yield from page.items
        if len(page.items) < wanted:
            return
        limit, after = limit - wanted, page.items[-1].sequence


def _entry(each: LogLine, zone: ZoneInfo) -> tuple[object, ...]:
    try:
        event: Event = understand((each.line or "").encode())
    except EventNotUnderstood as error:
        return (each.sequence, "", f"not understood: {error.reason}", "", "", "", "", each.hash[:12])
    return (
        each.sequence,
        short_time(moment_text(event.occurred_at), zone),
        event.type.value,
        event.item_id,
        _change(event),
        event.unit,
        event.event_id,
        each.hash[:12],
    )


def _change(event: Event) -> str:
    if event.counted is not None:
        return f"= {quantity_text(event.counted)}"
    change = effect(event).on_hand_change
    return "" if change is None else ("+" if change > 0 else "") + quantity_text(change)


def _asked(text: str | None) -> Asked | None:
    return None if text is None else read_asked(text)


def _moment(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_rfc3339(text)[0]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def _text(micros: int | None) -> str | None:
    return None if micros is None else moment_text(micros)


def last_contact(found: Freshness) -> str:
    """When a branch was last heard of, and by how much its clock is off, in a cell of a table."""
    contact = "never" if found.last_contact_at is None else short_time(moment_text(found.last_contact_at), UTC)
    return f"{contact}, clock {found.skew / SECOND:+.0f} s" if found.skew and found.clock_differs else contact
