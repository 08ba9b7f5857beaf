"""Words of command lines: figures, lines of items, names out of a list."""

from __future__ import annotations

import pytest
import typer

from shared.events import EventType
from shared.runtime.cli.arguments import duration, figure, item_lines, one_of


def test_lines_of_items() -> None:
    assert item_lines(["milk=2,5", "a=b=1"]) == [("milk", "2.5"), ("a=b", "1")]
    for wrong in ("milk", "=1", "milk=", "milk=1,500"):
        with pytest.raises(typer.BadParameter):
            item_lines([wrong])
    assert figure("0,5") == "0.5"


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("90s", 90), ("30m", 1_800), ("24h", 86_400), ("7d", 604_800)])
def test_a_duration(text: str, seconds: int) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "1.5h", "-1h", "1 h", "1w", "٣h", "9999999999s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no duration"):
        duration(text, "--overlap")


def test_a_name_out_of_a_list() -> None:
    assert one_of("waste-recorded", list(EventType), "--type") == "WASTE_RECORDED"
    for typed, near in {
        "waste": "WASTE_RECORDED",
        "STOKTAKE": "STOCKTAKE",
        "zzz": "There are: PURCHASE_RECEIVED",
    }.items():
        with pytest.raises(typer.BadParameter, match=near):
            one_of(typed, list(EventType), "--type")
