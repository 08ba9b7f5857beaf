"""What is instructed for: its id, its digest, its lines summed. Settings, and what a transfer says of itself."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from shared.events import EventType
from shared.messages import InstructionStep
from shared.runtime.http.auth import generate_key
from shared.runtime.problems import Problem
from shared.runtime.settings import SettingsError, find_here, write_settings_file
from tests.unit.transfer_coordinator.saga.test_planner import NEW, NOW, TRANSFER, fact
from transfer_coordinator.api.transfer_records import detail, document, why
from transfer_coordinator.api.transfer_requests import TransferRequest, check_request, read_body, transfer_of
from transfer_coordinator.office.group_catalogue import GroupCatalogue
from transfer_coordinator.saga.planner import TransferRecord
from transfer_coordinator.saga.saga import State, TransferConflict
from transfer_coordinator.settings import SERVICE, settings_of

BODY = b'{"source":"A","destination":"B","mode":"immediate","lines":[%s]}'


def asked(lines: bytes = b'{"item_id":"milk","quantity":2.5}', key: str | None = None) -> TransferRequest:
    return check_request(read_body(BODY % lines), key, "new-id")


def test_the_id_is_made_of_the_key_and_always_the_same() -> None:
    assert asked().transfer_id == "new-id"
    # Never to change: a coordinator whose database was lost must find the transfer of a repeated request.
    assert asked(key="monday").transfer_id == "5adfe29d-d0c1-5690-8ff6-c284bb2f26c4"
    assert asked(key="tuesday").transfer_id != asked(key="monday").transfer_id


def test_the_same_item_is_summed_and_the_order_of_lines_says_nothing() -> None:
    one = asked(b'{"item_id":"milk","quantity":1},{"item_id":"rice","quantity":2},{"item_id":"milk","quantity":"0.5"}')
    other = asked(b'{"item_id":"rice","quantity":2.000},{"item_id":"milk","quantity":1.5}')
    assert one.quantities == {"milk": 1_500, "rice": 2_000}
    assert one.digest == other.digest != asked().digest


def test_units_come_from_the_catalogue() -> None:
    known = GroupCatalogue(1, "", {"milk": "l"}, {"A": "a", "B": "b"}, {})
    (line,) = transfer_of(asked(), known).lines
    assert (line.line, line.unit, line.quantity) == (1, "l", 2_500)
    with pytest.raises(Problem) as refused:
        transfer_of(asked(b'{"item_id":"rice","quantity":1}'), known)
    assert refused.value.code == "unknown-item"


SENT = fact("A", EventType.TRANSFER_OUT)
LOST = fact("B", EventType.TRANSFER_LOST)


def record(state: State, **changes: object) -> TransferRecord:
    return msgspec.structs.replace(NEW, state=state, **changes)


@pytest.mark.parametrize(
    ("stands", "said"),
    [
        (record(State.REQUESTED), "Recorded; no instruction was sent yet."),
        (
            record(State.OUT_PENDING, attempts=3),
            "A is instructed to send the goods, and has not answered. The instruction was sent 3 times.",
        ),
        (record(State.IN_PENDING, facts=(fact("A", EventType.TRANSFER_OUT),)), "B is instructed to receive"),
        (record(State.IN_PENDING, facts=(fact("B", EventType.TRANSFER_IN),)), "the log of A has not come in yet"),
        (
            record(
                State.IN_PENDING,
                facts=(fact("A", EventType.TRANSFER_OUT), fact("B", EventType.TRANSFER_IN)),
                last_step=InstructionStep.IN,
                transfer=msgspec.structs.replace(TRANSFER, cancel_requested_at=NOW),
            ),
            "cancelled too late",
        ),
        (record(State.CANCEL_PENDING), "B is instructed not to receive"),
        (record(State.REVERSE_PENDING), "A is instructed to take them back"),
        (record(State.COMPLETED, facts=(SENT, fact("B", EventType.TRANSFER_IN))), "was received at B."),
        (record(State.COMPLETED, facts=(SENT, LOST), end_reason="lost"), "All that left A was recorded at B as lost."),
        (record(State.COMPLETED, facts=(SENT, fact("B", EventType.TRANSFER_IN), LOST)), "the rest was recorded there"),
        (record(State.REVERSED, end_reason="no-room"), "B refused it (no-room); the goods are back at A"),
        (record(State.REJECTED, end_reason="insufficient-stock"), "A refused to send it (insufficient-stock)"),
        (record(State.REJECTED, end_reason="never-asked"), "before any instruction was sent"),
        (
            record(State.COMPLETED, conflict=TransferConflict.RECEIVED_MORE),
            "A person must act: B recorded more than A sent.",
        ),
    ],
)
def test_why(stands: TransferRecord, said: str) -> None:
    assert said in why(stands)


def test_every_conflict_and_state_has_its_words() -> None:
    for state in State:
        for conflict in (None, *TransferConflict):
            assert "{" not in why(record(state, conflict=conflict, end_reason="x"))


def test_overdue_and_times() -> None:
    late = record(State.OUT_PENDING, transfer=msgspec.structs.replace(TRANSFER, deadline=NOW))
    assert document(late, NOW - 1).overdue is False
    assert document(late, NOW).overdue is True
    assert detail(late, [], NOW).deadline == "2025-02-19T21:20:00Z"


def test_settings_name_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"there is no coordinator in .*larder transfer init"):
        settings_of(tmp_path)
    key = generate_key().text
    write_settings_file(tmp_path, {"service": "transfer-coordinator", "head_office": "http://o:8000/", "key": key})
    found = settings_of(tmp_path, port=9)
    assert (found.head_office, found.port, found.key.get_secret_value()) == ("http://o:8000", 9, key)
    assert key not in repr(found)
    for wrong, why_not in (
        ({"head_office": "office"}, "address"),
        ({"key": "secret"}, "this is no key"),
        ({"database_url": "sqlite:///x"}, "PostgreSQL only"),
        ({"lease_seconds": 0}, "lease_seconds"),
    ):
        with pytest.raises(SettingsError, match=why_not):
            settings_of(tmp_path, **wrong)


def test_the_only_coordinator_here_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LARDER_DIR", raising=False)
    with pytest.raises(SettingsError, match="which coordinator"):
        settings_of(None)
    write_settings_file(tmp_path / "office", {"service": "head-office"})
    write_settings_file(
        tmp_path / "t", {"service": "transfer-coordinator", "head_office": "http://o", "key": generate_key().text}
    )
    assert find_here(SERVICE) == Path("t")
    assert settings_of(None).dir == Path("t")
