"""Import into a node that serves: the claim's route, and batches whose requests and answers get lost."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from branch_node.database.schema import LOG
from branch_node.imports.import_summary import ImportSummary
from branch_node.imports.recorders.http_recorder import HttpImportRecorder
from shared.chain import understand
from shared.event_log import read_after
from shared.events import Entered, Event
from shared.runtime.cli.service_client import InProcessTransport
from shared.runtime.client import RemoteProblem, ServiceClient, Unreachable
from tests.integration.branch_node.imports.import_runs import (
    CREATING,
    TILL,
    WITH_IDS,
    a_till_file,
    conflicting,
    import_file,
    rejected,
    run,
    sales,
)
from tests.support.branch import a_branch
from tests.support.branch_api import Caller, a_caller

ROWS = 3_000
FILE = {"source": "till-7", "file": "sales.csv", "size": 12, "sha256": "ab" * 32, "known_by": "line"}


@pytest.fixture
def caller(tmp_path: Path) -> Iterator[Caller]:
    with a_caller(tmp_path / "node") as made:
        yield made


class Lossy(httpx.BaseTransport):
    """A line that loses requests before the node, and answers after it, and turns some away; it counts each."""

    def __init__(self, inner: httpx.BaseTransport, seed: int, *, works: float = 0.5) -> None:
        self._inner = inner
        self._chance = random.Random(seed)
        self._works = works
        self.seen: Counter[str] = Counter()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        fault = "none" if self._chance.random() < self._works else self._chance.choice(["request", "answer", "busy"])
        self.seen[fault] += 1
        if fault == "request":
            raise httpx.ConnectError("lost on the way there")
        if fault == "busy":
            return httpx.Response(503, json={"code": "busy", "title": "Busy", "status": 503})
        answer = self._inner.handle_request(request)
        if fault == "answer":
            raise httpx.ReadError("lost on the way back")
        return answer

    def close(self) -> None:
        """Left to the test: one line serves several runs."""


def import_over(caller: Caller, file: Path, mapped: str, transport: httpx.BaseTransport):
    key = caller.keys.text["manager"]
    with (
        ServiceClient("http://node", key=key, transport=transport, sleep=lambda _: None) as client,
        HttpImportRecorder(client, caller.node.store, sleep=lambda _: None) as recorder,
    ):
        return run(recorder, file, mapped)


def log_of(caller: Caller) -> list[Event]:
    with caller.node.store.reading() as connection:
        return [understand(entry.line) for entry in read_after(connection, LOG, 0, 100_000)]


def test_an_import_records_under_keys_of_its_own_source_alone(caller: Caller) -> None:
    assert caller.send("PUT", "/v1/items/milk", {"name": "Milk", "unit": "l"}).is_success
    begun = caller.post("/v1/imports", FILE).json()
    address = f"/v1/imports/{begun['record']['import_id']}/rows"
    row = {"type": "ORDER_DEDUCTION", "item_id": "milk", "quantity": 1, "occurred_at": "2025-12-05T10:00:00Z"}
    rows = [
        {**row, "key": "import/till-7//id:1"},
        {**row, "key": "import/till-77//id:1"},
        {**row, "key": "rubbish"},
        {**row, "key": "import/till-7//id:2", "source": "till-8"},
    ]
    outcomes = caller.post(address, {"events": rows}).json()["outcomes"]
    assert [each.get("new", False) for each in outcomes] == [True, False, False, False]
    assert "begin with 'import/till-7/'" in outcomes[1]["problem"]["detail"]
    assert "from 'till-7'" in outcomes[3]["problem"]["detail"]
    (event,) = (each for each in log_of(caller) if each.type == "ORDER_DEDUCTION")
    assert event.source == "till-7"
    lines = [{"item_id": "milk", "counted": 1}]
    count = {"key": "import/other//count:1", "occurred_at": "2025-12-05T10:00:00Z", "lines": lines}
    assert caller.post(address, {"counts": [count]}).status_code == 422


def test_the_events_are_those_of_a_direct_import(caller: Caller, tmp_path: Path) -> None:
    mapped = WITH_IDS.replace(
        "[columns]", '[columns]\nnote = "note"\nactor = "who"\nreference = "ref"\nunit_cost = "cost"'
    )
    mapped = mapped.replace("[columns]", 'unknown_items = "create"\n[columns]').replace(
        "[formats]",
        '[constants]\ncurrency = "USD"\n[new_items]\nunit = "pcs"\n'
        '[[rules]]\nwhen = { ref = "count" }\ntype = "STOCKTAKE"\n'
        '[[rules]]\nwhen = { qty = { below = 0 } }\ntype = "ADJUSTMENT"\nreason = "found"\n[formats]',
    )
    file = tmp_path / "vente é.csv"
    file.write_text(
        "id,code,qty,at,note,who,ref,cost\n"
        '1,milk,2.5,2025-12-31 12:00,"two\nlines, ""quoted""",c9,I-1,1.25\n'
        "2,crème,1,2025-12-31 12:01,,,I-2,0.333333\n"
        "é3,milk,20,2025-12-31 12:02,قشطة,,count,\n"
        "4%,milk,-0.125,2025-12-31 12:03,,,x,\n",
        encoding="utf-8",
    )
    over = import_over(caller, file, mapped, InProcessTransport(caller.app))
    assert (over.recorded, over.items_defined) == (4, 1)

    def content(events: list[Event]) -> list[tuple[object, ...]]:
        own = {"event_id", "actor", "recorded_at", "areas"}  # areas have the actor too
        fields = [field for field in Event.__struct_fields__ if field not in own]
        return [tuple(getattr(event, field) for field in fields) for event in events]

    with a_branch(tmp_path / "direct") as branch:
        directly = import_file(branch, file, mapped)
        assert directly == over
        assert content(branch.events()) == content(log_of(caller))
        assert [event.actor for event in branch.events()][1] == "localcli/c9"
    assert log_of(caller)[1].actor.endswith("/c9")
    again = import_over(caller, file, mapped, InProcessTransport(caller.app))
    assert (again.recorded, again.already_recorded, again.items_defined) == (0, 4, 0)
    assert again.by_type == over.by_type


