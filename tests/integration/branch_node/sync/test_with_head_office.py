"""The real agent of two branches against the real head office, its application called in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, create_engine, true

from branch_node.api.level_routes import SetLevel
from branch_node.commands.inbound.asked_orders import TakeOrderInstruction
from branch_node.commands.reservations.reservation_commands import ConfirmReservation, ReleaseReservation, Reserve
from branch_node.commands.reservations.reservation_decisions import Rest
from branch_node.commands.reservations.reservation_inputs import (
    ConfirmationContent,
    ReleaseContent,
    ReservationContent,
    WantedLine,
)
from branch_node.database.keys.api_keys import BranchKeys
from branch_node.database.reservation_rows import reservations_where
from branch_node.sync.shipping_status import ShippingState
from head_office.api.sync_routes import read_page  # type: ignore[attr-defined]
from head_office.catalogue import api_keys, items, locations
from head_office.catalogue.catalogue_history import read_head as catalogue_head
from head_office.catalogue.catalogue_history import verify as verify_catalogue
from head_office.catalogue.location_levels import LevelChange, put_levels
from head_office.database.schema import MIGRATIONS, VERSION_TABLE
from head_office.log import decoder
from head_office.log.quarantine import retry
from head_office.log.rebuild import rebuild
from head_office.main import build
from head_office.reports.verification import verify
from head_office.reservations.reservation_search import ReservationFilter, search_reservations
from head_office.settings import HeadOfficeSettings
from head_office.transfers import instructions, transfer_facts
from shared.catalogue_messages import CatalogueItem, CatalogueLocation
from shared.chain import understand
from shared.levels.reorder_levels import ReorderLevel
from shared.messages import Instruction, InstructionLine, InstructionOutcome, InstructionStep, QuarantineMessage
from shared.runtime.cli.service_client import InProcessTransport
from shared.runtime.client import ServiceClient
from shared.runtime.clock import SystemClock
from shared.runtime.database.migrations import migrate
from shared.runtime.http.scopes import Role, Scope
from tests.support.branch_rig import BranchRig, Record
from tests.support.consolidation import OldVersion
from tests.support.fake_head_office import FakeHeadOffice
from tests.support.order_events import answers_in, order_instruction

A, B = "BEY-01", "TRI-01"
LINES = (InstructionLine(1, "milk", 2_000, "l"),)


def two_locations(url: str) -> None:
    engine = create_engine(url)
    migrate(engine, MIGRATIONS, VERSION_TABLE)
    with engine.begin() as connection:
        for place in (A, B):
            told = CatalogueLocation(location_id=place, name=place, timezone="Asia/Beirut", day_start=240)
            locations.add(connection, told)
        items.put(connection, [CatalogueItem(item_id="milk", name="Milk", unit="l")])
    engine.dispose()


class Group:
    """Head office and two branches; `ask` is what the coordinator would."""

    def __init__(self, url: str, folder: Path) -> None:
        settings = HeadOfficeSettings(dir=folder, database_url=SecretStr(url), threads=4, ingests=2)
        self.head_office = build(settings, SystemClock())
        self.engine: Engine = self.head_office.engine
        self.transport = InProcessTransport(self.head_office.app)
        with self.engine.begin() as connection:
            texts = {place: api_keys.issue(connection, Role.BRANCH, place).text for place in (A, B)}
            viewer = api_keys.issue(connection, Role.VIEWER, None).text
        self.texts = texts
        self.head_office_client = ServiceClient("http://office.example", key=viewer, transport=self.transport)
        self.branches = {
            place: BranchRig(folder / place, FakeHeadOffice(place), transport=self.transport, key=texts[place])
            for place in (A, B)
        }

    def sync(self, *places: str) -> None:
        for place in places or (A, B):
            rig = self.branches[place]
            rig.shipper.request_hello()
            rig.ship()
            rig.pull()
            rig.pull()
            rig.ship()

    def ask(self, step: InstructionStep, token: int = 1, transfer_id: str = "t1") -> InstructionOutcome:
        site = B if step in {InstructionStep.IN, InstructionStep.REFUSE_IN} else A
        asked = Instruction(
            transfer_id=transfer_id, step=step, token=token, location_id=site, source=A, destination=B, lines=LINES
        )
        with self.engine.begin() as connection:
            return instructions.put(connection, [asked])[0].outcome

    def facts(self, transfer_id: str = "t1") -> list[tuple[str, str]]:
        with self.engine.connect() as connection:
            (found,) = transfer_facts.facts(connection, [transfer_id])
        return sorted((fact.location_id, fact.type.removeprefix("TRANSFER_")) for fact in found.facts)

    def logs_are_equal(self, place: str) -> bool:
        with self.engine.connect() as connection:
            page = read_page(connection, place, 0, 100_000)
        return [(line.line or "").encode() for line in page.items] == self.branches[place].lines()

    def close(self) -> None:
        for rig in self.branches.values():
            rig.close()
        self.head_office.close()
        self.transport.close()


@pytest.fixture
def group(postgres_url_factory: Callable[..., str], tmp_path: Path) -> Iterator[Group]:
    for place in (A, B):
        (tmp_path / place).mkdir()
    made = Group(postgres_url_factory(two_locations), tmp_path)
    yield made
    made.close()


def test_catalogue_events_and_a_transfer_all_the_way(group: Group) -> None:
    group.sync()
    a, b = group.branches[A], group.branches[B]
    assert set(a.writer.items) == set(b.writer.items) == {"milk"}
    a.record(5_000, 1_000)
    assert group.ask(InstructionStep.OUT) is InstructionOutcome.ACCEPTED
    group.sync(A)
    assert group.facts() == [(A, "OUT")]
    group.ask(InstructionStep.IN)
    group.sync(B)
    assert group.facts() == [(A, "OUT"), (B, "IN")]
    assert (a.on_hand("milk"), b.on_hand("milk")) == (4_000, 2_000)
    assert group.logs_are_equal(A)
    assert group.logs_are_equal(B)
    assert a.state is ShippingState.OK
    group.sync()
    assert len(a.lines()) == 3, "answered instructions are asked no more, and would record nothing"


def test_keys_are_given_scopes_rotated_and_revoked_at_the_next_contact(group: Group) -> None:
    with group.engine.begin() as connection:
        old = api_keys.issue(connection, Role.INTEGRATION, A, scopes=[Scope.RESTOCK])
    group.sync()
    store = BranchKeys(group.branches[A].store, "lk_none")
    found = store.lookup(old.key_id)
    assert found is not None
    assert (found.role, found.location_id, found.added) == (Role.INTEGRATION, A, {Scope.RESTOCK})
    assert BranchKeys(group.branches[B].store, "lk_none").lookup(old.key_id) is None
    with group.engine.begin() as connection:
        new, key = api_keys.rotate(connection, old.key_id, 3_600)
    group.sync()
    found = store.lookup(old.key_id)
    assert found is not None
    assert key.previous_until is not None
    assert [found.has(each.digest, key.previous_until - 1) for each in (old, new)] == [True, True]
    assert [found.has(each.digest, key.previous_until) for each in (old, new)] == [False, True]
    with group.engine.begin() as connection:
        api_keys.revoke(connection, old.key_id)
    assert not found.revoked
    group.sync()
    found = store.lookup(old.key_id)
    assert found is not None
    assert found.revoked


def test_a_level_of_head_office_reaches_the_branch_and_what_it_makes_low_comes_back(group: Group) -> None:
    a, b = group.branches[A], group.branches[B]
    group.sync()
    level = ReorderLevel(reorder_point=2_000, order_quantity=3_000, supplier_id="farm", pack_size=4_000, lead_days=1)

    def put(wanted: ReorderLevel | None) -> None:
        with group.engine.begin() as connection:
            put_levels(connection, [LevelChange(A, "milk", wanted)])
        group.sync()

    def marks(place: str) -> list[dict[str, object] | None]:
        listed = group.head_office_client.get("/v1/events", location_id=place)["items"]
        return [each.get("low") for each in sorted(listed, key=lambda each: each["sequence"])]

    assert a.writer.commit([SetLevel("milk", ReorderLevel(reorder_point=0, order_up_to=1_000))]) == ["milk"]
    put(level)
    for rig in (a, b):
        rig.record(5_000)
        rig.writer.commit([Record("milk", 3_000, "ORDER_DEDUCTION"), Record("milk", 1_000, "ORDER_DEDUCTION")])
    put(None)
    # From 1 to 0: it was low all the time by the level that head office had, and becomes it by the own one.
    a.writer.commit([Record("milk", 1_000, "ORDER_DEDUCTION")])
    group.sync()
    assert marks(A) == [
        None, {"reorder_point": 2, "reorder_quantity": 4}, None, {"reorder_point": 0, "reorder_quantity": 1},
    ]  # fmt: skip
    assert marks(B) == [None, None, None]
    assert group.logs_are_equal(A)
    with group.engine.connect() as connection:
        assert verify_catalogue(connection) == catalogue_head(connection).version


def reserved(order_id: str, quantity: int, revision: int = 1, *, items: tuple[str, ...] = ("milk",)) -> Reserve:
    lines = tuple(WantedLine(item_id=item, quantity=quantity) for item in items)
    return Reserve(ReservationContent(order_id=order_id, revision=revision, lines=lines), key=None, actor="till")


def test_head_office_has_the_reservations_of_each_branch(group: Group) -> None:
    """Reserved, stated anew, refused, confirmed in part and in full, released, expired: as the branch has them."""
    group.sync()
    rig = group.branches[A]
    rig.define("tea")
    rig.record(50_000)
    rig.record(50_000, item_id="tea")
    both = ("milk", "tea")
    first, second, third, _, _ = rig.writer.commit(
        [reserved(f"o-{n}", 3_000, items=both) for n in (1, 2, 3)] + [reserved("o-4", 1_000), reserved("o-5", 99_000)]
    )
    group.sync(A)
    key = ReservationContent(order_id="o-1", revision=2, lines=(WantedLine(item_id="tea", quantity=7_000),))
    part = ConfirmationContent(
        reservation_id=second.reservation_id, lines=(WantedLine(item_id="tea", quantity=1_000),), rest=Rest.KEEP
    )
    rig.writer.commit(
        [
            Reserve(key, key=None, actor="till"),
            ConfirmReservation(part, key="k-1", actor="till"),
            ReleaseReservation(ReleaseContent(reservation_id=third.reservation_id), key="k-2", actor="till"),
        ]
    )
    group.sync(A)
    assert states(group, A) == {"o-1": "ACTIVE", "o-2": "ACTIVE", "o-3": "RELEASED", "o-4": "ACTIVE"}
    whole = ConfirmationContent(reservation_id=first.reservation_id)
    rig.writer.commit([ConfirmReservation(whole, key="k-3", actor="till")])
    rig.base.pass_time(3_600)
    rig.record(1)
    group.sync(A)
    assert states(group, A) == {"o-1": "CONFIRMED", "o-2": "EXPIRED", "o-3": "RELEASED", "o-4": "EXPIRED"}
    with group.engine.begin() as connection:
        assert verify(connection).ok
        assert set(rebuild(connection).corrected.values()) == {0}


def test_head_office_reads_every_answer_to_what_it_asks_of_an_order(group: Group) -> None:
    group.sync()
    rig = group.branches[A]
    rig.record(10_000)
    milk, much = {"milk": 2_000}, {"milk": 99_000}
    course: list[tuple[str, str, dict[str, int] | None, dict[str, Any]]] = [
        ("placed", "1", much, {}),
        ("placed", "1", milk, {"revision": 2}),
        ("placed", "1", milk, {"revision": 2}),
        ("placed", "1", milk, {"revision": 1}),
        ("placed", "1", {"milk": 1}, {"revision": 2}),
        ("placed", "1", milk, {"revision": 3, "expires_at": 1}),
        ("shipped", "1", {"milk": 500}, {}),
        ("shipped", "1", None, {"final": True}),
        ("placed", "1", milk, {"revision": 4}),
        ("returned", "1", {"milk": 500}, {}),
        ("cancelled", "2", None, {"reason": "a note\nof two lines"}),
        ("cancelled", "2", None, {}),
        ("placed", "2", milk, {}),
        ("shipped", "3", None, {"final": True}),
        ("placed", "4", milk, {}),
        ("cancelled", "4", None, {}),
    ]
    asked = [
        order_instruction(kind, order_id, f"e{number}", lines, **fields)
        for number, (kind, order_id, lines, fields) in enumerate(course)
    ]
    answers = [each.outcome for each in rig.writer.commit([TakeOrderInstruction(each) for each in asked])]
    assert [each.reason or each.outcome.value for each in answers] == [
        "unavailable", "reserved", "reserved", "superseded", "order-superseded", "invalid-time", "shipped", "shipped",
        "shipped", "returned", "noted", "nothing", "cancelled", "unknown-order", "reserved", "released",
    ]  # fmt: skip
    group.sync(A)
    assert states(group, A) == {"1": "CONFIRMED", "4": "RELEASED"}
    with group.engine.begin() as connection:
        lines = [each.line for each in read_page(connection, A, 0, 1_000).items]
        assert verify(connection).ok
        assert set(rebuild(connection).corrected.values()) == {0}
    assert rig.board.read().quarantined == QuarantineMessage(count=0, sequences=())
    in_its_log = answers_in(understand((each or "").encode()) for each in lines)
    assert in_its_log == {each.key: answer for each, answer in zip(asked, answers, strict=True)}


def states(group: Group, place: str) -> dict[str, str]:
    """How the reservations of a branch stand, by order: the same at both ends."""
    with group.branches[place].store.reading() as connection:
        here = reservations_where(connection, true())
    with group.engine.connect() as connection:
        there = search_reservations(connection, ReservationFilter(location_ids=[place]), now=0)
    assert [each.reservation for each in there] == here
    return {each.order_id: each.state.value for each in here}


def test_a_refused_transfer_is_reversed(group: Group) -> None:
    group.sync()
    a = group.branches[A]
    a.record(5_000)
    group.ask(InstructionStep.OUT)
    group.sync(A)
    group.ask(InstructionStep.REFUSE_IN, token=2)
    group.sync(B)
    group.ask(InstructionStep.IN, token=3)
    group.ask(InstructionStep.REVERSE, token=3)
    group.sync()
    assert group.facts() == [(A, "OUT"), (A, "REVERSED"), (B, "REFUSED")]
    assert a.on_hand("milk") == 5_000
    assert group.ask(InstructionStep.REVERSE, token=2) is InstructionOutcome.FENCED


def test_a_backlog_of_several_batches(group: Group) -> None:
    group.sync()
    a = group.branches[A]
    for _ in range(12):
        a.record(*[1] * 1_000)
    group.sync(A)
    assert group.logs_are_equal(A)
    kept = a.board.read().acknowledged
    assert kept is not None
    assert kept.sequence == 12_000


def test_a_branch_with_another_branchs_key_gets_nowhere(group: Group, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    stranger = BranchRig(tmp_path / "x", FakeHeadOffice(A), transport=group.transport, key=group.texts[B])
    stranger.define("milk")
    stranger.record(1)
    assert stranger.shipper.step().outcome == "FAILED"
    assert stranger.state is ShippingState.UNAUTHORIZED
    assert group.facts() == []
    stranger.close()


def test_a_copy_of_a_branch_that_went_its_own_way_forks(group: Group, tmp_path: Path) -> None:
    group.sync()
    a = group.branches[A]
    a.record(1, 2, 3)
    group.sync(A)
    (tmp_path / "copy").mkdir()
    copy = BranchRig(tmp_path / "copy", FakeHeadOffice(A), transport=group.transport, key=group.texts[A])
    copy.define("milk")
    copy.record(7)
    copy.ship()
    assert copy.state is ShippingState.FORKED
    copy.record(8, 9, 10, 11)
    copy.base.pass_time(60)
    copy.ship()
    assert copy.state is ShippingState.FORKED
    copy.close()
    assert group.logs_are_equal(A)


def test_the_branch_knows_which_of_its_events_head_office_cannot_fold(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    group.sync()
    a = group.branches[A]
    a.record(1_000)
    a.writer.commit([Record("milk", 2_000, note="new")])
    with monkeypatch.context() as old:
        old.setattr(decoder, "understand", OldVersion.understand)
        group.sync(A)
    assert a.board.read().quarantined == QuarantineMessage(count=1, sequences=(2,))
    with group.engine.begin() as connection:
        retry(connection, A)
    group.sync(A)
    assert a.board.read().quarantined == QuarantineMessage(count=0, sequences=())
