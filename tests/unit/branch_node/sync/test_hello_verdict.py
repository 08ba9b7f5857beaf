"""The whole table of hello (DESIGN 4.1): head office's verdict, our own comparison, what was acknowledged."""

from __future__ import annotations

from hashlib import sha256

import pytest

from branch_node.sync.hello_verdict import SHIPPING, VERDICT_HINTS, local_verdict
from shared.chain import EMPTY, Head
from shared.messages import HeadMessage, HelloAnswer, Verdict

HERE, THERE = sha256(b"ours").digest(), sha256(b"theirs").digest()


def an_answer(verdict: Verdict, sequence: int, digest: bytes) -> HelloAnswer:
    return HelloAnswer(
        verdict=verdict,
        head=HeadMessage(1, sequence, digest.hex()),
        time=0,
        catalogue_version=0,
        hello_every_seconds=30,
    )


@pytest.mark.parametrize("verdict", [each for each in Verdict if each not in SHIPPING])
@pytest.mark.parametrize("own", [None, HERE, THERE])
@pytest.mark.parametrize("acknowledged", [None, Head(1, 9, HERE)])
def test_head_office_stops_the_branch_whatever_the_branch_finds(
    verdict: Verdict, own: bytes | None, acknowledged: Head | None
) -> None:
    assert local_verdict(an_answer(verdict, 5, HERE), own, acknowledged) is verdict


@pytest.mark.parametrize("said", sorted(SHIPPING))
@pytest.mark.parametrize(
    ("own", "acknowledged", "verdict"),
    [
        (HERE, None, Verdict.OK),
        (HERE, Head(1, 3, THERE), Verdict.OK),  # an answer to the last batch was lost: head office has more of ours
        (HERE, Head(1, 5, HERE), Verdict.OK),
        (HERE, Head(1, 6, THERE), Verdict.REWIND),
        (THERE, None, Verdict.FORKED),
        (THERE, Head(1, 5, HERE), Verdict.FORKED),
        (THERE, Head(1, 9, HERE), Verdict.FORKED),  # a fork is a fork, restored head office or not
        (None, None, Verdict.ROLLED_BACK),
        (None, Head(1, 9, HERE), Verdict.ROLLED_BACK),
    ],
)
def test_otherwise_the_branch_compares_at_head_offices_head(
    said: Verdict, own: bytes | None, acknowledged: Head | None, verdict: Verdict
) -> None:
    assert local_verdict(an_answer(said, 5, HERE), own, acknowledged) is verdict


def test_an_empty_head_office_fits_every_log_and_rewinds_one_that_was_acknowledged() -> None:
    nothing = an_answer(Verdict.OK, 0, EMPTY.hash)
    assert local_verdict(nothing, EMPTY.hash, None) is Verdict.OK
    assert local_verdict(nothing, EMPTY.hash, EMPTY) is Verdict.OK
    assert local_verdict(nothing, EMPTY.hash, Head(1, 4, HERE)) is Verdict.REWIND


def test_every_verdict_that_stops_says_what_to_do() -> None:
    assert set(VERDICT_HINTS) == set(Verdict) - SHIPPING
