"""Subscriptions as commands print them, from the records that routes answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from shared.runtime.cli.output import flags, local_time, print_line, print_table, print_text, short_time

Record = Mapping[str, Any]


def print_subscriptions(found: Sequence[Record]) -> None:
    """A table of subscriptions."""
    rows = [
        (
            each["subscription_id"],
            each["state"],
            sum(cursor["behind"] for cursor in each["cursors"]),
            flags(["failing"] if any(cursor["failing_since"] for cursor in each["cursors"]) else []),
            each["url"],
            each["label"],
        )
        for each in found
    ]
    columns = ("subscription", "state", "behind#", "flags", "url~", "label~")
    print_table("Subscriptions", columns, rows, empty="Nobody subscribes to messages.")


def print_subscription(found: Record, zone: ZoneInfo) -> None:
    """One subscription, and how far it has come at each location."""
    locations = found["location_ids"]
    rows = [
        ("Subscription", found["subscription_id"]),
        ("State", found["state"]),
        ("Types", "all" if found["types"] is None else ", ".join(found["types"])),
        ("Label", found["label"]),
        ("Locations", "all" if locations is None else ", ".join(locations)),
        ("Since", local_time(found["created_at"], zone)),
    ]
    # By itself, whole, as it may be longer than a line and is there to be copied.
    print_text(f"URL: {found['url']}")
    print_table("", ("", "~"), [(name, value) for name, value in rows if value is not None])
    cursors = [
        (
            each["location_id"],
            each["cursor"],
            each["behind"],
            short_time(each["failing_since"], zone),
            each["error"],
        )
        for each in found["cursors"]
    ]
    columns = ("location", "cursor", "behind#", "failing since", "error~")
    print_table(f"How far it has come ({zone.key})", columns, cursors)


def print_secret(secret: str) -> None:
    """A secret, which is shown once."""
    print_text(f"secret: {secret}")
    print_line("It is shown this once: the receiver verifies signatures with it (Standard Webhooks).")


def print_deliveries(found: Sequence[Record], zone: ZoneInfo) -> None:
    """A table of deliveries; `not before` is when one is tried again."""
    several = len({each["location_id"] for each in found}) > 1
    rows = [
        (
            short_time(each["last_tried_at"], zone),
            each["location_id"] if several else "",
            each["type"].removeprefix("larder."),
            each["state"],
            each["attempts"],
            short_time(each["next_try_at"], zone),
            each["message_id"],
            each["error"],
        )
        for each in found
    ]
    columns = ("tried@", "location", "type", "state", "tries#", "not before@", "message", "error~")
    print_table(f"Deliveries ({zone.key})", columns, rows, empty="Deliveries: none")
