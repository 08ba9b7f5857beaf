"""What routes and commands are given and answer about the sources of orders."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from shared.checked_fields import Source
from shared.event_record import Moment, moment_text
from shared.orders.order_sources import OrderSource
from shared.runtime.http.body_faults import FieldRule
from shared.runtime.http.key_rotation import MOST_OVERLAP_SECONDS, OVERLAP_SECONDS
from shared.runtime.webhooks.webhook_signatures import secret_bytes

PATH: Final = "/v1/inbound/orders"
"""Where the events of each source are sent, below its name."""


def _secret_fault(text: str) -> str | None:
    try:
        secret_bytes(text)
    except ValueError as error:
        return str(error)
    return None


Secret = Annotated[
    str,
    msgspec.Meta(max_length=100, description="whsec_ and the base64 of 24 to 64 random bytes; made if left out"),
    FieldRule(_secret_fault),
]


class SourceInput(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A system that is to tell of orders. `hold_days`: how long an order is reserved that names no expiry."""

    source: Source
    secret: Secret | None = None
    hold_days: Annotated[int, msgspec.Meta(ge=1, le=366)] = 14


class SecretRotationInput(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The secret from now on, and for how many seconds those until now count, too."""

    secret: Secret | None = None
    overlap_seconds: Annotated[int, msgspec.Meta(ge=0, le=MOST_OVERLAP_SECONDS)] = OVERLAP_SECONDS


class SourceWithSecret(msgspec.Struct, kw_only=True):
    """The secret is answered this once. `path` is where events are sent."""

    source: str
    secret: str
    path: str


class RemovedSource(msgspec.Struct, kw_only=True):
    """A source from which nothing is taken any more."""

    source: str


class SecretRecord(msgspec.Struct, kw_only=True):
    """A secret that counts, without its text; `expires_at` of one that was replaced."""

    created_at: Moment
    expires_at: Moment | None


class OrderSourceRecord(msgspec.Struct, kw_only=True):
    """A system that may tell of orders. `path` is where its events are sent."""

    source: str
    path: str
    hold_days: int
    created_at: Moment
    secrets: list[SecretRecord]


class OrderSourcePage(msgspec.Struct, kw_only=True):
    """Sources by name; `next` is what to give as `after` for the following ones, null at the end."""

    items: list[OrderSourceRecord]
    next: str | None


def path_of(source: str) -> str:
    """Where a source sends its events."""
    return f"{PATH}/{source}"


def source_record(found: OrderSource) -> OrderSourceRecord:
    """A source as it is answered: its secrets without their texts."""
    return OrderSourceRecord(
        source=found.source,
        path=path_of(found.source),
        hold_days=found.hold_days,
        created_at=moment_text(found.created_at),
        secrets=[
            SecretRecord(
                created_at=moment_text(each.created_at),
                expires_at=None if each.expires_at is None else moment_text(each.expires_at),
            )
            for each in found.secrets
        ],
    )
