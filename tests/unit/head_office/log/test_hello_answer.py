"""Every case of hello that head office can tell by itself."""

from __future__ import annotations

import pytest

from head_office.log.hello_answer import decide_verdict
from shared.chain import Head
from shared.events import SCHEMA_VERSION
from shared.messages import PROTOCOL_VERSION, HeadMessage, Hello, Verdict

A, B, C = bytes([1]) * 32, bytes([2]) * 32, bytes([3]) * 32
OURS = Head(2, 50, A)


def said(
    epoch: int = 2,
    sequence: int = 50,
    digest: bytes = A,
    acknowledged: tuple[int, bytes] | None = (50, A),
    protocol: int = PROTOCOL_VERSION,
    schema: int = SCHEMA_VERSION,
) -> Hello:
    return Hello(
        location_id="BEY-01",
        head=HeadMessage(epoch, sequence, digest.hex()),
        acknowledged=None if acknowledged is None else HeadMessage(2, acknowledged[0], acknowledged[1].hex()),
        protocol=protocol,
        schema=schema,
        software="larder 1",
    )


@pytest.mark.parametrize(
    ("message", "at_theirs", "at_acknowledged", "verdict"),
    [
        pytest.param(said(), A, A, Verdict.OK, id="the same"),
        pytest.param(said(sequence=60, digest=B), None, A, Verdict.OK, id="the branch has more"),
        pytest.param(
            said(sequence=60, digest=B, acknowledged=None), None, None, Verdict.OK, id="a node that never shipped"
        ),
        pytest.param(said(epoch=3, sequence=60, digest=B), None, A, Verdict.OK, id="a newer epoch to come"),
        pytest.param(said(epoch=1), A, A, Verdict.SUPERSEDED, id="an older epoch"),
        pytest.param(said(epoch=1, digest=B), A, A, Verdict.SUPERSEDED, id="an older epoch that forked"),
        pytest.param(said(sequence=40, digest=B), B, A, Verdict.ROLLED_BACK, id="a restored backup"),
        pytest.param(
            said(sequence=0, digest=bytes(32), acknowledged=None), bytes(32), None, Verdict.ROLLED_BACK, id="empty"
        ),
        pytest.param(said(sequence=40, digest=C), B, A, Verdict.FORKED, id="less, and another"),
        pytest.param(said(digest=B), A, A, Verdict.FORKED, id="as much, and another"),
        pytest.param(
            said(sequence=60, digest=B, acknowledged=(55, C)), None, None, Verdict.REWIND, id="we were restored"
        ),
        pytest.param(
            said(sequence=55, digest=C, acknowledged=(55, C)), None, None, Verdict.REWIND, id="restored, nothing new"
        ),
        pytest.param(
            said(sequence=60, digest=B, acknowledged=(45, C)), None, B, Verdict.FORKED, id="another where we agreed"
        ),
        pytest.param(said(protocol=PROTOCOL_VERSION + 1), A, A, Verdict.UPGRADE_REQUIRED, id="a newer protocol"),
        pytest.param(said(protocol=0), A, A, Verdict.UPGRADE_REQUIRED, id="an older protocol"),
        pytest.param(said(schema=SCHEMA_VERSION + 1), A, A, Verdict.OK, id="newer events: they wait in quarantine"),
    ],
)
def test_every_case(message: Hello, at_theirs: bytes | None, at_acknowledged: bytes | None, verdict: Verdict) -> None:
    assert decide_verdict(message, OURS, at_theirs, at_acknowledged).verdict is verdict


def test_the_side_to_upgrade_is_named() -> None:
    assert decide_verdict(said(protocol=PROTOCOL_VERSION + 1), OURS, A, A).upgrade == "head-office"
    assert decide_verdict(said(protocol=0), OURS, A, A).upgrade == "branch"
    assert "quarantine" in (decide_verdict(said(schema=SCHEMA_VERSION + 1), OURS, A, A).detail or "")


def test_an_empty_head_office_takes_whoever_comes() -> None:
    empty = Head(1, 0, bytes(32))
    assert decide_verdict(said(sequence=7, digest=B, acknowledged=None), empty, None, None).verdict is Verdict.OK
    assert (
        decide_verdict(said(sequence=0, digest=bytes(32), acknowledged=None), empty, bytes(32), None).verdict
        is Verdict.OK
    )
