"""Where the coordinator's threads meet: what waits for the next round, and what waits to be sent to head office.

The round alone touches the sagas. Callers put commands into the inbox, the thread that listens to head office puts
facts, the one that asks puts answers. All of it is bounded: commands are refused when too many wait, pages are held
back, and of the instructions of one transfer only the newest is kept.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from itertools import islice
from typing import Final

import msgspec

from shared.messages import Instruction, InstructionAnswer, TransferFacts
from shared.runtime.problems import OVERLOADED
from transfer_coordinator.saga.planner import TransferRecord
from transfer_coordinator.saga.saga import Transfer

MOST_COMMANDS: Final = 2_000
MOST_PAGES: Final = 4
MOST_SENT: Final = 1_000
MOST_UNSENT: Final = 20_000
MOST_LINES: Final = 8_000  # of one request's instructions: what head office reads at once has a bound in bytes


class Create(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A caller wants this transfer. The future gets its Record, or the Problem that refuses it.

    `digest` is the SHA-256 (hex) of what is asked for; `command_key` the caller's Idempotency-Key.
    """

    transfer: Transfer
    created_by: str
    digest: str
    command_key: str | None = None
    future: Future[TransferRecord] = msgspec.field(default_factory=Future)


class Cancel(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A caller wants this transfer called back. The future gets its Record as it stands then, None where none is."""

    transfer_id: str
    by: str
    future: Future[TransferRecord | None] = msgspec.field(default_factory=Future)


class FactPage(msgspec.Struct, frozen=True):
    """What head office told of transfers; `cursor` is where its feed goes on after, None where we asked by name."""

    transfers: list[TransferFacts]
    cursor: str | None


class AnsweredInstruction(msgspec.Struct, frozen=True):
    """What became of an instruction at head office, where it is not simply kept there."""

    asked: Instruction
    answer: InstructionAnswer


class Work(msgspec.Struct, frozen=True):
    """Everything that waited for a round, each kind in the order in which it came."""

    creates: list[Create]
    cancels: list[Cancel]
    pages: list[FactPage]
    answers: list[AnsweredInstruction]

    def __bool__(self) -> bool:
        return bool(self.creates or self.cancels or self.pages or self.answers)


class Inbox:
    """What waits for a round. Thread-safe."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._creates: deque[Create] = deque()
        self._cancels: deque[Cancel] = deque()
        self._pages: deque[FactPage] = deque()
        self._answers: deque[AnsweredInstruction] = deque()
        self._woken = False
        self._closed = False

    def submit(self, command: Create | Cancel) -> None:
        """Leave a command. Raises Problem 503 `overloaded` when too many wait, or the service is stopping."""
        with self._condition:
            if self._closed or len(self._creates) + len(self._cancels) >= MOST_COMMANDS:
                raise OVERLOADED("too many transfers wait to be taken down", headers={"Retry-After": "1"})
            if isinstance(command, Create):
                self._creates.append(command)
            else:
                self._cancels.append(command)
            self._condition.notify_all()

    def hear(self, page: FactPage) -> None:
        """Leave what head office told; waits while too much of it waits already."""
        with self._condition:
            self._condition.wait_for(lambda: len(self._pages) < MOST_PAGES or self._closed)
            self._pages.append(page)
            self._condition.notify_all()

    def answered(self, answers: list[AnsweredInstruction]) -> None:
        with self._condition:
            self._answers.extend(answers)
            self._condition.notify_all()

    def wake(self) -> None:
        """Have a round, though nothing waits: time has passed."""
        with self._condition:
            self._woken = True
            self._condition.notify_all()

    def take(self) -> Work:
        """Everything that waits."""
        with self._condition:
            work = Work(list(self._creates), list(self._cancels), list(self._pages), list(self._answers))
            for queue in (self._creates, self._cancels, self._pages, self._answers):
                queue.clear()
            self._condition.notify_all()
            return work

    def give_back(self, *, creates: list[Create], pages: list[FactPage], answers: list[AnsweredInstruction]) -> None:
        """Put back, before everything else, what a round could not do."""
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

    def gather(self, enough: float, seconds: float) -> None:
        """Let work gather until it concerns so many transfers, or the time is over."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed or self._concerned() >= enough, seconds)

    def _concerned(self) -> int:
        told = sum(len(page.transfers) for page in self._pages)
        return len(self._creates) + len(self._cancels) + len(self._answers) + told

    def close(self) -> None:
        """Take no more commands, and let nobody wait any longer."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()


class Letters(msgspec.Struct, frozen=True):
    """One load for head office: instructions to keep, and transfers whose facts we want."""

    instructions: list[Instruction]
    looks: list[str]

    def __bool__(self) -> bool:
        return bool(self.instructions or self.looks)


class Outbox:
    """What waits to be sent. Thread-safe; it holds at most one instruction and one look for each transfer.

    Of what comes while 20,000 wait (head office is away) nothing is kept: it is journalled, and asked again when due.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._instructions: dict[str, Instruction] = {}
        self._looks: dict[str, None] = {}
        self._closed = False

    def put(self, instructions: list[Instruction], looks: list[str]) -> None:
        """Add; a newer instruction of a transfer takes the place of the one that still waits."""
        with self._condition:
            for instruction in instructions:
                self._instructions.pop(instruction.transfer_id, None)
                if len(self._instructions) < MOST_UNSENT:
                    self._instructions[instruction.transfer_id] = instruction
            self._looks.update(dict.fromkeys(looks[: max(0, MOST_UNSENT - len(self._looks))]))
            self._condition.notify_all()

    def take(self) -> Letters:
        """The oldest of what waits, at most 1,000 of each kind."""
        with self._condition:
            instructions: list[Instruction] = []
            lines = 0
            for instruction in islice(self._instructions.values(), MOST_SENT):
                lines += len(instruction.lines)
                if instructions and lines > MOST_LINES:
                    break
                instructions.append(instruction)
            looks = list(islice(self._looks, MOST_SENT))
            for instruction in instructions:
                del self._instructions[instruction.transfer_id]
            for transfer_id in looks:
                del self._looks[transfer_id]
            return Letters(instructions, looks)

    def give_back(self, letters: Letters) -> None:
        """Put back what could not be sent, where nothing newer took its place."""
        with self._condition:
            waiting = self._instructions
            self._instructions = {each.transfer_id: each for each in letters.instructions} | waiting
            self._looks = dict.fromkeys(letters.looks) | self._looks

    def wait(self, seconds: float) -> None:
        """Wait until there is something to send, or the end."""
        with self._condition:
            self._condition.wait_for(lambda: self._instructions or self._looks or self._closed, seconds)

    def close(self) -> None:
        with self._condition:
            self._closed = True
            self._condition.notify_all()
