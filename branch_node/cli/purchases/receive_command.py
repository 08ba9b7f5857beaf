"""`larder branch receive`: record what was delivered of an order to a supplier."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer
from rich.markup import escape

from branch_node.cli.event_tables import print_recorded
from branch_node.cli.node_client import Directory, node_at, node_command
from branch_node.cli.purchases.supplier_order_output import PurchaseOrderId, order_path, print_order
from branch_node.settings import load
from shared.runtime.cli.arguments import figure
from shared.runtime.cli.errors import CommandRefused
from shared.runtime.cli.output import AsJson, number, print_json, print_line, print_next
from shared.runtime.cli.pending_commands import post_command, post_pending

_OPTION: Final = "--line"
_LINE: Final = re.compile(r"([0-9]{1,4})=([^=@;]+)(?:@([^=@;]+))?", re.ASCII)
_DETAILS: Final = {"lot": "lot", "expires": "expires_on", "note": "note"}


def receive(
    *,
    order: PurchaseOrderId,
    lines: Annotated[
        list[str] | None,
        typer.Option(
            _OPTION,
            metavar="N=QUANTITY[@COST][;lot=LOT][;expires=DATE]",
            help="What came of line N, such as '2=4.5@18.00 USD;lot=L7;expires=2026-12-24', in quotes. Again for each "
            "line, and for each lot of one.",
        ),
    ] = None,
    everything: Annotated[
        bool,
        typer.Option(
            "--all",
            help="All that is open; of a line that --line names that instead, and nothing of it with N=0.",
        ),
    ] = False,
    occurred_at: Annotated[
        str | None, typer.Option("--occurred-at", "--at", help="RFC 3339 with offset; now if not given.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", help="Idempotency key; made and kept for you if not given.")
    ] = None,
    directory: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Record what was delivered of an order, all of it at once. Without --line and --all: show what is open.

    More than was ordered is recorded as it came. What did not come stays open, until head office closes it.
    """
    named = [received_line(each) for each in lines or ()]
    path = order_path(order)
    with node_at(directory) as node:
        if not named and not everything:
            found = node.get(path)
            if as_json:
                print_json(found)
            else:
                _print_open(found, directory)
            return
        received = [*named, *(_rest(node.get(path), named) if everything else ())]
        received = [each for each in received if not _is_nothing(each["quantity"])]
        if not received:
            raise CommandRefused(
                f"nothing of {order} is open but what --line leaves out" if named else f"nothing of {order} is open",
                f"See 'larder branch purchase-orders show {order}'. What came all the same is received by its --line.",
            )
        body: dict[str, Any] = {"lines": received}
        if occurred_at is not None:
            body["occurred_at"] = occurred_at
        if key is not None:
            answer = post_command(node, f"{path}/receive", body, key=key)
        else:
            answer = post_pending(node, load(directory).dir, f"{path}/receive", body)
        after = None if as_json else node.get(path)
    if after is None:
        print_json(answer)
        return
    print_recorded("Recorded", answer["recorded"])
    _print_rest(after)


def received_line(text: str) -> dict[str, Any]:
    """The body of N=QUANTITY[@COST][;lot=LOT][;expires=DATE][;note=TEXT]. Raises BadParameter."""
    first, *details = (each.strip() for each in text.split(";"))
    match = _LINE.fullmatch(first)
    if match is None:
        raise typer.BadParameter(
            f"{first!r} is not N=QUANTITY, the number of the order's line and what came of it, such as 2=4.5",
            param_hint=_OPTION,
        )
    line: dict[str, Any] = {"line": int(match[1]), "quantity": figure(match[2].strip(), _OPTION)}
    if match[3] is not None:
        amount, _, currency = match[3].strip().partition(" ")
        if not currency.strip():
            raise typer.BadParameter(
                f"{match[3]!r} is no cost: an amount and a currency, such as '2=4.5@18.00 USD'", param_hint=_OPTION
            )
        line["cost"] = {"amount": figure(amount, _OPTION), "currency": currency.strip().upper()}
    for detail in details:
        name, equals, value = (part.strip() for part in detail.partition("="))
        if name not in _DETAILS or not equals or not value or _DETAILS[name] in line:
            raise typer.BadParameter(
                f"{detail!r} is none of lot=LOT, expires=YYYY-MM-DD and note=TEXT, each at most once",
                param_hint=_OPTION,
            )
        line[_DETAILS[name]] = value
    return line


def _rest(order: dict[str, Any], named: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is open of the lines that are not named."""
    numbers = {each["line"] for each in named}
    return [
        {"line": each["line"], "quantity": each["open"]}
        for each in order["lines"]
        if each["open"] and each["line"] not in numbers
    ]


def _is_nothing(quantity: object) -> bool:
    return isinstance(quantity, str) and re.fullmatch(r"0+(\.0*)?", quantity, re.ASCII) is not None


def _print_open(order: dict[str, Any], directory: Directory) -> None:
    print_order(order)
    still = [line for line in order["lines"] if line["open"]]
    if not still:
        print_line("Nothing is open.")
        return
    words = (order["purchase_order_id"], "--line", f"{still[0]['line']}={number(still[0]['open'])}")
    print_next(
        node_command(directory, "receive", order["purchase_order_id"], "--all"),
        node_command(directory, "receive", *words),
    )


def _print_rest(order: dict[str, Any]) -> None:
    still = [f"{number(line['open'])} {line['unit']} {line['item_id']}" for line in order["lines"] if line["open"]]
    over = [f"{number(line['over'])} {line['unit']} {line['item_id']}" for line in order["lines"] if line["over"]]
    name = escape(order["purchase_order_id"])
    print_line(f"Still open of {name}: {escape(', '.join(still))}" if still else f"Nothing is open of {name} any more.")
    if over:
        print_line(f"[yellow]More than was ordered: {escape(', '.join(over))}[/]")
