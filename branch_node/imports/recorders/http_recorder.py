"""The recorder of imports over HTTP, used while a node serves this --dir: chunks, one in flight.

Rows that are recorded already are found in the node's database, which is on this machine; only new ones are sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Self
from urllib.parse import quote

import msgspec
from sqlalchemy import select

from branch_node.commands.event_inputs import EventContent
from branch_node.commands.item_inputs import ItemContent
from branch_node.database.schema import ITEM
from branch_node.database.store import Store
from branch_node.imports.recorders.import_recorder import CHUNK, AwaitOutcomes
from branch_node.imports.recorders.local_recorders import counted_in, found_in, plan_in
from branch_node.imports.register.import_lifecycle import ImportEnd, ImportPlan
from branch_node.imports.register.import_runs import (
    FileRegistration,
    ImportRecord,
    TypeTotals,
    standing_imports,
    standing_totals,
)
from branch_node.imports.register.row_commands import (
    CountedFigures,
    ImportCount,
    ImportRefusal,
    KeyedContent,
    RecordedRows,
    RowOutcome,
    RowRecorded,
    key_conflict,
    row_command,
)
from branch_node.imports.register.row_keys import RowKeys
from branch_node.imports.rows.import_catalogue import ImportCatalogue, ItemsCatalogue
from branch_node.problems import KEY_REUSED
from shared.events import Entered, quantity_json
from shared.runtime.client import RemoteProblem, ServiceClient, Unreachable
from shared.runtime.clock import format_rfc3339
from shared.runtime.retry import retrying

TRIES: Final = 6
MAX_BODY: Final = 900_000
"""Bytes of a chunk's body, below the node's limit of a MiB."""
_JSON: Final = {"Content-Type": "application/json"}


class _Problem(msgspec.Struct):
    code: str
    status: int = 0
    title: str = ""
    detail: str = ""
    sequence: int | None = None


class _Outcome(msgspec.Struct):
    sequence: int = 0
    new: bool = False
    problem: _Problem | None = None


class _Outcomes(msgspec.Struct):
    outcomes: list[_Outcome]


class HttpImportRecorder:
    """Records through the node behind `client`; `store` reads that node's database. `sleep` is used between tries."""

    chunk = CHUNK

    def __init__(self, client: ServiceClient, store: Store, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._store = store
        self._sleep = sleep
        self._plan: ImportPlan | None = None
        self._recorded: RecordedRows | None = None
        # One thread, so that chunks arrive in order and the client serves one thread at a time.
        self._sender = ThreadPoolExecutor(1, thread_name_prefix="larder-import")
        with store.reading() as connection:
            self._items = set(connection.execute(select(ITEM.c.item_id)).scalars())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._sender.shutdown(wait=True, cancel_futures=True)

    def earlier(self, source: str) -> list[ImportRecord]:
        with self._store.reading() as connection:
            return standing_imports(connection, source)

    def plan(self, registration: FileRegistration) -> ImportPlan:
        return plan_in(self._store, registration)

    def begin(self, registration: FileRegistration) -> ImportPlan:
        body = msgspec.json.encode(registration)
        answer = self._client.request("POST", "/v1/imports", content=body, headers=_JSON, tries=TRIES)
        try:
            plan = msgspec.json.decode(answer.body, type=ImportPlan)
        except msgspec.MsgspecError as error:
            raise Unreachable(f"the answer is not a branch's: {error}") from error
        self._plan = plan
        with self._store.reading() as connection:
            self._recorded = RecordedRows(connection, plan.keys)
        return plan

    def knows(self, item_id: str) -> bool:
        return item_id in self._items

    def catalogue(self) -> ImportCatalogue:
        with self._store.reading() as connection:
            return ItemsCatalogue.stored(connection)

    def record(self, items: Sequence[ItemContent], rows: Sequence[KeyedContent]) -> AwaitOutcomes:
        return self._sender.submit(self._record, items, rows).result

    def find(self, keys: RowKeys, rows: Sequence[KeyedContent]) -> list[RowOutcome | None]:
        return found_in(self._store, keys, rows)

    def counted(self, keys: RowKeys, row: KeyedContent) -> CountedFigures:
        return counted_in(self._store, keys, row)

    def finish(self, end: ImportEnd) -> None:
        body = msgspec.json.encode(end)
        self._client.request("POST", f"{self._path}/finish", content=body, headers=_JSON, tries=TRIES)

    def totals(self, import_id: str) -> dict[str, TypeTotals]:
        with self._store.reading() as connection:
            return standing_totals(connection, import_id)

    @property
    def _begun(self) -> ImportPlan:
        if self._plan is None:
            raise RuntimeError("an import has to begin first")
        return self._plan

    @property
    def _path(self) -> str:
        return f"/v1/imports/{quote(self._begun.record.import_id, safe='')}"

    def _record(self, items: Sequence[ItemContent], rows: Sequence[KeyedContent]) -> list[RowOutcome]:
        # Only where rows of this source may be in the log: the node itself finds what a chunk holds twice.
        outcomes: list[RowOutcome | None] = [None] * len(rows) if self._begun.first else self._find(rows)
        bodies = {place: _body(rows[place]) for place, outcome in enumerate(outcomes) if outcome is None}
        defined = [_item_body(item) for item in items]
        for batch in _batches(bodies, defined):
            self._send(batch, defined, bodies, rows, outcomes)
            defined = []
        self._items.update(item.item_id for item in items)
        return [outcome for outcome in outcomes if outcome is not None]

    def _find(self, rows: Sequence[KeyedContent]) -> list[RowOutcome | None]:
        assert self._recorded is not None
        with self._store.reading() as connection:
            return self._recorded.find(connection, [row_command(row, "") for row in rows])

    def _send(
        self,
        places: Sequence[int],
        items: Sequence[bytes],
        bodies: Mapping[int, bytes],
        rows: Sequence[KeyedContent],
        outcomes: list[RowOutcome | None],
    ) -> None:
        """Send rows until each has its outcome. After a lost answer the log is read before rows are sent again."""
        sent = False
        for attempt in retrying(_is_temporary, tries=TRIES, sleep=self._sleep):
            with attempt:
                if sent:
                    found = self._find([rows[place] for place in places])
                    for place, outcome in zip(places, found, strict=True):
                        if isinstance(outcome, RowRecorded):
                            outcomes[place] = RowRecorded(outcome.sequence, new=True)
                        else:
                            outcomes[place] = outcome
                sent = True
                still_open = [place for place in places if outcomes[place] is None]
                if still_open or items:
                    answers = self._post(items, still_open, bodies, rows)
                    for place, answer in zip(still_open, answers, strict=True):
                        outcomes[place] = answer

    def _post(
        self, items: Sequence[bytes], places: Sequence[int], bodies: Mapping[int, bytes], rows: Sequence[KeyedContent]
    ) -> list[RowOutcome]:
        events = [bodies[place] for place in places if isinstance(rows[place].content, EventContent)]
        counts = [bodies[place] for place in places if isinstance(rows[place].content, ImportCount)]
        lists = ((b"items", items), (b"events", events), (b"counts", counts))
        content = b"{" + b",".join(b'"%b":[%b]' % (name, b",".join(each)) for name, each in lists if each) + b"}"
        answer = self._client.request("POST", f"{self._path}/rows", content=content, headers=_JSON)
        try:
            return [_outcome(each) for each in msgspec.json.decode(answer.body, type=_Outcomes).outcomes]
        except msgspec.MsgspecError as error:
            raise Unreachable(f"the answer is not a branch's: {error}") from error


def _outcome(answer: _Outcome) -> RowOutcome:
    problem = answer.problem
    if problem is None:
        return RowRecorded(answer.sequence, answer.new)
    if problem.code == KEY_REUSED.code:
        return key_conflict(problem.sequence)
    return ImportRefusal(f"{problem.detail or problem.title} ({problem.code})", problem.code)


def _is_temporary(error: BaseException) -> bool:
    return isinstance(error, Unreachable) or (isinstance(error, RemoteProblem) and error.temporary)


def _batches(bodies: Mapping[int, bytes], items: Sequence[bytes]) -> Iterator[list[int]]:
    """The rows' places, in batches within the node's limit of a body, the first of which takes the items along."""
    batch: list[int] = []
    size = sum(len(each) for each in items)
    for place, body in bodies.items():
        if batch and size + len(body) > MAX_BODY:
            yield batch
            batch, size = [], 0
        batch.append(place)
        size += len(body) + 1
    if batch or items:
        yield batch


def _item_body(item: ItemContent) -> bytes:
    definition = item.definition
    fields = {
        "item_id": item.item_id,
        "name": definition.name,
        "unit": definition.unit,
        "category": definition.category,
    }
    return msgspec.json.encode({name: value for name, value in fields.items() if value is not None})


def _entered(given: Entered) -> dict[str, Any]:
    return {"quantity": quantity_json(given.quantity), "unit": given.unit, "factor": quantity_json(given.factor)}


def _body(row: KeyedContent) -> bytes:
    """A row as one event, or a count; the node reads the same content from it."""
    content = row.content
    if isinstance(content, ImportCount):
        lines = [
            {
                "item_id": line.item_id,
                "counted": quantity_json(line.counted),
                "area": line.area or None,
                "unit": line.unit,
                "entered": None if line.entered is None else _entered(line.entered),
                "reason": line.reason,
                "reference": line.reference,
                "note": line.note,
                "actor": line.person,
            }
            for line in content.lines
        ]
        sparse = [{name: value for name, value in line.items() if value is not None} for line in lines]
        return msgspec.json.encode(
            {"key": row.key, "occurred_at": format_rfc3339(content.occurred_at), "lines": sparse}
        )
    fields: dict[str, Any] = {
        "key": row.key,
        "type": content.type,
        "item_id": content.item_id,
        "occurred_at": None if content.occurred_at is None else format_rfc3339(content.occurred_at),
        "unit": content.unit,
        "reference": content.reference,
        "reason": content.reason,
        "note": content.note,
        "cost": content.cost,
        "source": content.source,
        "actor": content.person,
        "lot": content.lot,
        "expires_on": content.expires_on,
        "area": content.area,
        "entered": None if content.entered is None else _entered(content.entered),
    }
    if content.quantity is not None:
        fields["quantity"] = quantity_json(content.quantity)
    return msgspec.json.encode({name: value for name, value in fields.items() if value is not None})
