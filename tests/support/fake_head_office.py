"""A head office in one object, behind an httpx transport: the real rules of sync over lists in memory.

It verifies and refuses as DESIGN 4 says, with `shared.wire` and `shared.chain`; only its storage is not real. `faults`
is what happens to the next requests, first to last: None (all well), "unreachable", "lost-answer" (the request
arrives, its answer does not), "portal" (somebody else's page answers), or a function of the request that answers.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable

import httpx
import msgspec

from shared import wire
from shared.catalogue_messages import CATALOGUE_START, CatalogueEntry, CataloguePage, catalogue_hash
from shared.chain import EMPTY, Head, follow, understand
from shared.messages import (
    EventsAnswer,
    HeadMessage,
    Hello,
    HelloAnswer,
    Instruction,
    InstructionPage,
    InstructionStep,
    Verdict,
)
from shared.orders.order_instructions import BranchInstructions, OrderInstruction

Fault = str | Callable[[httpx.Request], httpx.Response] | None
ANSWERED_BY = {
    InstructionStep.OUT: {"TRANSFER_OUT", "TRANSFER_REFUSED"},
    InstructionStep.REFUSE_OUT: {"TRANSFER_OUT", "TRANSFER_REFUSED"},
    InstructionStep.IN: {"TRANSFER_IN", "TRANSFER_REFUSED"},
    InstructionStep.REFUSE_IN: {"TRANSFER_IN", "TRANSFER_LOST", "TRANSFER_REFUSED"},
    InstructionStep.REVERSE: {"TRANSFER_REVERSED"},
}


def problem(status: int, code: str, **extras: object) -> httpx.Response:
    body = {"type": f"/problems/{code}", "title": code, "status": status, "code": code, **extras}
    return httpx.Response(status, json=body, headers={"Content-Type": "application/problem+json"})


class FakeHeadOffice(httpx.BaseTransport):
    def __init__(self, location_id: str = "BEY-01", *, key: str | None = None) -> None:
        self.location_id = location_id
        self.key = key
        self.epoch = 1
        self.lines: list[bytes] = []
        self.hashes: list[bytes] = [EMPTY.hash]
        self.catalogue: list[dict[str, object]] = []
        self.instructions: list[Instruction] = []
        self.orders: list[OrderInstruction] = []
        self.knows_orders = True
        self.refuses_orders = False
        self.largest_page = 1_000
        self.verdict = Verdict.OK
        self.time = 1_767_268_800_000_000
        self.hello_every = 30
        self.largest_batch = wire.MAX_BATCH_BYTES
        self.faults: deque[Fault] = deque()
        self.seen: list[str] = []
        self.batches: list[tuple[int, int]] = []

    # What a test does at head office

    @property
    def head(self) -> Head:
        return Head(self.epoch, len(self.lines), self.hashes[-1])

    def publish(self, **told: object) -> None:
        """One more entry of the catalogue: item=…, key=…, reorder_level=… or location=…"""
        entry = CatalogueEntry(version=len(self.catalogue) + 1, hash=CATALOGUE_START, **told)  # type: ignore[arg-type]
        body = msgspec.to_builtins(entry)
        body["hash"] = catalogue_hash(self._catalogue_hash(len(self.catalogue)), body).hex()
        self.catalogue.append(body)

    def ask(self, *instructions: Instruction) -> None:
        for each in instructions:
            number = len(self.instructions) + 1
            self.instructions.append(msgspec.structs.replace(each, number=number))

    def ask_orders(self, *orders: OrderInstruction) -> None:
        for each in orders:
            self.orders.append(msgspec.structs.replace(each, number=len(self.orders) + 1))

    def restore(self, sequence: int) -> None:
        """Head office is restored from a backup made at `sequence`."""
        del self.lines[sequence:]
        del self.hashes[sequence + 1 :]

    def forget_orders(self, kept: int) -> None:
        """Head office is restored from a backup made when it had asked for so many: its numbers go back."""
        del self.orders[kept:]

    # What it answers

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.seen.append(path)
        fault = self.faults.popleft() if self.faults else None
        if fault == "unreachable":
            raise httpx.ConnectError("nobody listens", request=request)
        if fault == "portal":
            return httpx.Response(200, html="<html>Welcome to the airport</html>")
        if callable(fault):
            return fault(request)
        if self.key is not None and request.headers.get("authorization") != f"Bearer {self.key}":
            return problem(401, "unauthenticated")
        answer = self._answer(path, request)
        if fault == "lost-answer":
            raise httpx.ReadTimeout("no answer in time", request=request)
        return answer

    def _answer(self, path: str, request: httpx.Request) -> httpx.Response:
        request.read()
        if path == "/v1/sync/hello":
            return json_answer(self._hello(msgspec.json.decode(request.content, type=Hello)))
        if path == "/v1/sync/events":
            return self._events(request.content)
        if path == "/v1/sync/catalogue":
            return self._page(int(request.url.params["after"]), int(request.url.params["limit"]))
        if path == "/v1/sync/instructions":
            if self.refuses_orders and "orders_after" in request.url.params:
                return problem(422, "invalid-request", detail="there is no query parameter 'orders_after' here")
            return json_answer(self._open_instructions(request.url.params))
        return problem(404, "not-found")

    def _hello(self, hello: Hello) -> HelloAnswer:
        verdict, mine = self.verdict, len(self.lines)
        if verdict is Verdict.OK and hello.head.epoch < self.epoch:
            verdict = Verdict.SUPERSEDED
        elif verdict is Verdict.OK and hello.head.sequence < mine:
            same = self.hashes[hello.head.sequence].hex() == hello.head.hash
            verdict = Verdict.ROLLED_BACK if same else Verdict.FORKED
        return HelloAnswer(
            verdict=verdict,
            head=HeadMessage(self.epoch, mine, self.hashes[-1].hex()),
            time=self.time,
            catalogue_version=len(self.catalogue),
            hello_every_seconds=self.hello_every,
            upgrade="branch" if verdict is Verdict.UPGRADE_REQUIRED else None,
        )

    def _events(self, raw: bytes) -> httpx.Response:
        if len(raw) > self.largest_batch:
            return problem(413, "body-too-large")
        try:
            batch = wire.unpack(raw)
            lines = [line for frame in batch.frames for line in wire.frame_lines(frame)]
        except wire.BadBatch as bad:
            return problem(400, "bad-batch", detail=str(bad))
        header, mine = batch.header, len(self.lines)
        if header.location_id != self.location_id:
            return problem(403, "wrong-location")
        if header.epoch < self.epoch:
            return problem(409, "superseded")
        if header.first_sequence > mine + 1:
            return problem(409, "gap", expected_sequence=mine + 1)
        if header.previous_hash != self.hashes[header.first_sequence - 1].hex():
            return problem(409, "forked")
        hashes = follow(bytes.fromhex(header.previous_hash), lines)
        assert header.last_hash == hashes[-1].hex(), "the branch's own hashes do not verify"
        passed = 0
        for sequence, (line, digest) in enumerate(zip(lines, hashes, strict=True), start=header.first_sequence):
            if sequence <= mine:
                if self.hashes[sequence] != digest:
                    return problem(409, "forked")
                passed += 1
                continue
            event = understand(line)
            assert (event.sequence, event.location_id) == (sequence, self.location_id)
            self.lines.append(line)
            self.hashes.append(digest)
        self.batches.append((header.first_sequence, header.first_sequence + len(lines) - 1))
        head = HeadMessage(self.epoch, len(self.lines), self.hashes[-1].hex())
        return json_answer(
            EventsAnswer(head=head, received_at=self.time, appended=len(lines) - passed, passed_over=passed)
        )

    def _catalogue_hash(self, version: int) -> bytes:
        return bytes.fromhex(str(self.catalogue[version - 1]["hash"]) if version else CATALOGUE_START)

    def _page(self, after: int, limit: int) -> httpx.Response:
        newest = len(self.catalogue)
        if after > newest:
            return json_answer(CataloguePage(entries=[], version=newest, more=False))
        entries = self.catalogue[after : after + limit]
        body = {"entries": entries, "version": newest, "more": after + len(entries) < newest}
        return httpx.Response(200, json=body | {"previous": self._catalogue_hash(after).hex()})

    def _open_instructions(self, params: httpx.QueryParams) -> InstructionPage:
        """As head office answers: with orders only if it knows of them and is asked; its numbers are those it gave."""
        facts: dict[str, set[str]] = {}
        answered: set[str] = set()
        for line in self.lines:
            event = json.loads(line)
            facts.setdefault(event.get("transfer_id", ""), set()).add(event["type"])
            answered.add(event.get("command_key", ""))
        after = int(params["after"])
        steps = [
            each
            for each in self.instructions
            if each.number > after and not ANSWERED_BY[each.step] & facts.get(each.transfer_id, set())
        ][: self.largest_page]
        steps_next = steps[-1].number if len(steps) == self.largest_page else len(self.instructions)
        if not self.knows_orders or "orders_after" not in params:
            return InstructionPage(instructions=steps, next=steps_next)
        after = int(params["orders_after"])
        orders = [each for each in self.orders if each.number > after and each.key not in answered]
        orders = orders[: self.largest_page]
        orders_next = orders[-1].number if len(orders) == self.largest_page else len(self.orders)
        return BranchInstructions(instructions=steps, next=steps_next, orders=orders, orders_next=orders_next)


def json_answer(message: object) -> httpx.Response:
    return httpx.Response(200, content=msgspec.json.encode(message), headers={"Content-Type": "application/json"})
