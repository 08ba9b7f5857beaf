"""What each reason of an adjustment records, with which sign and scope."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from branch_node.commands.adjustments.adjust_inputs import AdjustContent, AdjustInput, adjustment_of
from shared.events import EventType
from shared.runtime.http.scopes import Scope
from shared.runtime.problems import Problem


def content(change: Any, reason: str, **more: Any) -> AdjustContent:
    body = {"sku": "milk", "change": change, "reason": reason, **more}
    return adjustment_of(msgspec.json.decode(msgspec.json.encode(body), type=AdjustInput))


@pytest.mark.parametrize(
    ("reason", "change", "recorded", "scope"),
    [
        ("RESTOCK", 2, EventType.PURCHASE_RECEIVED, Scope.RESTOCK),
        ("RETURN", "0.5", EventType.CUSTOMER_RETURN, Scope.RESTOCK),
        ("SALE", -1, EventType.ORDER_DEDUCTION, Scope.SELL),
        ("DAMAGE", "-0.001", EventType.WASTE_RECORDED, Scope.SELL),
        ("CORRECTION", 1, EventType.ADJUSTMENT, Scope.CORRECT),
        ("CORRECTION", -1, EventType.ADJUSTMENT, Scope.CORRECT),
        ("found behind the shelf", 1, EventType.ADJUSTMENT, Scope.CORRECT),
        ("restock", 1, EventType.ADJUSTMENT, Scope.CORRECT),
    ],
)
def test_what_a_reason_records(reason: str, change: Any, recorded: EventType, scope: Scope) -> None:
    found = content(change, reason)
    assert (found.kind.type, found.scope) == (recorded, scope)


@pytest.mark.parametrize(
    ("reason", "change", "code"),
    [
        ("RESTOCK", -1, "invalid-request"), ("RETURN", -1, "invalid-request"), ("SALE", 1, "invalid-request"),
        ("DAMAGE", 1, "invalid-request"), ("SALE", 0, "invalid-quantity"), ("CORRECTION", 0, "invalid-quantity"),
        ("x", 0, "invalid-quantity"), ("SALE", "-1.0001", "invalid-quantity"), ("SALE", "1e3", "invalid-quantity"),
        ("a\nb", 1, "invalid-request"), ("a\u202eb", 1, "invalid-request"),
    ],
)  # fmt: skip
def test_what_cannot_be(reason: str, change: Any, code: str) -> None:
    with pytest.raises(Problem) as caught:
        content(change, reason)
    assert (caught.value.status, caught.value.code) == (422, code)
    assert caught.value.extras["errors"][0]["field"] in {"change", "reason"}


def test_a_reason_of_ones_own_is_the_note() -> None:
    assert content(1, "moth").event_note == "moth"
    assert content(1, "moth", note="again").event_note == "moth: again"
    assert content(1, "RESTOCK", note="again").event_note == "again"
    assert content(1, "RESTOCK").event_note is None
    assert content(1, "m", note="n" * 997).event_note == "m: " + "n" * 997
    with pytest.raises(Problem, match="together"):
        content(1, "m", note="n" * 998)
