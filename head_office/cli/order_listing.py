"""`larder head-office orders`: the orders that other systems told head office of, and who is waited for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import typer
from sqlalchemy import Connection

from head_office.catalogue.locations import check_locations
from head_office.cli.office_completion import complete_location, complete_source
from head_office.cli.office_database import DatabaseUrl, Directory, report
from head_office.orders.order_course import RoutedOrderState
from head_office.orders.order_records import (
    BY_ORDER,
    AskedRecord,
    OrderFilter,
    OrderShort,
    RoutedOrderPage,
    RoutedOrderSummary,
    find_order,
    list_orders,
    order_record,
    order_summaries,
    orders_with_id,
)
from head_office.orders.routed_orders import OrderName, RoutedOrder
from head_office.problems import UNKNOWN_ORDER
from head_office.reports.report_records import FreshnessOut
from shared.messages import Verdict
from shared.runtime.cli.output import (
    UTC,
    AsJson,
    number_of,
    print_json,
    print_line,
    print_next,
    print_table,
    print_text,
    short_time,
)
from shared.runtime.cli.service_app import command_group
from shared.runtime.http.cursor import page_of
from shared.runtime.settings import command_line

orders_app: Final = command_group("Orders that other systems tell of: list, show; and which branch is waited for.")

_Source = Annotated[str | None, typer.Option("--source", help="Of this system only.", autocompletion=complete_source)]


@orders_app.command("list")
def list_routed_orders(
    *,
    source: _Source = None,
    state: Annotated[
        RoutedOrderState | None, typer.Option("--state", case_sensitive=False, help="In this state only.")
    ] = None,
    location: Annotated[
        str | None,
        typer.Option("--location", help="That this location has or is asked for.", autocompletion=complete_location),
    ] = None,
    after: Annotated[str | None, typer.Option("--after", help="`next` of the page before.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many orders at most.")] = 100,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """List orders by source and id. ASKED waits for the location that is named, however long that is away."""
    with report(folder, database_url, None) as (connection, _):
        if location is not None:
            check_locations(connection, [location])
        wanted = OrderFilter(source=source, state=state, location_id=location)
        found = list_orders(connection, wanted, after=BY_ORDER.read(after), limit=limit + 1)
        page, following = page_of(found, limit, lambda last: BY_ORDER.write(last.name))
        records = order_summaries(connection, page)
    if as_json:
        print_json(RoutedOrderPage(items=records, next=following))
        return
    print_table(
        "Orders, times in UTC",
        ("order", "source", "revision#", "state", "location", "asked@", "last contact@"),
        [_row(each) for each in records],
    )
    if following is not None:
        given = {"--source": source, "--state": state, "--location": location, "--after": following, "--limit": limit}
        words = [word for name, value in given.items() if value is not None for word in (name, value)]
        print_next(command_line("head-office", "orders", "list", *words))


@orders_app.command("show")
def show_routed_order(
    order_id: Annotated[str, typer.Argument(metavar="ORDER", help="The order's id at the system that told of it.")],
    *,
    source: _Source = None,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """What was told of an order, who was asked, and what each answered."""
    with report(folder, database_url, None) as (connection, _):
        record = order_record(connection, _found(connection, order_id, source))
    if as_json:
        print_json(record)
        return
    place = "no location has it" if record.location_id is None else f"at {record.location_id}"
    print_line(f"[bold]{record.state.value}[/bold], revision {record.revision}, {place}")
    print_table(
        f"Told of {record.order_id} by {record.source}, times in UTC",
        ("event#", "type", "revision#", "location", "told@", "outcome", "reason", "short~"),
        [
            (
                *(each.number, each.kind.value, each.revision, each.location_id),
                *(short_time(each.told_at, UTC), each.outcome and each.outcome.value, each.reason, _short(each.short)),
            )
            for each in record.told
        ],
    )
    print_table(
        "Asked, times in UTC",
        ("event#", "location", "asked@", "outcome", "reason", "short~", "answered@", "last contact@"),
        [_asked_row(each) for each in record.asked],
        empty="",
    )
    if record.waits_for is not None:
        print_text(f"\n{record.waits_for} has not answered: {_standing(record.freshness)}.")
        print_next(f"{command_line('head-office', 'locations', 'list')}  # is {record.waits_for} heard of?")


def _found(connection: Connection, order_id: str, source: str | None) -> RoutedOrder:
    names = orders_with_id(connection, order_id) if source is None else [OrderName(source, order_id)]
    if len(names) > 1:
        several = " and ".join(each.source for each in names)
        raise typer.BadParameter(f"{several} told of an order {order_id}: say which with --source")
    found = find_order(connection, names[0]) if names else None
    if found is None:
        raise UNKNOWN_ORDER(f"nothing was told of an order {order_id!r}")
    return found


def _standing(fresh: FreshnessOut | None) -> str:
    """What head office knows of a location that an order waits for."""
    if fresh is None or fresh.contacted_at is None:
        return "its branch has never called"
    said = [f"its branch called last at {short_time(fresh.contacted_at, UTC)}"]
    if fresh.verdict not in {None, Verdict.OK.value, Verdict.REWIND.value}:
        said.append(f"it is told {fresh.verdict} and takes no orders until that is settled")
    if fresh.behind:
        said.append(f"{number_of(fresh.behind, 'event')} of its log not here yet")
    if fresh.quarantined:
        said.append(f"{number_of(fresh.quarantined, 'event')} in quarantine")
    return ", ".join(said)


def _row(order: RoutedOrderSummary) -> Sequence[object]:
    contact = None if order.freshness is None else order.freshness.contacted_at
    return (
        *(order.order_id, order.source, order.revision, order.state.value, order.waits_for or order.location_id),
        order.since and short_time(order.since, UTC),
        contact and short_time(contact, UTC),
    )


def _asked_row(asked: AskedRecord) -> Sequence[object]:
    contact = None if asked.freshness is None else asked.freshness.contacted_at
    return (
        *(asked.number, asked.location_id, short_time(asked.asked_at, UTC), asked.outcome and asked.outcome.value),
        *(asked.reason, _short(asked.short), asked.answered_at and short_time(asked.answered_at, UTC)),
        contact and short_time(contact, UTC),
    )


def _short(shorts: Sequence[OrderShort]) -> str | None:
    """The items that were lacking, in words."""
    words = [
        f"{each.item_id}: {bytes(each.asked).decode()} {each.unit or ''}".rstrip()
        + (" asked" if each.available is None else f" asked, {bytes(each.available).decode()} there")
        for each in shorts
    ]
    return ", ".join(words) or None
