"""Tables of events as the commands of `larder branch` print them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

from shared.event_record import change_text
from shared.runtime.cli.output import flags, number, number_of, print_table, short_time, signed

RECORDED_COLUMNS: Final = ("event#", "type", "item", "change+", "unit", "on hand#", "flags~")
LOG_COLUMNS: Final = ("event#", "occurred@", "type", "item", "change+", "unit", "by~", "note~")
STEP_COLUMNS: Final = ("event#", "occurred@", "type", "change+", "on hand#", "note~")
LEFT_OUT_COLUMNS: Final = ("event#", "occurred@", "type", "change+", "why~")


def print_recorded(title: str, events: Sequence[dict[str, Any]], *, empty: bool = True) -> None:
    """A table of events as they were recorded, with what stood of their items after them."""
    rows = [
        (
            event["sequence"],
            event["type"],
            event.get("item_id"),
            change_text(event),
            event.get("unit"),
            event.get("on_hand_after"),
            flags(event.get("flags")),
        )
        for event in events
    ]
    print_table(title, RECORDED_COLUMNS, rows, empty="Nothing new." if empty else "")


def print_log(location_id: str, events: Sequence[dict[str, Any]], zone: ZoneInfo) -> None:
    """A table of events as the log has them."""
    rows = [
        (
            event["sequence"],
            short_time(event["occurred_at"], zone),
            event["type"],
            event.get("item_id"),
            change_text(event),
            event.get("unit"),
            event["actor"],
            remark(event),
        )
        for event in events
    ]
    print_table(f"Log of {location_id}, times in {zone.key}", LOG_COLUMNS, rows, empty="No such events.")


def print_explanation(answer: dict[str, Any], zone: ZoneInfo, most: int | None) -> None:
    """The tables of an explanation: how the figure came about, and what does not count; the newest `most` lines each.

    Without `most` they have every line of the answer.
    """
    item_id = answer["stock"]["item_id"]
    steps, older = _newest(answer["steps"], answer["older_steps"], most)
    rows: list[tuple[object, ...]] = [_step(answer["start"], zone, item_id)] if answer["start"] else []
    if older:
        rows.append(("", "", number_of(older, "older event"), "", "", ""))
    rows += [_step(each, zone, item_id) for each in steps]
    print_table(f"How it came about, times in {zone.key}", STEP_COLUMNS, rows, empty="No event counts.")
    left, older = _newest(answer["not_counted"], answer["older_not_counted"], most)
    rows = [("", "", number_of(older, "older event"), "", "")] if older else []
    rows += [_left_out(each, zone) for each in left]
    if rows:
        print_table("What does not count", LEFT_OUT_COLUMNS, rows)


def _newest(found: list[Any], older: int, most: int | None) -> tuple[list[Any], int]:
    shown = found if most is None else found[-most:]
    return shown, older + len(found) - len(shown)


def _step(step: dict[str, Any], zone: ZoneInfo, item_id: str) -> tuple[object, ...]:
    event = step["event"]
    variance = step.get("variance")
    code = step.get("recorded_as")
    words = (
        f"as {code}" if code not in {None, item_id} else "",
        f"variance {signed(variance)}" if variance else "",
        remark(event),
    )
    return (
        event["sequence"],
        short_time(event["occurred_at"], zone),
        event["type"],
        change_text(event),
        number(step["on_hand"]),
        ", ".join(word for word in words if word),
    )


def _left_out(left: dict[str, Any], zone: ZoneInfo) -> tuple[object, ...]:
    event, by = left["event"], left.get("by_sequence")
    why = left["reason"] + (f" ({by})" if by else "")
    return (event["sequence"], short_time(event["occurred_at"], zone), event["type"], change_text(event), why)


def remark(event: dict[str, Any]) -> str:
    """What an event refers to, and its note, in one line."""
    reference = event.get("reference") or {}
    parts = (
        event.get("reason"),
        f"{reference['kind']} {reference['id']}" if reference else None,
        f"transfer {event['transfer_id']}" if event.get("transfer_id") else None,
        f"voids {event['voided_sequence']}" if event.get("voided_sequence") else None,
        f"voided by {event['voided_by']}" if event.get("voided_by") else None,
        event.get("note"),
    )
    return ", ".join(part for part in parts if part)
