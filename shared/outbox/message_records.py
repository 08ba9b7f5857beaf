"""The messages that a log publishes, as JSON has them: CloudEvents 1.0 (structured), and the data of each type.

Quantities are JSON numbers in the item's base unit, moments RFC 3339 in UTC. Absent members are left out, never null.
The schemas and the AsyncAPI document are derived from these types.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

import msgspec

from shared.event_record import Moment, Number
from shared.events import MAX_SEQUENCE, Code, Day, EventType, Id, Key, Uuid

SPECVERSION: Final = "1.0"
CONTENT_TYPE: Final = "application/cloudevents+json"
DATA_TYPE: Final = "application/json"

Positive = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": "number", "exclusiveMinimum": 0})]
"""A quantity above zero, written as a JSON number."""
NotNegative = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": "number", "minimum": 0})]
"""A quantity of zero or more, written as a JSON number."""
LogNumber = Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQUENCE)]
"""An epoch or a sequence."""


class MessageType(StrEnum):
    """The types, in the order in which one command publishes them."""

    STOCK_ADDED = "larder.StockAdded"
    STOCK_REMOVED = "larder.StockRemoved"
    INVENTORY_RESERVED = "larder.InventoryReserved"
    INVENTORY_UNAVAILABLE = "larder.InventoryUnavailable"
    RESERVATION_CONFIRMED = "larder.ReservationConfirmed"
    RESERVATION_RELEASED = "larder.ReservationReleased"
    RESERVATION_EXPIRED = "larder.ReservationExpired"
    TRANSFER_SENT = "larder.TransferSent"
    TRANSFER_RECEIVED = "larder.TransferReceived"
    TRANSFER_ENDED = "larder.TransferEnded"
    LOW_STOCK_DETECTED = "larder.LowStockDetected"
    LOG_CONTINUED = "larder.LogContinued"


class _Sparse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Base of what leaves out members that are None."""


class FigureLine(_Sparse, frozen=True, kw_only=True):
    """One event and the figures of its item after the whole command. `quantity`: by how much its figure changed."""

    event_id: Uuid
    event_type: EventType
    item_id: Id
    unit: Code
    quantity: Positive
    on_hand: Number
    reserved: Number
    available: Number


class ReceiptLine(_Sparse, frozen=True, kw_only=True):
    """One event of a receipt: `quantity` has arrived, or `lost` has not; the other one is zero."""

    event_id: Uuid
    event_type: EventType
    item_id: Id
    unit: Code
    quantity: NotNegative
    lost: NotNegative
    on_hand: Number
    reserved: Number
    available: Number


class ShortLine(_Sparse, frozen=True, kw_only=True):
    """An item of which less is available than was asked for."""

    item_id: Id
    unit: Code
    asked: Positive
    available: Number


class LowStockLine(_Sparse, frozen=True, kw_only=True):
    """An item that came to its reorder point, or below; `reorder_quantity`: what to order then, at least.

    `item_id` is the code that was recorded, `available` what the item was judged by: the sum over all of its codes.
    """

    event_id: Uuid
    item_id: Id
    unit: Code
    available: Number
    reorder_point: NotNegative
    reorder_quantity: NotNegative


class PaperReference(_Sparse, frozen=True, kw_only=True):
    """The paper behind what happened: its kind (order, delivery …), its id, which statement of it."""

    kind: Code
    id: Key
    revision: int | None = None


class MessageData(_Sparse, frozen=True, kw_only=True):
    """What every message says of the command: where, on which business date, when it was recorded, by which system."""

    location_id: Id
    business_date: Day
    recorded_at: Moment
    source: Code


class StockChange(MessageData, frozen=True, kw_only=True):
    """What raised, or lowered, the present on hand. `transfer_id`: of goods received beyond what was sent."""

    reference: PaperReference | None = None
    transfer_id: Id | None = None
    lines: tuple[FigureLine, ...]


class StockReservation(MessageData, frozen=True, kw_only=True):
    """Stock is reserved for an order until `expires_at`."""

    reservation_id: Id
    order_id: Key | None = None
    revision: int | None = None
    expires_at: Moment
    lines: tuple[FigureLine, ...]


class RefusedReservation(MessageData, frozen=True, kw_only=True):
    """An order that could not be reserved: its short items. Nothing was reserved for it by this command."""

    reservation_id: Id
    order_id: Key | None = None
    revision: int | None = None
    expires_at: Moment | None = None
    lines: tuple[ShortLine, ...]


