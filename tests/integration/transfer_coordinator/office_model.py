"""A head office and its sites, small enough to be believed, behind an httpx transport.

Each site keeps a real log and records what it is asked by the rules of DESIGN section 5; what was shipped of it is what
head office knows. Nothing happens by itself: a test has sites work and ship.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec

from shared.catalogue_messages import CATALOGUE_START, catalogue_hash
from shared.events import EventType
from shared.messages import (
    ChangesPage,
    Fact,
    FactsAnswer,
    FactsRequest,
    Instruction,
    InstructionAnswer,
    InstructionAnswers,
    InstructionBatch,
    InstructionOutcome,
    InstructionStep,
    TransferFacts,
)

OUT, IN, LOST, REVERSED, REFUSED = (
    EventType.TRANSFER_OUT,
    EventType.TRANSFER_IN,
    EventType.TRANSFER_LOST,
    EventType.TRANSFER_REVERSED,
    EventType.TRANSFER_REFUSED,
)

TELLING = (
    InstructionStep.OUT,
    InstructionStep.REFUSE_OUT,
    InstructionStep.REFUSE_IN,
    InstructionStep.IN,
    InstructionStep.REVERSE,
)
"""Of what is kept of a transfer, the first of these goes with its facts, as the real head office tells it."""


@dataclass
class Site:
    """One location: what is on its shelves (thousandths), its log as (transfer, fact), how much of it was shipped."""

    name: str
    stock: dict[str, int]
    log: list[tuple[str, Fact]] = field(default_factory=list)
    shipped: int = 0
    tokens: dict[str, int] = field(default_factory=dict)
    unknown_items: set[str] = field(default_factory=set)
    away: bool = False

    def of(self, transfer_id: str) -> list[Fact]:
        return [fact for name, fact in self.log if name == transfer_id]

    def record(self, transfer_id: str, kind: EventType, item_id: str | None, quantity: int | None, **more: Any) -> None:
        sign = {OUT: -1, IN: 1, REVERSED: 1}.get(kind, 0)
        if item_id is not None and quantity is not None:
            self.stock[item_id] = self.stock.get(item_id, 0) + sign * quantity
        at = 1_740_000_000_000_000 + len(self.log)
        fact = Fact(
            location_id=self.name, sequence=len(self.log) + 1, type=kind, item_id=item_id, quantity=quantity,
            occurred_at=at, received_at=at, **more,
        )  # fmt: skip
        self.log.append((transfer_id, fact))

    def carry_out(self, asked: Instruction) -> None:
        """Take one instruction, or pass it over."""
        name = asked.transfer_id
        if asked.token < self.tokens.get(name, 0):
            return
        self.tokens[name] = asked.token
        kinds = {fact.type for fact in self.of(name)}
        step = asked.step
        if step is InstructionStep.OUT and not kinds:
            if any(line.quantity > self.stock.get(line.item_id, 0) for line in asked.lines):
                self.record(name, REFUSED, None, None, reason="insufficient-stock")
            else:
                for line in asked.lines:
                    self.record(name, OUT, line.item_id, line.quantity)
        elif step is InstructionStep.IN and REFUSED not in kinds:
            if not kinds and any(line.item_id in self.unknown_items for line in asked.lines):
                self.record(name, REFUSED, None, None, reason="unknown-item")
                return
            settled: dict[str, int] = defaultdict(int)
            for fact in self.of(name):
                settled[fact.item_id or ""] += fact.quantity or 0
            for line in asked.lines:
                if line.quantity > settled[line.item_id]:
                    self.record(name, IN, line.item_id, line.quantity - settled[line.item_id])
        elif step in {InstructionStep.REFUSE_OUT, InstructionStep.REFUSE_IN} and not kinds:
            self.record(name, REFUSED, None, None, reason=asked.reason)
        elif step is InstructionStep.REVERSE and OUT in kinds and REVERSED not in kinds:
            for fact in self.of(name):
                if fact.type is OUT:
                    self.record(name, REVERSED, fact.item_id, fact.quantity)


class OfficeModel:
    """Head office with its sites."""

    def __init__(self, **sites: dict[str, int]) -> None:
        self.sites = {name: Site(name, stock) for name, stock in sites.items()}
        self.kept: dict[tuple[str, str, InstructionStep], Instruction] = {}
        self.tokens: dict[str, int] = {}
        self.requests: list[str] = []
        self.asked: list[Instruction] = []
        self.down = False
        self.refuses: Callable[[Instruction], bool] = lambda _instruction: False
        self.before: Callable[[str], None] = lambda _path: None
        self.after: Callable[[str], None] = lambda _path: None
        self.tells_sites = True
        self.catalogue: list[dict[str, Any]] = []
        self._digest = bytes.fromhex(CATALOGUE_START)

    def publish(self, **content: Any) -> None:
        """Add to the catalogue: item=CatalogueItem(…), location=…, key=…."""
        entry = {"version": len(self.catalogue) + 1} | {
            name: msgspec.to_builtins(each) for name, each in content.items()
        }
        self._digest = catalogue_hash(self._digest, entry)
        self.catalogue.append(entry | {"hash": self._digest.hex()})

    def transport(self) -> httpx.BaseTransport:
        return httpx.MockTransport(self._handle)

    # What tests make happen

    def work(self, *names: str) -> None:
        """Sites (all that are not away) carry out what is kept for them and ship everything."""
        for name in names or list(self.sites):
            site = self.sites[name]
            if site.away:
                continue
            waiting = [each for each in self.kept.values() if each.location_id == name]
            for asked in waiting:  # a page's tokens are kept before any of it is carried out
                site.tokens[asked.transfer_id] = max(asked.token, site.tokens.get(asked.transfer_id, 0))
            for asked in waiting:
                site.carry_out(asked)
            site.shipped = len(site.log)

    def stock(self, item_id: str) -> int:
        return sum(site.stock.get(item_id, 0) for site in self.sites.values())

    def in_transit(self, item_id: str) -> int:
        signs = {OUT: 1, IN: -1, LOST: -1, REVERSED: -1}
        return sum(
            signs.get(fact.type, 0) * (fact.quantity or 0)
            for site in self.sites.values()
            for _, fact in site.log
            if fact.item_id == item_id
        )

    def log(self, name: str) -> list[str]:
        return [fact.type.value.removeprefix("TRANSFER_") for _, fact in self.sites[name].log]

    # HTTP

    def _handle(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.requests.append(path)
        self.before(path)
        if self.down:
            raise httpx.ConnectError("head office is down", request=request)
        answer = self._answer(request, path)
        self.after(path)
        return answer

    def _answer(self, request: httpx.Request, path: str) -> httpx.Response:
        if path == "/v1/instructions":
            batch = msgspec.json.decode(request.content, type=InstructionBatch)
            if any(self.refuses(each) for each in batch.instructions):
                return httpx.Response(422, json={"code": "invalid-request", "title": "not valid", "detail": "no"})
            return _json(InstructionAnswers([self._keep(each) for each in batch.instructions]))
        if path == "/v1/transfer-facts":
            wanted = msgspec.json.decode(request.content, type=FactsRequest).transfer_ids
            return _json(FactsAnswer([self.facts(each) for each in wanted]))
        if path == "/v1/transfer-facts/changes":
            return _json(self._changes(request.url.params.get("after", "")))
        if path == "/v1/sync/catalogue":
            return self._catalogue_page(int(request.url.params.get("after", 0)), int(request.url.params["limit"]))
        return httpx.Response(404, json={"code": "not-found", "title": path})

    def _catalogue_page(self, after: int, limit: int) -> httpx.Response:
        found = self.catalogue[after : after + limit]
        page: dict[str, Any] = {
            "entries": found,
            "version": len(self.catalogue),
            "more": after + len(found) < len(self.catalogue),
        }
        if after <= len(self.catalogue):
            page["previous"] = self.catalogue[after - 1]["hash"] if after else CATALOGUE_START
        return httpx.Response(200, json=page)

    def _keep(self, asked: Instruction) -> InstructionAnswer:
        self.asked.append(asked)
        if asked.location_id not in self.sites:
            outcome, highest = InstructionOutcome.UNKNOWN_LOCATION, 0
        else:
            highest = max(asked.token, self.tokens.get(asked.transfer_id, 0))
            self.tokens[asked.transfer_id] = highest
            outcome = InstructionOutcome.ACCEPTED if asked.token == highest else InstructionOutcome.FENCED
        if outcome is InstructionOutcome.ACCEPTED:
            place = (asked.location_id, asked.transfer_id, asked.step)
            self.kept.pop(place, None)
            self.kept[place] = asked
        return InstructionAnswer(transfer_id=asked.transfer_id, step=asked.step, outcome=outcome, highest_token=highest)

    def facts(self, transfer_id: str) -> TransferFacts:
        facts = [fact for site in self.sites.values() for name, fact in site.log[: site.shipped] if name == transfer_id]
        kept = [each for each in self.kept.values() if each.transfer_id == transfer_id]
        told = min(kept, key=lambda each: TELLING.index(each.step), default=None) if self.tells_sites else None
        return TransferFacts(
            transfer_id=transfer_id,
            highest_token=self.tokens.get(transfer_id, 0),
            facts=facts,
            source=told and told.source,  # type: ignore[arg-type]
            destination=told and told.destination,  # type: ignore[arg-type]
            lines=told.lines if told else (),
        )

    def _changes(self, after: str) -> ChangesPage:
        at: dict[str, int] = msgspec.json.decode(after) if after else {}
        names: dict[str, None] = {}
        for site in self.sites.values():
            for name, fact in site.log[: site.shipped]:
                if fact.sequence > at.get(site.name, 0):
                    names[name] = None
        reached = {site.name: site.shipped for site in self.sites.values()}
        return ChangesPage([self.facts(name) for name in names], msgspec.json.encode(reached).decode(), False)


def _json(message: object) -> httpx.Response:
    return httpx.Response(200, content=msgspec.json.encode(message))
