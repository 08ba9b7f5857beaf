"""Reads the snapshot for the demo's checks: the branches' databases, head office's copies, the transfers' states."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

from branch_node.database.schema import LOG, STOCK
from deploy.demo.checks import LogCopy, Snapshot
from deploy.demo.day import Day, DayTotals, ServiceCaller, list_all
from deploy.demo.services import Branch, DemoGroup
from shared.event_log import read_after
from shared.events import parse_quantity
from shared.projection import load_standings
from shared.runtime.database.engine import sqlite_engine

PAGE = 1_000


def read_snapshot(group: DemoGroup, day: Day, totals: DayTotals) -> Snapshot:
    """The snapshot of a running group. Raises DemoFailed."""
    stock = list_all(day.office, "/v1/stock")
    transfers = {each["transfer_id"]: str(each["state"]) for each in list_all(day.coordinator, "/v1/transfers")}
    return Snapshot(
        branches={name: _at_branch(branch) for name, branch in group.branches.items()},
        head_office={name: _at_head_office(day.office, name, stock) for name in group.branches},
        transfers=transfers,
        totals=totals,
    )


def _at_branch(branch: Branch) -> LogCopy:
    engine = sqlite_engine(branch.folder / "branch.db", read_only=True)
    try:
        copy = LogCopy([], [], {})
        with engine.connect() as connection:
            while entries := read_after(connection, LOG, len(copy.lines), PAGE):
                copy.lines.extend(entry.line for entry in entries)
                copy.hashes.extend(entry.hash for entry in entries)
            standings = load_standings(connection, STOCK, branch.name)
        copy.on_hand.update({item_id: standing.on_hand for item_id, standing in standings.items()})
        return copy
    finally:
        engine.dispose()


def _at_head_office(office: ServiceCaller, location: str, stock: list[dict[str, Any]]) -> LogCopy:
    copy = LogCopy([], [], {})
    after = 0
    while True:
        page = office.call("GET", "/v1/sync/log", location_id=location, after=after, limit=PAGE)
        for each in page["items"]:
            line = each.get("line")
            copy.lines.append(line.encode() if line is not None else b64decode(each["line_base64"]))
            copy.hashes.append(bytes.fromhex(each["hash"]))
        if len(page["items"]) < PAGE:
            break  # `next` of a log is given at its end too
        after = page["next"]
    for row in stock:
        if row["location_id"] == location:
            copy.on_hand[row["item_id"]] = parse_quantity(str(row["on_hand"]))
    return copy