class SettledReservation(MessageData, frozen=True, kw_only=True):
    """What is reserved no longer: it was sold, given back, or its time is over."""

    reservation_id: Id
    order_id: Key | None = None
    reason: Code | None = None
    lines: tuple[FigureLine, ...]


class GoodsSent(MessageData, frozen=True, kw_only=True):
    """What has left this location by a transfer."""

    transfer_id: Id
    lines: tuple[FigureLine, ...]


class GoodsReceived(MessageData, frozen=True, kw_only=True):
    """What has come to this location by a transfer, and what has been found not to come."""

    transfer_id: Id
    lines: tuple[ReceiptLine, ...]


class EndedTransfer(MessageData, frozen=True, kw_only=True):
    """A transfer that this location refused (no lines), or whose goods are booked back here."""

    transfer_id: Id
    outcome: Literal["refused", "reversed"]
    reason: Code | None = None
    lines: tuple[FigureLine, ...]


class LowStockItems(MessageData, frozen=True, kw_only=True):
    """Items whose available stock came from above their reorder point to it, or below."""

    lines: tuple[LowStockLine, ...]


class ParentPlace(_Sparse, frozen=True, kw_only=True):
    """The last event of an epoch's parent that still stands."""

    epoch: LogNumber
    sequence: LogNumber


class ContinuedLog(MessageData, frozen=True, kw_only=True):
    """The log goes on in another epoch: what the parent published after `parent.sequence` no longer stands."""

    epoch: LogNumber
    parent: ParentPlace


D = TypeVar("D")


class CloudEvent(_Sparse, Generic[D], frozen=True, kw_only=True):
    """One message. `id` is unique within `source`; `cursor` goes into `after` and `Last-Event-ID`."""

    specversion: Literal["1.0"]
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    source: Annotated[str, msgspec.Meta(min_length=1, extra_json_schema={"format": "uri-reference"})]
    type: MessageType
    subject: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    time: Moment
    datacontenttype: Literal["application/json"]
    cursor: Annotated[str, msgspec.Meta(pattern=r"^\d{8}-\d{16}-\d{3}$")]
    data: D


DATA_OF: Final[dict[MessageType, Any]] = {
    MessageType.STOCK_ADDED: StockChange,
    MessageType.STOCK_REMOVED: StockChange,
    MessageType.INVENTORY_RESERVED: StockReservation,
    MessageType.INVENTORY_UNAVAILABLE: RefusedReservation,
    MessageType.RESERVATION_CONFIRMED: SettledReservation,
    MessageType.RESERVATION_RELEASED: SettledReservation,
    MessageType.RESERVATION_EXPIRED: SettledReservation,
    MessageType.TRANSFER_SENT: GoodsSent,
    MessageType.TRANSFER_RECEIVED: GoodsReceived,
    MessageType.TRANSFER_ENDED: EndedTransfer,
    MessageType.LOW_STOCK_DETECTED: LowStockItems,
    MessageType.LOG_CONTINUED: ContinuedLog,
}
"""The type of `data` of each type of message."""

MEANING: Final[dict[MessageType, str]] = {
    MessageType.STOCK_ADDED: "The present on hand rose: a delivery, a return, what was made, an adjustment, a count, "
    "a void.",
    MessageType.STOCK_REMOVED: "The present on hand fell: an order, what was used or wasted, an adjustment, a count, "
    "a void.",
    MessageType.INVENTORY_RESERVED: "Stock was reserved for an order.",
    MessageType.INVENTORY_UNAVAILABLE: "An order could not be reserved; the lines are what it lacked.",
    MessageType.RESERVATION_CONFIRMED: "Reserved stock was sold and has left; no StockRemoved is sent for it.",
    MessageType.RESERVATION_RELEASED: "Reserved stock was given back.",
    MessageType.RESERVATION_EXPIRED: "The time of a reservation is over; its stock is available again.",
    MessageType.TRANSFER_SENT: "Goods left by a transfer.",
    MessageType.TRANSFER_RECEIVED: "Goods of a transfer arrived, or were found not to arrive.",
    MessageType.TRANSFER_ENDED: "This location refused a transfer, or its goods were booked back here.",
    MessageType.LOW_STOCK_DETECTED: "Available stock came to its reorder point, or below.",
    MessageType.LOG_CONTINUED: "The log goes on from an earlier place: read the stock anew.",
}
"""What each type of message says, in a sentence."""
