"""The coordinator's routes: instructions to branches, and the facts of transfers."""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from head_office.api import body_examples as examples
from head_office.api.dependencies import ChangesAfter, CodePath, Decoder, Office, RawBody, Wait, out_of_range
from head_office.database.receipts import receipts
from head_office.database.schema import FACTS_CHANNEL
from head_office.problems import BAD_CURSOR, PROBLEMS
from head_office.transfers.fact_changes import changes
from head_office.transfers.instructions import put
from head_office.transfers.transfer_facts import facts
from shared.events import MAX_LINES, MAX_QUANTITY, MAX_SEQUENCE
from shared.messages import (
    ChangesPage,
    FactsAnswer,
    FactsRequest,
    Instruction,
    InstructionAnswer,
    InstructionAnswers,
    InstructionBatch,
    InstructionStep,
)
from shared.runtime.http.application import MAX_LIMIT, Limit, documented_answer, documented_body, json_response
from shared.runtime.http.auth import Principal
from shared.runtime.http.scopes import Scope
from shared.runtime.text.text_faults import code_fault
from shared.transfers import site_of

_instruction: Final = Decoder(Instruction)
_instructions: Final = Decoder(InstructionBatch)
_facts_request: Final = Decoder(FactsRequest)

INSTRUCTIONS_PATH: Final = "/v1/instructions"


def add_transfer_routes(app: FastAPI, office: Office) -> None:
    """Add the routes that the coordinator calls."""
    coordinator = office.caller(Scope.COORDINATE)

    def store(instructions: list[Instruction]) -> list[InstructionAnswer]:
        with office.writing() as connection:
            return put(connection, instructions)

    @app.put(
        "/v1/instructions/{transfer_id:code}/{step}",
        tags=["transfers"],
        summary="Instruct a branch to record one step of a transfer",
        openapi_extra=documented_body(Instruction, example=examples.INSTRUCTION),
        responses={200: documented_answer(InstructionAnswer, "`accepted`, `fenced` or `unknown-location`")},
    )
    def put_instruction(
        transfer_id: CodePath, step: InstructionStep, *, principal: Principal = coordinator, raw: RawBody
    ) -> Response:
        del principal
        instruction: Instruction = _instruction(raw)
        if (instruction.transfer_id, instruction.step) != (transfer_id, step):
            raise out_of_range("transfer_id", "the address names another transfer or step than the body")
        _check(instruction, "")
        return json_response(store([instruction])[0])

    @app.post(
        INSTRUCTIONS_PATH,
        tags=["transfers"],
        summary="Instruct branches to record steps of transfers, up to 1,000 at once",
        openapi_extra=documented_body(InstructionBatch, example=examples.INSTRUCTIONS),
        responses={200: documented_answer(InstructionAnswers, "One answer for each, in the order of the request")},
    )
    def put_instructions(*, principal: Principal = coordinator, raw: RawBody) -> Response:
        del principal
        batch: InstructionBatch = _instructions(raw)
        for place, instruction in enumerate(batch.instructions):
            _check(instruction, f"instructions[{place}].")
        return json_response(InstructionAnswers(store(batch.instructions)))

    @app.post(
        "/v1/transfer-facts",
        tags=["transfers"],
        summary="The facts of transfers",
        openapi_extra=documented_body(FactsRequest, example=examples.FACTS),
        responses={200: documented_answer(FactsAnswer, "The facts of each transfer, in the order of the request")},
    )
    def read_facts(*, principal: Principal = coordinator, raw: RawBody) -> Response:
        del principal
        request: FactsRequest = _facts_request(raw)
        for place, transfer_id in enumerate(request.transfer_ids):
            _check_code(f"transfer_ids[{place}]", transfer_id)
        with office.reading() as connection:
            return json_response(FactsAnswer(facts(connection, request.transfer_ids)))

    @app.get(
        "/v1/transfer-facts/changes",
        tags=["transfers"],
        summary="The facts of transfers that changed after a cursor; waits for a change where there is none",
        responses={200: documented_answer(ChangesPage, "Whole facts of each"), **PROBLEMS.responses(BAD_CURSOR)},
    )
    async def read_changes(
        request: Request,
        after: ChangesAfter = None,
        wait: Wait = 0,
        limit: Limit = MAX_LIMIT,
        principal: Principal = coordinator,
    ) -> Response:
        del principal

        def read() -> tuple[ChangesPage, bool]:
            # In a transaction of its own: the changes must be read from a later snapshot.
            with office.reading() as connection:
                received = receipts(connection)
            with office.reading() as connection:
                page = changes(connection, received, after, limit)
            return page, bool(page.transfers) or page.more

        return json_response(await office.long_poll(request, wait, read, (FACTS_CHANNEL, None)))


def _check(instruction: Instruction, path: str) -> None:
    """Check what the message types do not. Raises Problem 422 `invalid-request`."""
    for field in ("transfer_id", "location_id", "source", "destination"):
        _check_code(path + field, getattr(instruction, field))
    site = site_of(instruction.step, instruction.source, instruction.destination)
    if instruction.location_id != site:
        raise out_of_range(f"{path}location_id", f"the step {instruction.step} is recorded at {site}")
    if instruction.source == instruction.destination:
        raise out_of_range(f"{path}destination", "a transfer ends at another location than it begins")
    if instruction.token > MAX_SEQUENCE:
        raise out_of_range(f"{path}token", f"at most {MAX_SEQUENCE}")
    if len(instruction.lines) > MAX_LINES:
        raise out_of_range(f"{path}lines", f"at most {MAX_LINES}")
    for place, line in enumerate(instruction.lines):
        _check_code(f"{path}lines[{place}].item_id", line.item_id)
        if not 1 <= line.line <= MAX_LINES or line.quantity > MAX_QUANTITY:
            raise out_of_range(f"{path}lines[{place}]", "its number or its quantity is out of range")


def _check_code(field: str, code: str) -> None:
    if fault := code_fault(code):
        raise out_of_range(field, fault)
