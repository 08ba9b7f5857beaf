"""Head office's answer to a branch's hello: a pure verdict, and the SQL that reads what it needs (DESIGN 4.1)."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, func

from head_office.database.log_segments import hash_at
from head_office.database.schema import CONTACT, LOG
from head_office.log.contact.contact_runs import moment_of_call
from head_office.log.quarantine_counts import in_quarantine_of
from head_office.log.refusals import UnknownLocation
from shared import event_log
from shared.chain import Head
from shared.events import SCHEMA_VERSION
from shared.messages import PROTOCOL_VERSION, HeadMessage, Hello, HelloAnswer, Verdict
from shared.runtime.database.row_writes import upsert

OLDEST_PROTOCOL = 1


class HelloDecision(NamedTuple):
    """The verdict; the side to upgrade (`branch` or `head-office`) with UPGRADE_REQUIRED; why, in words."""

    verdict: Verdict
    upgrade: str | None = None
    detail: str | None = None


def decide_verdict(message: Hello, ours: Head, at_theirs: bytes | None, at_acknowledged: bytes | None) -> HelloDecision:
    """The verdict on a branch from its hello. Where head office has no more events, the branch compares on.

    `at_theirs` and `at_acknowledged` are head office's hashes at the branch's head and at the last head acknowledged
    to it: None where head office's log ends before.
    """
    if message.protocol > PROTOCOL_VERSION:
        return HelloDecision(
            Verdict.UPGRADE_REQUIRED, "head-office", "The branch speaks a newer protocol than head office."
        )
    if message.protocol < OLDEST_PROTOCOL:
        return HelloDecision(Verdict.UPGRADE_REQUIRED, "branch", "Head office no longer speaks this branch's protocol.")
    theirs, acknowledged = message.head, message.acknowledged
    if theirs.epoch < ours.epoch:
        return HelloDecision(
            Verdict.SUPERSEDED, detail=f"The location is at epoch {ours.epoch}, this node at {theirs.epoch}."
        )
    if at_theirs is not None and at_theirs.hex() != theirs.hash:
        return HelloDecision(Verdict.FORKED, detail=f"The logs differ at event {theirs.sequence} or before it.")
    if theirs.sequence < ours.sequence:
        return HelloDecision(
            Verdict.ROLLED_BACK,
            detail=f"Head office has events up to {ours.sequence}, this node only up to {theirs.sequence}.",
        )
    if acknowledged is not None and acknowledged.sequence > ours.sequence:
        return HelloDecision(
            Verdict.REWIND,
            detail=f"Head office was restored: it has events up to {ours.sequence} and needs the rest again.",
        )
    if acknowledged is not None and at_acknowledged is not None and at_acknowledged.hex() != acknowledged.hash:
        return HelloDecision(
            Verdict.FORKED, detail=f"Head office no longer has the event {acknowledged.sequence} that it acknowledged."
        )
    if message.schema > SCHEMA_VERSION:
        return HelloDecision(
            Verdict.OK,
            detail=f"Head office knows events of schema {SCHEMA_VERSION}; newer ones wait in its quarantine until it "
            "is upgraded.",
        )
    return HelloDecision(Verdict.OK)


def hello(connection: Connection, message: Hello, *, catalogue_version: int, hello_every_seconds: int) -> HelloAnswer:
    """Answer a branch's hello, and record when it called and where its log ends. Raises UnknownLocation."""
    location_id = message.location_id
    ours = event_log.read_head(connection, LOG, location_id)
    if ours is None:
        raise UnknownLocation(location_id)
    at_theirs = hash_at(connection, location_id, message.head.sequence)
    acknowledged = message.acknowledged
    at_acknowledged = hash_at(connection, location_id, acknowledged.sequence) if acknowledged else None
    decision = decide_verdict(message, ours, at_theirs, at_acknowledged)
    moment = moment_of_call(connection, location_id, decision.verdict)
    _record_contact(connection, message, decision.verdict, moment)
    return HelloAnswer(
        verdict=decision.verdict,
        head=HeadMessage(ours.epoch, ours.sequence, ours.hash.hex()),
        time=moment,
        catalogue_version=catalogue_version,
        hello_every_seconds=hello_every_seconds,
        upgrade=decision.upgrade,
        detail=decision.detail,
        quarantined=in_quarantine_of(connection, location_id),
    )


def _record_contact(connection: Connection, message: Hello, verdict: Verdict, moment: int) -> None:
    contact = {
        "location_id": message.location_id,
        "contacted_at": moment,
        "epoch": message.head.epoch,
        "sequence": message.head.sequence,
        "verdict": verdict.value,
        "protocol": message.protocol,
        "schema": message.schema,
        "software": message.software,
        "skew": None if message.now is None else message.now - moment,
        "open_counts": msgspec.json.encode(message.open_counts).decode() if message.open_counts else None,
        "rewound_at": moment if verdict is Verdict.REWIND else None,
    }
    upsert(connection, CONTACT, [contact], merge={"rewound_at": func.coalesce})
