"""New and restored coordinators: what head office's facts tell of, they go on with, and they never guess."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from shared.messages import InstructionStep
from tests.integration.transfer_coordinator.conftest import Bench, a_transfer, cancel, create
from tests.integration.transfer_coordinator.office_model import IN, LOST, OUT, REFUSED, REVERSED
from tests.integration.transfer_coordinator.worker.test_crashes import fresh
from transfer_coordinator.api.transfer_queries import FIRST, listed


def lose_the_database(bench: Bench) -> None:
    """All of it, but not what head office and the sites have."""
    office = bench.office
    kept = (office.sites, office.kept, office.tokens, office.asked)
    fresh(bench)
    office.sites, office.kept, office.tokens, office.asked = kept


def strays(bench: Bench) -> list[str]:
    with bench.engine.connect() as connection:
        return list(connection.execute(text("SELECT transfer_id FROM stray ORDER BY 1")).scalars())


def test_a_new_coordinator_goes_on_with_what_is_on_the_way(bench: Bench) -> None:
    first = bench.worker("one")
    create(first, a_transfer(items=("milk", "rice")))
    first.step()
    bench.office.work()  # it left; nobody was asked to receive it yet
    lose_the_database(bench)
    new = bench.worker("two")
    bench.settle(new)
    record = bench.record()
    assert (record.state, record.transfer.lines) == ("COMPLETED", a_transfer(items=("milk", "rice")).lines)
    assert bench.office.asked[-1].step is InstructionStep.IN
    assert bench.office.asked[-1].token > bench.office.asked[0].token
    assert bench.journal()[0] == (1, "REQUESTED", None)


def test_what_has_ended_is_taken_in_as_ended(bench: Bench) -> None:
    first = bench.worker("one")
    create(first, a_transfer("t1"))
    create(first, a_transfer("t2", 200_000))
    bench.settle(first)
    asked = len(bench.office.asked)
    lose_the_database(bench)
    new = bench.worker("two")
    bench.settle(new)
    assert (bench.state("t1"), bench.state("t2")) == ("COMPLETED", "REJECTED")
    assert len(bench.office.asked) == asked
    # the caller asks once more, as it never had an answer: the same content is answered, other content refused
    again = create(new, a_transfer("t1"))
    other = create(new, a_transfer("t2", 5))
    new.step()
    assert again.future.result(0).state == "COMPLETED"
    assert other.future.exception(0) is not None


def test_the_caller_asks_again_before_the_facts_are_heard(bench: Bench) -> None:
    """The restored coordinator does not know that it asked before: head office fences it, and it goes on above."""
    first = bench.worker("one")
    bench.office.sites["B"].away = True
    create(first)
    bench.settle(first)
    cancel(first)
    bench.settle(first)  # refuse-in under token 2
    lose_the_database(bench)
    bench.office.sites["B"].away = False
    new = bench.worker("two")
    create(new)
    new.round(sweep=False)
    new.send()
    assert bench.office.tokens["t1"] == 2
    bench.settle(new)
    assert bench.state() in {"COMPLETED", "REVERSED"}
    assert bench.record().token > 2
    assert (bench.office.stock("milk"), bench.office.in_transit("milk")) == (100_000, 0)
    assert bench.office.log("A").count("OUT") == 1


def test_without_instructions_nothing_is_guessed(bench: Bench) -> None:
    bench.office.tells_sites = False
    bench.office.sites["A"].record("x", OUT, "milk", 1_000)
    bench.office.work()
    worker = bench.worker()
    bench.settle(worker)
    assert strays(bench) == ["x"]
    assert bench.office.asked == []
    assert len(worker._held) == 0
    # the sites settle it by themselves: then nothing is left to be done
    bench.office.sites["B"].record("x", IN, "milk", 1_000)
    bench.office.work()
    bench.settle(worker)
    assert strays(bench) == []


@pytest.mark.parametrize(
    "events",
    [
        [("A", REFUSED, None, None)],
        [("A", OUT, "milk", 1_000), ("B", IN, "milk", 400), ("B", LOST, "milk", 600)],
        [("A", OUT, "milk", 1_000), ("B", REFUSED, None, None), ("A", REVERSED, "milk", 1_000)],
    ],
)
def test_what_is_over_is_no_stray(bench: Bench, events: list[tuple[str, object, str | None, int | None]]) -> None:
    bench.office.tells_sites = False
    for site, kind, item_id, quantity in events:
        bench.office.sites[site].record("x", kind, item_id, quantity)  # type: ignore[arg-type]
    bench.office.work()
    bench.settle(bench.worker())
    assert strays(bench) == []


def test_a_stray_is_adopted_once_head_office_tells_more(bench: Bench) -> None:
    first = bench.worker("one")
    create(first)
    first.step()
    bench.office.work()
    lose_the_database(bench)
    bench.office.tells_sites = False
    bench.settle(bench.worker("two"))
    assert strays(bench) == ["t1"]
    bench.office.tells_sites = True
    bench.settle(bench.worker("three"))  # started again, it asks once more
    assert strays(bench) == []
    assert bench.state() == "COMPLETED"


def test_a_stray_that_is_asked_for_again_is_a_transfer_like_others(bench: Bench) -> None:
    first = bench.worker("one")
    create(first)
    first.step()
    bench.office.work()
    lose_the_database(bench)
    bench.office.tells_sites = False
    new = bench.worker("two")
    bench.settle(new)

    def states() -> list[str]:
        with bench.engine.connect() as connection:
            page = listed(connection, state=None, location_id=None, after=FIRST, limit=10, now=bench.clock.now())
            return [each.state for each in page.items]

    assert states() == ["UNADOPTABLE"]
    create(new)
    for _ in range(4):
        bench.settle(new)
        bench.clock.turn(6)
    assert states() == ["COMPLETED"]
