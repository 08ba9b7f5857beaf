"""The recorder of imports over HTTP, used while a node serves this --dir: batches, one in flight.

Rows that are recorded already are found in the node's database, which is on this machine, as the node would answer each
repeated row with the stock of its moment, which is slow for a whole file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Self
from urllib.parse import quote

import msgspec
from sqlalchemy import select

from branch_node.commands.item_inputs import ItemContent
from branch_node.database.schema import ITEM
from branch_node.database.store import Store
from branch_node.imports.file_claim import FileRegistration
from branch_node.imports.import_commands import (
    ALREADY_RECORDED,
    RECORDED,
    ImportEvent,
    ImportRefusal,
    RowOutcome,
    item_key,
    key_conflict,
    recorded_before,
)
from branch_node.imports.import_recorder import AwaitOutcomes, ImportRow
from branch_node.problems import KEY_REUSED
from shared.events import quantity_json
from shared.runtime.client import RemoteProblem, ServiceClient, Unreachable
from shared.runtime.clock import format_rfc3339
from shared.runtime.retry import retrying

TRIES: Final = 6
MAX_BODY: Final = 3 * 1024 * 1024
_JSON: Final = {"Content-Type": "application/json"}


class _Event(msgspec.Struct):
    sequence: int


class _Problem(msgspec.Struct):
    code: str
    title: str = ""
    detail: str = ""
    sequence: int | None = None


class _ItemAnswer(msgspec.Struct):
    status: int
    event: _Event | None = None
    problem: _Problem | None = None


class _Answers(msgspec.Struct):
    items: list[_ItemAnswer]


class HttpImportRecorder:
    """Records through the node behind `client`; `store` reads that node's database. `sleep` is used between tries."""

    def __init__(self, client: ServiceClient, store: Store, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._store = store
        self._sleep = sleep
        self._source = ""
        # One thread, so that batches arrive in order and the client serves one thread at a time.
        self._sender = ThreadPoolExecutor(1, thread_name_prefix="larder-import")
        with store.reading() as connection:
            self._items = set(connection.execute(select(ITEM.c.item_id)).scalars())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._sender.shutdown(wait=True, cancel_futures=True)

    def register(self, registration: FileRegistration) -> None:
        self._source = registration.source
        self._client.post("/v1/imports", msgspec.structs.asdict(registration), tries=TRIES)

    def knows(self, item_id: str) -> bool:
        return item_id in self._items

    def record(self, items: Sequence[ItemContent], rows: Sequence[ImportRow]) -> AwaitOutcomes:
        return self._sender.submit(self._record, items, rows).result

    def _record(self, items: Sequence[ItemContent], rows: Sequence[ImportRow]) -> list[RowOutcome]:
        for item in items:
            self._define(item)
        events = [ImportEvent(row.entry, key=row.key, actor="") for row in rows]
        outcomes = self._recorded_before(events)
        bodies = {place: _body(rows[place]) for place, outcome in enumerate(outcomes) if outcome is None}
        for batch in _batches(bodies):
            self._send(batch, bodies, events, outcomes)
        return [outcome for outcome in outcomes if outcome is not None]

    def _define(self, item: ItemContent) -> None:
        headers = {"Idempotency-Key": item_key(self._source, item.item_id), **_JSON}
        body = msgspec.json.encode(item.definition)
        self._client.request(
            "PUT", f"/v1/items/{quote(item.item_id, safe='')}", content=body, headers=headers, tries=TRIES
        )
        self._items.add(item.item_id)

    def _recorded_before(self, events: Sequence[ImportEvent]) -> list[RowOutcome | None]:
        with self._store.reading() as connection:
            return recorded_before(connection, events)

    def _send(
        self,
        places: Sequence[int],
        bodies: Mapping[int, bytes],
        events: Sequence[ImportEvent],
        outcomes: list[RowOutcome | None],
    ) -> None:
        """Send rows until each has its outcome. After a lost answer the log is read before rows are sent again."""
        sent = False
        for attempt in retrying(_is_temporary, tries=TRIES, sleep=self._sleep):
            with attempt:
                if sent:
                    for place, found in zip(
                        places, self._recorded_before([events[each] for each in places]), strict=True
                    ):
                        outcomes[place] = RECORDED if found is ALREADY_RECORDED else found
                sent = True
                still_open = [place for place in places if outcomes[place] is None]
                if still_open:
                    answers = self._post([bodies[place] for place in still_open])
                    for place, outcome in zip(still_open, answers, strict=True):
                        outcomes[place] = outcome

    def _post(self, bodies: Sequence[bytes]) -> list[RowOutcome]:
        content = b'{"events":[' + b",".join(bodies) + b"]}"
        answer = self._client.request("POST", "/v1/events/batch", content=content, headers=_JSON)
        try:
            items = msgspec.json.decode(answer.body, type=_Answers).items
        except msgspec.MsgspecError as error:
            raise Unreachable(f"the answer is not a branch's: {error}") from error
        seen: set[int] = set()
        return [_outcome(item, seen) for item in items]


def _outcome(answer: _ItemAnswer, seen: set[int]) -> RowOutcome:
    if answer.event is not None:
        if answer.event.sequence in seen:
            return ALREADY_RECORDED  # the same id and content twice in one batch
        seen.add(answer.event.sequence)
        return RECORDED
    problem = answer.problem or _Problem(code="no-answer")
    if answer.status >= 500:
        raise RemoteProblem(answer.status, problem.code, title=problem.title, detail=problem.detail, extras={})
    if problem.code == KEY_REUSED.code:
        return key_conflict(problem.sequence)
    return ImportRefusal(f"{problem.detail or problem.title} ({problem.code})")


def _is_temporary(error: BaseException) -> bool:
    return isinstance(error, Unreachable) or (isinstance(error, RemoteProblem) and error.temporary)


def _batches(bodies: Mapping[int, bytes]) -> Iterator[list[int]]:
    """The rows' places, in batches within the node's limit of a body."""
    batch: list[int] = []
    size = 0
    for place, body in bodies.items():
        if batch and size + len(body) > MAX_BODY:
            yield batch
            batch, size = [], 0
        batch.append(place)
        size += len(body) + 1
    if batch:
        yield batch


def _body(row: ImportRow) -> bytes:
    """A row as one event of a batch; the node reads the same `EventContent` from it."""
    entry = row.entry
    fields: dict[str, Any] = {
        "key": row.key,
        "type": entry.type,
        "item_id": entry.item_id,
        "occurred_at": None if entry.occurred_at is None else format_rfc3339(entry.occurred_at),
        "reference": entry.reference,
        "reason": entry.reason,
        "note": entry.note,
        "cost": entry.cost,
        "source": entry.source,
        "actor": entry.person,
        "lot": entry.lot,
        "expires_on": entry.expires_on,
        "area": entry.area,
    }
    if entry.quantity is not None:
        fields["quantity"] = quantity_json(entry.quantity)
    if entry.counted is not None:
        fields["counted"] = quantity_json(entry.counted)
    return msgspec.json.encode({name: value for name, value in fields.items() if value is not None})
