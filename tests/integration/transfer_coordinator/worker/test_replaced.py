"""A coordinator with an empty database, and a real head office that knows of open transfers: all of them end."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import text

from shared.messages import InstructionLine
from tests.simulation.coordinator import TransferWish, prepare_coordinator
from tests.simulation.history import History
from tests.simulation.invariants import conserved, in_transit
from tests.simulation.office import prepare_office
from tests.support.databases import Databases
from transfer_coordinator.saga.saga import Transfer

LINES = (InstructionLine(4, "salt", 1_000, "kg"), InstructionLine(9, "milk", 2_500, "l"))
SOURCE, DESTINATION = "A", "B"


class Group:
    """Head office's application, three branches and the coordinator's worker, on a network that does what it should."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.coordinator = history.coordinator

    def open(self) -> None:
        """A transfer is taken down, and the source asked."""
        transfer = Transfer(transfer_id="t-1", source=SOURCE, destination=DESTINATION, lines=LINES)
        wish = TransferWish(transfer, "ab" * 32)
        self.coordinator.wishes["t-1"] = wish
        self.coordinator.ask(wish)
        assert wish.taken
        self.coordinate()

    def work(self, *names: str) -> None:
        """These branches take what they are asked, record it and ship it; the others are away."""
        self.history.clock.advance(10_000_000)
        for name in names:
            for what in ("ship", "pull", "pull", "ship"):
                self.history.branches[name].step(what)

    def coordinate(self) -> None:
        for _ in range(4):
            self.history._advance(20)
            self.coordinator.step()

    def cancel(self) -> None:
        self.coordinator.call_back(self.coordinator.wishes["t-1"])
        self.coordinate()

    def replace(self) -> None:
        self.coordinator.replace()
        self.coordinator.start()

    def state(self) -> str | None:
        return self.coordinator.look().get("t-1")


@pytest.fixture
def group(databases: Databases) -> Iterator[Group]:
    with (
        databases.fresh(prepare_office) as office_url,
        databases.fresh(prepare_coordinator) as coordinator_url,
        History(1, office_url, coordinator_url) as history,
    ):
        history.network.heal()
        history.quiet_morning()
        history.quiet_morning()
        yield Group(history)


def asked_to_send(group: Group) -> str:
    return "OUT_PENDING"


def sent_and_not_heard(group: Group) -> str:
    for what in ("pull", "pull"):
        group.history.branches[SOURCE].step(what)
    return "OUT_PENDING"


def sent_and_nobody_asked_to_receive(group: Group) -> str:
    group.work(SOURCE)
    return "OUT_PENDING"


def asked_to_receive(group: Group) -> str:
    group.work(SOURCE)
    group.coordinate()
    return "IN_PENDING"


def called_back(group: Group) -> str:
    asked_to_receive(group)
    group.cancel()
    return "CANCEL_PENDING"


def called_back_before_it_was_sent(group: Group) -> str:
    group.cancel()
    return "OUT_CANCEL_PENDING"


def asked_to_take_back(group: Group) -> str:
    called_back(group)
    group.work(DESTINATION)
    group.coordinate()
    return "REVERSE_PENDING"


ENDS: list[tuple[Callable[[Group], str], set[str]]] = [
    (asked_to_send, {"COMPLETED"}),
    (sent_and_not_heard, {"COMPLETED"}),
    (sent_and_nobody_asked_to_receive, {"COMPLETED"}),
    (asked_to_receive, {"COMPLETED"}),
    (called_back, {"COMPLETED", "REVERSED"}),
    (called_back_before_it_was_sent, {"COMPLETED", "REVERSED", "REJECTED"}),
    (asked_to_take_back, {"REVERSED"}),
]


@pytest.mark.parametrize("swept", [False, True], ids=["", "swept"])
@pytest.mark.parametrize(("stand", "ends"), ENDS, ids=[stand.__name__ for stand, _ in ENDS])
def test_an_open_transfer_is_adopted_and_ends(
    group: Group, stand: Callable[[Group], str], ends: set[str], swept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if swept:
        monkeypatch.setattr("head_office.transfers.instructions.SWEEP_EVERY", 1)
    group.open()
    state = stand(group)
    assert group.state() == state
    group.replace()
    assert group.state() is None
    for _ in range(8):
        group.coordinate()
        assert group.coordinator.strays() == []
        group.work(SOURCE, DESTINATION)
    group.history._look()
    assert group.state() in ends
    conserved(group.history.here)
    assert not +in_transit(group.history.there)
    connection = group.coordinator.observer.connection
    lines = connection.execute(text("SELECT line, item_id, quantity, unit FROM transfer_line ORDER BY line"))
    assert [InstructionLine(*row) for row in lines] == list(LINES)
    assert connection.execute(text("SELECT note FROM journal WHERE number = 1")).scalar_one().startswith("adopted")
