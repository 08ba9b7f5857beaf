"""A void of one event says what still stands of its command; a void of the whole command leaves nothing of it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.runtime.problems import Problem
from tests.support.branch import Branch, a_branch
from tests.support.branch_api import Caller

ITEMS = ("milk", "beans", "cup")


def made(branch: Branch) -> list[str]:
    """A production of beans from milk and cups; the ids of its events."""
    answer = branch.event("PRODUCTION_MADE", "beans", 2, used=[{"item_id": "milk", "quantity": 1},
                                                               {"item_id": "cup", "quantity": 3}])  # fmt: skip
    return [answer.event_id, *(each.event_id for each in answer.used)]


def figures(branch: Branch) -> tuple[int, ...]:
    standings = branch.standings()
    return tuple(standings[item].on_hand if item in standings else 0 for item in ITEMS)


def test_what_a_production_used_still_stands_once_what_it_made_is_voided(any_branch: Branch) -> None:
    made_id, *used = made(any_branch)
    answer = any_branch.void(made_id)
    assert figures(any_branch) == (-1_000, 0, -3_000)
    assert [each.event_id for each in answer.still_stands] == used
    assert [each.type for each in answer.still_stands] == ["PRODUCTION_USED"] * 2


def test_the_whole_of_a_production_is_voided_in_one_command(any_branch: Branch) -> None:
    ids = made(any_branch)
    before = any_branch.writer.head.sequence
    answer = any_branch.void(ids[1], whole=True, key="k")
    assert figures(any_branch) == (0, 0, 0)
    assert answer.still_stands == ()
    assert answer.voided_event_id == ids[1], "the answer is the void of the event that was named"
    assert [each.voided_event_id for each in answer.voided] == [ids[1], ids[0], ids[2]]
    assert [(each.line, each.lines) for each in answer.voided] == [(1, 3), (2, 3), (3, 3)]
    again = any_branch.void(ids[1], whole=True, key="k")
    assert again == answer
    assert any_branch.writer.head.sequence == before + 3
    with pytest.raises(Problem) as caught:
        any_branch.void(ids[1], key="k")
    assert caught.value.code == "key-reused"


def test_the_rest_is_voided_after_one_was(any_branch: Branch) -> None:
    ids = made(any_branch)
    first = any_branch.void(ids[0], key="first")
    with pytest.raises(Problem) as caught:
        any_branch.void(ids[0])
    assert (caught.value.code, "--whole" in caught.value.hint) == ("already-voided", True)
    rest = any_branch.void(ids[0], whole=True)
    assert [each.voided_event_id for each in rest.voided] == ids[1:]
    assert figures(any_branch) == (0, 0, 0)
    with pytest.raises(Problem) as caught:
        any_branch.void(ids[0], whole=True)
    assert (caught.value.code, "whole" in caught.value.hint) == ("already-voided", False)
    again = any_branch.void(ids[0], key="first")
    assert again == first, "what stood then, whatever was voided since"


def test_an_event_alone_leaves_nothing(any_branch: Branch) -> None:
    delivery = any_branch.event("PURCHASE_RECEIVED", "milk", 5)
    assert any_branch.void(delivery.event_id).still_stands == ()
    other = any_branch.event("PURCHASE_RECEIVED", "milk", 5)
    answer = any_branch.void(other.event_id, whole=True)
    assert (answer.still_stands, len(answer.voided), any_branch.on_hand()) == ((), 1, 0)


def test_the_lines_of_an_order_and_the_items_of_a_count(any_branch: Branch) -> None:
    order = any_branch.order("o", [{"item_id": item, "quantity": 1} for item in ITEMS])
    answer = any_branch.void(order.recorded[0].event_id)
    assert [each.event_id for each in answer.still_stands] == [each.event_id for each in order.recorded[1:]]
    any_branch.count("c", [{"item_id": item, "counted": 7} for item in ITEMS])
    counts = [event for event in any_branch.events() if event.type == "STOCKTAKE"]
    assert figures(any_branch) == (7_000, 7_000, 7_000)
    any_branch.void(counts[2].event_id, whole=True)
    assert figures(any_branch) == (0, -1_000, -1_000)


def test_the_voids_of_a_revision_are_no_part_of_what_stands(any_branch: Branch) -> None:
    any_branch.order("o", [{"item_id": "milk", "quantity": 1}, {"item_id": "cup", "quantity": 1}])
    revised = any_branch.order(
        "o", [{"item_id": "milk", "quantity": 2}, {"item_id": "beans", "quantity": 1}], revision=2
    )
    assert len(revised.voided) == 2
    answer = any_branch.void(revised.recorded[0].event_id)
    assert [each.item_id for each in answer.still_stands] == ["beans"]
    assert any_branch.void(revised.recorded[1].event_id).still_stands == ()
    assert figures(any_branch) == (0, 0, 0)


@settings(max_examples=15, deadline=None)
@given(
    used=st.lists(st.sampled_from(ITEMS[:1] + ITEMS[2:]), min_size=1, max_size=4),
    alone=st.lists(st.integers(0, 4), max_size=4),
    named=st.integers(0, 4),
)
def test_whatever_was_voided_before_the_whole_leaves_nothing(used: list[str], alone: list[int], named: int) -> None:
    with TemporaryDirectory() as folder, a_branch(Path(folder)) as branch:
        answer = branch.event("PRODUCTION_MADE", "beans", 2, used=[{"item_id": each, "quantity": 1} for each in used])
        ids = [answer.event_id, *(each.event_id for each in answer.used)]
        standing = list(ids)
        for place in alone:
            event_id = ids[place % len(ids)]
            if event_id in standing:
                standing.remove(event_id)
                assert [each.event_id for each in branch.void(event_id).still_stands] == standing
        if standing:
            whole = branch.void(ids[named % len(ids)], whole=True)
            assert sorted(each.voided_event_id or "" for each in whole.voided) == sorted(standing)
            assert whole.still_stands == ()
        assert figures(branch) == (0, 0, 0)


def test_over_http(any_caller: Caller) -> None:
    body = {"type": "PRODUCTION_MADE", "item_id": "beans", "quantity": 2, "used": [{"item_id": "milk", "quantity": 1}]}
    first = any_caller.post("/v1/events", body).json()
    path = f"/v1/events/{first['event_id']}/void"
    answer = any_caller.post(path, {"reason": "mistake"})
    assert answer.status_code == 201
    assert [each["event_id"] for each in answer.json()["still_stands"]] == [first["used"][0]["event_id"]]
    assert "voided" not in answer.json()
    rest = any_caller.post(path, {"reason": "mistake", "whole": True}).json()
    assert rest["still_stands"] == []
    assert [each["voided_sequence"] for each in rest["voided"]] == [2]
    assert any_caller.post(path, {"reason": "mistake", "whole": 1}).status_code == 422
    assert any_caller.get("/v1/stock/milk").json()["on_hand"] == 0
