"""`larder branch verify` and `sync`."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.markup import escape

from branch_node.cli.node_client import Directory, opened, serving
from branch_node.database.order_verification import parts_of_orders, verify_orders
from branch_node.database.purchases.delivered_line_verification import count_deliveries, verify_delivered_lines
from branch_node.database.reservation_verification import count_reservations, verify_reservations
from branch_node.database.store import Store
from branch_node.database.verification import (
    VerificationFinding,
    count_events,
    count_items,
    verify_chain,
    verify_projection,
)
from branch_node.node import Node
from branch_node.settings import load
from branch_node.sync.shipping_status import ShippingState
from branch_node.sync.step_result import StepOutcome
from shared.runtime.cli.errors import REFUSED, CommandRefused
from shared.runtime.cli.output import AsJson, number_of, print_json, print_line, print_table
from shared.runtime.cli.progress import progress_bar
from shared.runtime.client import ServiceClient

POLL_SECONDS: Final = 0.1


def verify(
    directory: Directory = None,
    deep: Annotated[bool, typer.Option("--deep", help="Also compare every line with the columns beside it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Verify the log's chain from its first event, and that every figure, reservation, order and delivery is the log's.

    Reads only, on one snapshot; the node may run meanwhile.
    """
    settings = load(directory)
    if not settings.has_database:
        raise CommandRefused(f"there is no database in {settings.dir}", "Run 'larder branch init' first.")
    place = settings.location
    with closing(Store(settings.database_url, settings.dir)) as store, store.reading() as connection:
        events, items = count_events(connection, place), count_items(connection, place)
        with progress_bar("Chain", events) as advance:
            broken = verify_chain(connection, place, advance, deep=deep)
        with progress_bar("Projection", items) as advance:
            findings = verify_projection(connection, place, advance)
        with progress_bar("Reservations", count_reservations(connection)) as advance:
            findings += verify_reservations(connection, advance)
        with progress_bar("Orders", events * parts_of_orders(connection)) as advance:
            findings += verify_orders(connection, advance)
        with progress_bar("Deliveries", count_deliveries(connection)) as advance:
            findings += verify_delivered_lines(connection, advance)
    found = ([broken] if broken else []) + findings
    if as_json:
        shown = [_plain(each) for each in found]
        print_json({"location_id": place, "events": events, "items": items, "true": not found, "findings": shown})
    elif found:
        columns = ("what~", "event#", "item", "recorded~", "computed~")
        rows = [(each.what, each.sequence, each.item_id, each.recorded, each.computed) for each in found]
        print_table(f"{place}: discrepancies", columns, rows)
    else:
        checked = (
            f"{number_of(events, 'event')} verified, and the figures of {number_of(items, 'item')} computed from them"
        )
        print_line(f"[green]{escape(place)}: no discrepancy; {checked}.[/]")
    if found:
        raise typer.Exit(REFUSED)


def _plain(finding: VerificationFinding) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(finding).items() if value is not None}


def sync(
    directory: Directory = None,
    seconds: Annotated[float, typer.Option("--wait", help="How long to try.")] = 60.0,
    as_json: AsJson = False,
) -> None:
    """Ship all pending events, pull what head office has for this location, and print the result."""
    settings = load(directory)
    if settings.head_office is None:
        raise CommandRefused(
            "no head office is set",
            f"Run: larder branch init --dir {settings.dir} --head-office URL --key KEY",
        )
    deadline = time.monotonic() + seconds
    client = serving(settings.dir)
    if client is not None:
        with client:
            result = _watch(client, deadline)
    else:
        with opened(settings, stepped=True) as node:
            result = _drive(node, deadline)
    if as_json:
        print_json(result)
    elif result["unshipped"] == 0 and result["state"] == ShippingState.OK:
        print_line("[green]Head office has everything.[/]")
    else:
        waiting = f"{number_of(result['unshipped'], 'event')} waiting to be shipped. {escape(result['detail'] or '')}"
        print_line(f"[bold red]{result['state']}[/]: {waiting}")
        if result["hint"]:
            print_line(f"[yellow]{escape(result['hint'])}[/]")
    if result["unshipped"] or result["state"] != ShippingState.OK:
        raise typer.Exit(REFUSED)


FINAL: Final = frozenset({ShippingState.UNAUTHORIZED, ShippingState.REFUSED})
"""States that do not end by waiting."""


def _result(state: str, unshipped: int, detail: str | None, hint: str | None) -> dict[str, Any]:
    return {"state": state, "unshipped": unshipped, "detail": detail, "hint": hint}


def _drive(node: Node, deadline: float) -> dict[str, Any]:
    """Step the agent of a node that is this process until nothing waits, it is stopped, or time is up."""
    shipper, puller = node.shipper, node.puller
    if shipper is None or puller is None:
        status = node.board.read()
        return _result(status.state, node.unshipped(), status.detail, status.hint)
    pulled = False
    with progress_bar("Shipping", node.unshipped()) as advance:
        while time.monotonic() < deadline:
            step = shipper.step()
            advance(step.count)
            if step.outcome is StepOutcome.STOPPED or node.board.read().state in FINAL:
                break
            if step.outcome is StepOutcome.IDLE:
                if pulled:
                    break
                # Instructions for this site record new events, so ship once more after them.
                pulled = _pull(node, deadline)
            elif step.wait:
                time.sleep(max(0.0, min(step.wait, deadline - time.monotonic())))
    status = node.board.read()
    return _result(status.state, node.unshipped(), status.detail, status.hint)


def _pull(node: Node, deadline: float) -> bool:
    while node.puller is not None and time.monotonic() < deadline:
        step = node.puller.step()
        if step.outcome in {StepOutcome.IDLE, StepOutcome.WAITING}:
            return True
        if step.outcome is StepOutcome.FAILED:
            return False
    return True


def _watch(client: ServiceClient, deadline: float) -> dict[str, Any]:
    """Watch the running node ship, which it does by itself."""
    status = client.get("/v1/status")
    unshipped = status["unshipped"]
    with progress_bar("Shipping", unshipped) as advance:
        while True:
            shipping = status["shipping"]
            advance(unshipped - status["unshipped"])
            unshipped = status["unshipped"]
            done = status["unshipped"] == 0 and shipping["state"] == ShippingState.OK
            if done or shipping["state"] in FINAL or time.monotonic() >= deadline:
                return _result(shipping["state"], status["unshipped"], shipping.get("detail"), shipping.get("hint"))
            time.sleep(POLL_SECONDS)
            status = client.get("/v1/status")