def test_quantities_in_other_units_are_recorded_as_entered(caller: Caller, tmp_path: Path) -> None:
    file = tmp_path / "sales.csv"
    file.write_text("id,code,qty,unit,at\n1,milk,1.5,crate,2025-12-31 12:00\n2,milk,-250,ml,2025-12-31 12:01\n")
    mapped = WITH_IDS.replace("ORDER_DEDUCTION", "ADJUSTMENT").replace("[columns]", '[columns]\nunit = "unit"')
    mapped += '[constants]\nreason = "found"\n[units.l]\nml = 0.001\n[item_units.milk]\ncrate = 12\n'
    over = import_over(caller, file, mapped, InProcessTransport(caller.app))
    assert (over.recorded, over.rejected) == (2, 0)
    with a_branch(tmp_path / "direct") as branch:
        import_file(branch, file, mapped)
        for log in (branch.events(), log_of(caller)):
            assert [(event.quantity, event.entered) for event in log] == [
                (18_000, Entered(factor=12_000, quantity=1_500, unit="crate")),
                (-250, Entered(factor=1, quantity=-250_000, unit="ml")),
            ]
    again = import_over(caller, file, mapped, InProcessTransport(caller.app))
    assert (again.recorded, again.already_recorded) == (0, 2)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_lost_on_the_way_is_recorded_once(
    caller: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(HttpImportRecorder, "chunk", 150)
    rows = [*sales(ROWS), "x,tea,1,2025-12-31 12:00", "y,milk,1,2026-12-31 12:00", "z,milk,?,2025-12-31 12:00"]
    file = a_till_file(tmp_path / "sales.csv", rows)
    with closing(InProcessTransport(caller.app)) as inner:
        line = Lossy(inner, seed, works=0.45)
        for _ in range(20):
            try:
                summary = import_over(caller, file, TILL, line)
                break
            except (Unreachable, RemoteProblem):
                continue
        else:
            pytest.fail("twenty runs, and none came through")
    assert len(line.seen) == 4, line.seen
    assert summary.recorded + summary.already_recorded == ROWS
    assert [line for line, _ in rejected(file)] == [ROWS + 2, ROWS + 3, ROWS + 4]
    recorded = Counter((event.command_key or "").rpartition("#")[2] for event in log_of(caller))
    assert recorded == Counter(str(number + 1) for number in range(1, ROWS + 1))


def test_an_id_twice_in_one_batch(caller: Caller, tmp_path: Path) -> None:
    rows = ["7,milk,1,2025-12-31 12:00", "7,milk,1,2025-12-31 12:00", "7,milk,2,2025-12-31 12:00"]
    file = a_till_file(tmp_path / "sales.csv", rows)
    summary = import_over(caller, file, WITH_IDS, InProcessTransport(caller.app))
    assert (summary.recorded, summary.repeated, summary.conflicting) == (1, 1, 1)
    [(line, sequence, why)] = conflicting(file)
    assert (line, sequence) == (4, log_of(caller)[0].sequence)
    assert "it was used twice" in why


def test_rows_too_long_for_one_body(caller: Caller, tmp_path: Path) -> None:
    file = tmp_path / "sales.csv"
    lines = [f"{number},milk,1,2025-12-31 12:00,{'ش' * 999}" for number in range(1, 2_101)]
    file.write_text("id,code,qty,at,note\n" + "\n".join(lines), encoding="utf-8")
    mapped = TILL.replace("[columns]", '[columns]\nnote = "note"\nreference = "note"').replace(
        'reference = "note"\n', ""
    )
    assert import_over(caller, file, mapped, InProcessTransport(caller.app)).recorded == 2_100


def test_items_are_defined_before_their_rows(caller: Caller, tmp_path: Path) -> None:
    file = a_till_file(tmp_path / "sales.csv", [*sales(2, "thé vert"), *sales(2, "tea", 3)])
    with closing(InProcessTransport(caller.app)) as inner:
        summary = import_over(caller, file, CREATING, Lossy(inner, 11, works=0.6))
    assert (summary.recorded, summary.items_defined, summary.rejected) == (4, 2, 0)
    kinds = Counter(event.type for event in log_of(caller))
    assert kinds == {"ITEM_DEFINED": 2, "ORDER_DEDUCTION": 4}


def test_a_file_whose_beginning_was_undone_is_imported_whole(caller: Caller, tmp_path: Path) -> None:
    def imported(rows: int) -> ImportSummary:
        file = a_till_file(tmp_path / "sales.csv", sales(rows))
        return import_over(caller, file, TILL, InProcessTransport(caller.app))

    first = imported(2)
    imported(4)
    undone = caller.post(f"/v1/imports/{first.import_id}/undo", {}, role="manager")
    assert undone.json()["voided"] == 2
    for rows, recorded in ((4, 2), (6, 2), (6, 0)):
        again = imported(rows)
        assert (again.recorded, again.already_recorded) == (recorded, rows - recorded)


def test_the_route_that_begins_an_import(caller: Caller) -> None:
    first = caller.post("/v1/imports", FILE)
    assert (first.status_code, first.json()["record"]["state"]) == (200, "INCOMPLETE")
    again = caller.post("/v1/imports", FILE)
    assert again.json()["record"] == first.json()["record"]
    for change, code in (({"size": 13}, "import-file-differs"), ({"known_by": "column id"}, "import-keys-differ")):
        refused = caller.post("/v1/imports", FILE | change)
        assert (refused.status_code, refused.json()["code"]) == (409, code)
        assert refused.json()["hint"]
    assert caller.post("/v1/imports", FILE, role=None).status_code == 401
    assert caller.post("/v1/imports", FILE, role="viewer").status_code == 403
    assert caller.post("/v1/imports", FILE, role="other").status_code == 403


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "AB" * 32}, {"sha256": "ab"}, {"size": -1}, {"size": 1.5}, {"size": True}, {"size": "12"},
        {"size": 2**60}, {"file": ""}, {"file": "a\u200bb"}, {"file": "a\x00b"}, {"file": "x" * 201},
        {"source": "till 7"}, {"known_by": "\n"}, {"more": 1},
    ],
)  # fmt: skip
def test_a_file_that_cannot_be(caller: Caller, change: dict[str, object]) -> None:
    refused = caller.post("/v1/imports", FILE | change)
    assert refused.status_code in {400, 422}
    assert refused.json()["code"] in {"invalid-request", "malformed-json"}
