"""`larder branch record`, `order` and `count`: commands that record events."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer
from rich.markup import escape

from branch_node.cli.event_tables import print_recorded
from branch_node.cli.item_completion import complete_item, complete_line
from branch_node.cli.node_client import Directory, node_at
from branch_node.settings import load
from shared.events import BY_HAND
from shared.runtime.cli.arguments import figure, item_lines, one_of
from shared.runtime.cli.output import AsJson, number, print_json, print_line, print_table
from shared.runtime.cli.pending_commands import post_command, post_pending
from shared.runtime.client import RemoteProblem, ServiceClient, Unreachable

LOOKED_AT: Final = 20
"""Of how many counted items the command looks whether they have stock under further codes."""

ALIASES: Final = {
    "delivery": "PURCHASE_RECEIVED",
    "purchase": "PURCHASE_RECEIVED",
    "sale": "ORDER_DEDUCTION",
    "deduction": "ORDER_DEDUCTION",
    "return": "CUSTOMER_RETURN",
    "use": "INTERNAL_USE",
    "waste": "WASTE_RECORDED",
    "count": "STOCKTAKE",
}
_OCCURRED = typer.Option("--occurred-at", help="RFC 3339 with offset; now if not given.")
_KEY = typer.Option("--key", help="Idempotency key; made and kept for you if not given.")
_LINES = typer.Argument(metavar="ITEM=QUANTITY", help="Such as milk=2.5", autocompletion=complete_line)


def record(
    *,
    event_type: Annotated[str, typer.Argument(metavar="TYPE", help=f"{', '.join(ALIASES)} or a full name.")],
    item: Annotated[str, typer.Argument(metavar="ITEM", help="The item's code.", autocompletion=complete_item)],
    quantity: Annotated[
        str, typer.Argument(metavar="QUANTITY", help="In the item's base unit, at most three decimals.")
    ],
    directory: Directory = None,
    reason: Annotated[str | None, typer.Option(help="A code: spoiled, broken, correction …")] = None,
    note: Annotated[str | None, typer.Option()] = None,
    occurred_at: Annotated[str | None, _OCCURRED] = None,
    unit: Annotated[str | None, typer.Option(help="The base unit, to be sure of it.")] = None,
    cost: Annotated[str | None, typer.Option(metavar="'AMOUNT CUR'", help="Of the whole line: '12.50 USD'.")] = None,
    reference: Annotated[str | None, typer.Option(metavar="KIND:ID", help="The paper, as delivery:4711.")] = None,
    reference_line: Annotated[
        int | None, typer.Option(min=1, help="Its line; purchase-order:ORDER needs one to count for that order.")
    ] = None,
    area: Annotated[str | None, typer.Option()] = None,
    lot: Annotated[str | None, typer.Option()] = None,
    expires_on: Annotated[str | None, typer.Option(help="YYYY-MM-DD")] = None,
    transfer: Annotated[str | None, typer.Option(help="For an adjustment: the transfer it is about.")] = None,
    key: Annotated[str | None, _KEY] = None,
    as_json: AsJson = False,
) -> None:
    """Record one event: a delivery, a sale, waste, internal use, a return, an adjustment, a count."""
    kind = _kind(event_type)
    body: dict[str, Any] = {
        "type": kind,
        "item_id": item,
        "counted" if kind == "STOCKTAKE" else "quantity": figure(quantity, "QUANTITY"),
        "reason": reason,
        "note": note,
        "occurred_at": occurred_at,
        "unit": unit,
        "cost": _cost(cost),
        "reference": _reference(reference, reference_line),
        "area": area,
        "lot": lot,
        "expires_on": expires_on,
        "transfer_id": transfer,
    }
    with node_at(directory) as node:
        if key is not None:
            answer = post_command(node, "/v1/events", _given(body), key=key)
        else:
            answer = post_pending(node, load(directory).dir, "/v1/events", _given(body))
    if as_json:
        print_json(answer)
    else:
        print_recorded("Recorded", [answer, *answer.get("used", [])])


def order(
    *,
    order_id: Annotated[str, typer.Argument(metavar="ORDER_ID")],
    lines: Annotated[list[str] | None, _LINES] = None,
    directory: Directory = None,
    revision: Annotated[int | None, typer.Option(help="Higher than the last: replaces the whole order.")] = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="Cancel the order: its deductions are voided.")] = False,
    occurred_at: Annotated[str | None, _OCCURRED] = None,
    source: Annotated[str | None, typer.Option(help="The till or system that it comes from.")] = None,
    reason: Annotated[str | None, typer.Option(help="With --cancel: why, as a code.")] = None,
    as_json: AsJson = False,
) -> None:
    """Record an order, all its lines or none; replace it with a higher --revision; or --cancel it.

    An order is known by its id, source and revision: given again, it is recorded once.
    """
    if cancel == bool(lines):
        raise typer.BadParameter("give the order's lines as ITEM=QUANTITY, or --cancel")
    if cancel:
        path = f"/v1/orders/{quote(order_id, safe='')}/cancel"
        body: dict[str, Any] = {"source": source, "reason": reason}
    else:
        path = "/v1/orders"
        parsed = [{"item_id": item_id, "quantity": quantity} for item_id, quantity in item_lines(lines or [])]
        body = {"order_id": order_id, "revision": revision, "lines": parsed, "source": source}
        body |= {"occurred_at": occurred_at}
    with node_at(directory) as node:
        answer = post_command(node, path, _given(body))
    if as_json:
        print_json(answer)
        return
    print_recorded("Recorded", answer["recorded"], empty=not answer["voided"])
    if answer["voided"]:
        print_recorded("Voided", answer["voided"])


def count(
    *,
    lines: Annotated[list[str], _LINES],
    directory: Directory = None,
    count_id: Annotated[str | None, typer.Option(help="Names the stocktake; made for you if not given.")] = None,
    area: Annotated[str | None, typer.Option(help="Where was counted; areas of one item are summed.")] = None,
    occurred_at: Annotated[str | None, _OCCURRED] = None,
    more: Annotated[bool, typer.Option("--more", help="More areas of this --count-id follow.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Correct what was said of these areas of this --count-id.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Record what was counted. An item that is not named was not counted; it is not zero."""
    given = [
        _given(
            {
                "item_id": item_id,
                "counted": counted,
                "area": area,
                "occurred_at": occurred_at,
                "replace": replace or None,
            }
        )
        for item_id, counted in item_lines(lines)
    ]
    body = _given({"count_id": count_id, "lines": given, "open": more or None})
    with node_at(directory) as node:
        if count_id is not None:
            answer = post_command(node, "/v1/counts", body)
        else:
            answer = post_pending(node, load(directory).dir, "/v1/counts", body, id_member="count_id")
        elsewhere = [] if as_json else _stand_elsewhere(node, answer["items"])
    if as_json:
        print_json(answer)
        return
    rows = [
        (each["item_id"], each["counted"], each["expected"], each["variance"], each.get("moved_quantity"))
        for each in answer["items"]
    ]
    columns = ("item", "counted#", "expected#", "variance+", "moved since seen+")
    nothing = f"Count {answer['count_id']}: nothing is posted yet. Go on with --count-id {answer['count_id']}."
    print_table(f"Count {answer['count_id']}", columns, rows, empty=nothing)
    flags = {flag for each in answer["items"] for flag in each["event"].get("flags", ())}
    if flags:
        print_line(f"[yellow]{', '.join(sorted(flags))}[/]")
    for stock in elsewhere:
        print_line(
            f"[yellow]{escape(stock['item_id'])} has {number(stock['on_hand'])} on hand over all its codes[/]: "
            "a count is of one code, and leaves what stands under others."
        )
    if answer["waiting"]:
        waiting = [(each["item_id"], each.get("area"), each["counted"]) for each in answer["waiting"]]
        print_table("Waits for the other areas", ("item", "area", "counted#"), waiting)
    for each in answer["missing"]:
        print_line(
            f"[yellow]Missing: {escape(each['area'])} of {escape(each['item_id'])}[/], where it was counted last."
        )


