"""The client of head office's routes for transfers (shared.messages over HTTP). One object per thread.

Every call raises Unreachable (its outcome is unknown) or RemoteProblem (it was refused).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from shared.messages import (
    ChangesPage,
    FactsAnswer,
    FactsRequest,
    Instruction,
    InstructionAnswer,
    InstructionAnswers,
    InstructionBatch,
    TransferFacts,
)
from shared.runtime.client import ServiceClient, Unreachable
from shared.runtime.retry import Backoff, RetryTimer

_encode: Final = msgspec.json.Encoder().encode
_answers: Final = msgspec.json.Decoder(InstructionAnswers).decode
_facts: Final = msgspec.json.Decoder(FactsAnswer).decode
_changes: Final = msgspec.json.Decoder(ChangesPage).decode
FIRST_WAIT: Final = 0.2
LONGEST_WAIT: Final = 15.0
_JSON: Final = {"Content-Type": "application/json"}


def retry_timer(monotonic: Callable[[], float]) -> RetryTimer:
    """The retry policy of calls to head office."""
    return RetryTimer(Backoff(first=FIRST_WAIT, longest=LONGEST_WAIT), monotonic)


class HeadOfficeClient:
    """Instructions, facts and changes of facts at head office."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    def put_instructions(self, instructions: list[Instruction]) -> list[InstructionAnswer]:
        """Send instructions for the branches; one answer each, in order."""
        body = _encode(InstructionBatch(instructions))
        answer = self._client.request("POST", "/v1/instructions", content=body, headers=_JSON)
        try:
            answers = _answers(answer.body).answers
        except msgspec.MsgspecError as error:
            raise Unreachable(f"no answer of a head office: {error}") from error
        if [(each.transfer_id, each.step) for each in answers] != [
            (each.transfer_id, each.step) for each in instructions
        ]:
            raise Unreachable("head office answered other instructions than were sent")
        return answers

    def facts(self, transfer_ids: list[str]) -> list[TransferFacts]:
        """The current facts of these transfers."""
        body = _encode(FactsRequest(transfer_ids))
        answer = self._client.request("POST", "/v1/transfer-facts", content=body, headers=_JSON)
        try:
            return _facts(answer.body).transfers
        except msgspec.MsgspecError as error:
            raise Unreachable(f"no answer of a head office: {error}") from error

    def changes(self, after: str, wait: float) -> ChangesPage:
        """The transfers that got facts after a cursor ('': from the beginning); waits for one up to `wait` seconds."""
        params: dict[str, str | int | float | bool | None] = {"wait": wait}
        if after:
            params["after"] = after
        answer = self._client.request("GET", "/v1/transfer-facts/changes", params=params, wait=wait)
        try:
            return _changes(answer.body)
        except msgspec.MsgspecError as error:
            raise Unreachable(f"no answer of a head office: {error}") from error

    def close(self) -> None:
        self._client.close()
