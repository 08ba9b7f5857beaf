"""What head office says to a branch's hello: a pure judgement, and the SQL that gathers for it (DESIGN 4.1)."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, func

from head_office.database.log_segments import hash_at
from head_office.database.schema import CONTACT, LOG, now
from head_office.log.refusals import UnknownLocation
from shared import event_log
from shared.chain import Head
from shared.events import SCHEMA_VERSION
from shared.messages import PROTOCOL_VERSION, HeadMessage, Hello, HelloAnswer, Verdict
from shared.runtime.database.row_writes import upsert

OLDEST_PROTOCOL = 1


class Judgement(NamedTuple):
    """The verdict; the side to upgrade (`branch` or `head-office`) with UPGRADE_REQUIRED; why, in words."""

    verdict: Verdict
    upgrade: str | None = None
    detail: str | None = None


def judge(message: Hello, ours: Head, at_theirs: bytes | None, at_acknowledged: bytes | None) -> Judgement:
    """What head office can tell of a branch from its hello; where it has no more, the branch itself compares on.

    `at_theirs` and `at_acknowledged` are head office's hashes at the branch's head and at the last head acknowledged
    to it: None where head office does not reach so far.
    """
    if message.protocol > PROTOCOL_VERSION:
        return Judgement(
            Verdict.UPGRADE_REQUIRED, "head-office", "The branch speaks a newer protocol than head office."
        )
    if message.protocol < OLDEST_PROTOCOL:
        return Judgement(Verdict.UPGRADE_REQUIRED, "branch", "Head office no longer speaks this branch's protocol.")
    theirs, acknowledged = message.head, message.acknowledged
    if theirs.epoch < ours.epoch:
        return Judgement(
            Verdict.SUPERSEDED, detail=f"The location is at epoch {ours.epoch}, this node at {theirs.epoch}."
        )
    if at_theirs is not None and at_theirs.hex() != theirs.hash:
        return Judgement(Verdict.FORKED, detail=f"The logs differ at event {theirs.sequence} or before it.")
    if theirs.sequence < ours.sequence:
        return Judgement(
            Verdict.ROLLED_BACK,
            detail=f"Head office has events up to {ours.sequence}, this node only up to {theirs.sequence}.",
        )
    if acknowledged is not None and acknowledged.sequence > ours.sequence:
        return Judgement(
            Verdict.REWIND,
            detail=f"Head office was restored: it has events up to {ours.sequence} and wants the rest again.",
        )
    if acknowledged is not None and at_acknowledged is not None and at_acknowledged.hex() != acknowledged.hash:
        return Judgement(
            Verdict.FORKED, detail=f"Head office no longer has the event {acknowledged.sequence} that it acknowledged."
        )
    if message.schema > SCHEMA_VERSION:
        return Judgement(
            Verdict.OK,
            detail=f"Head office knows events of schema {SCHEMA_VERSION}; newer ones wait in its quarantine until it "
            "is upgraded.",
        )
    return Judgement(Verdict.OK)


def hello(connection: Connection, message: Hello, *, catalogue_version: int, hello_every_seconds: int) -> HelloAnswer:
    """Answer a branch's hello, and note when it called and where its log stands. Raises UnknownLocation."""
    location_id = message.location_id
    ours = event_log.read_head(connection, LOG, location_id)
    if ours is None:
        raise UnknownLocation(location_id)
    at_theirs = hash_at(connection, location_id, message.head.sequence)
    acknowledged = message.acknowledged
    at_acknowledged = hash_at(connection, location_id, acknowledged.sequence) if acknowledged else None
    judgement = judge(message, ours, at_theirs, at_acknowledged)
    moment = now(connection)
    _note(connection, message, judgement.verdict, moment)
    return HelloAnswer(
        verdict=judgement.verdict,
        head=HeadMessage(ours.epoch, ours.sequence, ours.hash.hex()),
        time=moment,
        catalogue_version=catalogue_version,
        hello_every_seconds=hello_every_seconds,
        upgrade=judgement.upgrade,
        detail=judgement.detail,
    )


def _note(connection: Connection, message: Hello, verdict: Verdict, moment: int) -> None:
    contact = {
        "location_id": message.location_id,
        "contacted_at": moment,
        "epoch": message.head.epoch,
        "sequence": message.head.sequence,
        "verdict": verdict.value,
        "protocol": message.protocol,
        "schema": message.schema,
        "software": message.software,
        "rewound_at": moment if verdict is Verdict.REWIND else None,
    }
    upsert(connection, CONTACT, [contact], merge={"rewound_at": func.coalesce})
