"""The queues between the coordinator's threads: work for the next round, and messages to head office.

Only the round changes sagas. Callers queue commands for it, the thread that polls head office queues facts, the one
that sends queues answers. Every queue is bounded: commands are refused when too many wait, the polling thread waits,
and of the instructions of one transfer only the newest is kept.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from itertools import islice
from typing import Final

import msgspec

from shared.messages import Instruction, InstructionAnswer, TransferFacts
from shared.runtime.problems import OVERLOADED, Recorded
from transfer_coordinator.saga.planner import TransferRecord
from transfer_coordinator.saga.saga import Transfer

MOST_COMMANDS: Final = 2_000
MOST_PAGES: Final = 4
MOST_SENT: Final = 1_000
MOST_UNSENT: Final = 20_000
MOST_LINES: Final = 8_000  # of one request's instructions: what head office reads at once has a bound in bytes


class Create(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A request to create a transfer. The future gets its TransferRecord, or the Problem that refuses it.

    `digest` is the SHA-256 (hex) of the request's content; `command_key` the caller's Idempotency-Key.
    """

    transfer: Transfer
    created_by: str
    digest: str
    command_key: str | None = None
    future: Future[TransferRecord] = msgspec.field(default_factory=Future)


class Cancel(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A request to cancel a transfer. The future gets its TransferRecord after the round, None where there is none."""

    transfer_id: str
    by: str
    future: Future[TransferRecord | None] = msgspec.field(default_factory=Future)


class FactPage(msgspec.Struct, frozen=True):
    """Facts received from head office; `cursor` is its feed's after them, None where they were requested by id."""

    transfers: list[TransferFacts]
    cursor: str | None


class AnsweredInstruction(msgspec.Struct, frozen=True):
    """An instruction with head office's answer to it."""

    instruction: Instruction
    answer: InstructionAnswer


class Work(msgspec.Struct, frozen=True):
    """The work of one round, each kind in the order of its arrival."""

    creates: list[Create]
    cancels: list[Cancel]
    pages: list[FactPage]
    answers: list[AnsweredInstruction]

    def __bool__(self) -> bool:
        return bool(self.creates or self.cancels or self.pages or self.answers)


class RoundQueue:
    """Work that waits for a round. Thread-safe."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._creates: deque[Create] = deque()
        self._cancels: deque[Cancel] = deque()
        self._pages: deque[FactPage] = deque()
        self._answers: deque[AnsweredInstruction] = deque()
        self._woken = False
        self._closed = False

    def submit(self, command: Create | Cancel) -> None:
        """Queue a command. Raises Problem 503 `overloaded` when too many wait, or the service is stopping."""
        with self._condition:
            if self._closed or len(self._creates) + len(self._cancels) >= MOST_COMMANDS:
                raise OVERLOADED(
                    "too many requests for transfers are waiting", recorded=Recorded.NO, headers={"Retry-After": "1"}
                )
            if isinstance(command, Create):
                self._creates.append(command)
            else:
                self._cancels.append(command)
            self._condition.notify_all()

    def put_facts(self, page: FactPage) -> None:
        """Queue facts from head office; blocks while too many pages are queued."""
        with self._condition:
            self._condition.wait_for(lambda: len(self._pages) < MOST_PAGES or self._closed)
            self._pages.append(page)
            self._condition.notify_all()

    def put_answers(self, answers: list[AnsweredInstruction]) -> None:
        with self._condition:
            self._answers.extend(answers)
            self._condition.notify_all()

    def wake(self) -> None:
        """Have a round for what is due by the clock, though nothing is queued."""
        with self._condition:
            self._woken = True
            self._condition.notify_all()

    def take(self) -> Work:
        """Take everything that is queued."""
        with self._condition:
            work = Work(list(self._creates), list(self._cancels), list(self._pages), list(self._answers))
            for queue in (self._creates, self._cancels, self._pages, self._answers):
                queue.clear()
            self._condition.notify_all()
            return work

    def put_back(self, *, creates: list[Create], pages: list[FactPage], answers: list[AnsweredInstruction]) -> None:
        """Queue again, before everything else, what a round could not process."""
        with self._condition:
            self._creates.extendleft(reversed(creates))
            self._pages.extendleft(reversed(pages))
            self._answers.extendleft(reversed(answers))

    def wait(self, seconds: float) -> bool:
        """Wait for work, a wake-up or the end; whether it was a wake-up."""
        with self._condition:
            self._condition.wait_for(
                lambda: self._woken or self._closed or self._creates or self._cancels or self._pages or self._answers,
                seconds,
            )
            woken, self._woken = self._woken, False
            return woken

    def wait_for_batch(self, transfers: float, seconds: float) -> None:
        """Wait until the queued work concerns so many transfers, or the time is over."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed or self._transfer_count() >= transfers, seconds)

    def _transfer_count(self) -> int:
        reported = sum(len(page.transfers) for page in self._pages)
        return len(self._creates) + len(self._cancels) + len(self._answers) + reported

    def close(self) -> None:
        """Refuse further commands and end all waits."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()


class SendBatch(msgspec.Struct, frozen=True):
    """One batch for head office: instructions to store, and ids of transfers whose facts are requested."""

    instructions: list[Instruction]
    fact_requests: list[str]

    def __bool__(self) -> bool:
        return bool(self.instructions or self.fact_requests)


class SendQueue:
    """Messages that wait to be sent. Thread-safe; at most one instruction and one request for facts a transfer.

    What comes while 20,000 wait (head office is away) is dropped: it is journalled, and requested again when due.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._instructions: dict[str, Instruction] = {}
        self._looks: dict[str, None] = {}
        self._closed = False

    def put(self, instructions: list[Instruction], fact_requests: list[str]) -> None:
        """Queue; a newer instruction of a transfer replaces the one that still waits."""
        with self._condition:
            for instruction in instructions:
                self._instructions.pop(instruction.transfer_id, None)
                if len(self._instructions) < MOST_UNSENT:
                    self._instructions[instruction.transfer_id] = instruction
            self._looks.update(dict.fromkeys(fact_requests[: max(0, MOST_UNSENT - len(self._looks))]))
            self._condition.notify_all()

    def take(self) -> SendBatch:
        """Take the oldest, at most 1,000 of each kind."""
        with self._condition:
            instructions: list[Instruction] = []
            lines = 0
            for instruction in islice(self._instructions.values(), MOST_SENT):
                lines += len(instruction.lines)
                if instructions and lines > MOST_LINES:
                    break
                instructions.append(instruction)
            fact_requests = list(islice(self._looks, MOST_SENT))
            for instruction in instructions:
                del self._instructions[instruction.transfer_id]
            for transfer_id in fact_requests:
                del self._looks[transfer_id]
            return SendBatch(instructions, fact_requests)

    def put_back(self, batch: SendBatch) -> None:
        """Queue again what could not be sent, where nothing newer has replaced it."""
        with self._condition:
            waiting = self._instructions
            self._instructions = {each.transfer_id: each for each in batch.instructions} | waiting
            self._looks = dict.fromkeys(batch.fact_requests) | self._looks

    def wait(self, seconds: float) -> None:
        """Wait until there is something to send, or the end."""
        with self._condition:
            self._condition.wait_for(lambda: self._instructions or self._looks or self._closed, seconds)

    def close(self) -> None:
        with self._condition:
            self._closed = True
            self._condition.notify_all()