def _stand_elsewhere(node: ServiceClient, counted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The stock of the items that have another figure than what their count left: under further codes.

    Of items whose count is their newest event, and of LOOKED_AT at most; of none where the node does not answer.
    """
    found = []
    try:
        for each in counted[:LOOKED_AT]:
            item_id, event = each["item_id"], each["event"]
            newest = node.get("/v1/events", item_id=item_id, newest=True, limit=1)["items"]
            stock = node.get(f"/v1/stock/{quote(item_id, safe='')}")
            if newest[0]["sequence"] == event["sequence"] and stock["on_hand"] != event.get("on_hand_after"):
                found.append(stock)
    except (RemoteProblem, Unreachable):
        return []  # the count is recorded all the same
    return found


def _kind(text: str) -> str:
    alias = ALIASES.get(text.lower())
    if alias is not None:
        return alias
    near = get_close_matches(text.lower(), ALIASES)
    return one_of(text, sorted(BY_HAND), "TYPE", also=near)


def _cost(text: str | None) -> dict[str, str] | None:
    if text is None:
        return None
    amount, _, currency = text.strip().partition(" ")
    if not currency:
        raise typer.BadParameter("a cost is an amount and a currency, such as '12.50 USD'")
    return {"amount": figure(amount, "--cost"), "currency": currency.strip().upper()}


def _reference(text: str | None, line: int | None) -> dict[str, Any] | None:
    if text is None:
        if line is not None:
            raise typer.BadParameter(
                "it is the line of the paper that --reference names", param_hint="--reference-line"
            )
        return None
    kind, colon, paper = text.partition(":")
    if not (kind and colon and paper):
        raise typer.BadParameter("a reference is KIND:ID, such as delivery:4711")
    return _given({"kind": kind, "id": paper, "line": line})


def _given(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None}
