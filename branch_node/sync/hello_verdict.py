"""The branch's verdict on its own log after hello. Pure.

Where head office has more than the branch, head office compares the hashes; otherwise only the branch can, as it has
both. Source: DESIGN section 4.1; the tests list every case.
"""

from __future__ import annotations

from typing import Final

from shared.chain import Head
from shared.messages import HelloAnswer, Verdict

SHIPPING: Final = frozenset({Verdict.OK, Verdict.REWIND})
"""The verdicts that allow shipping. With any other it stops, and recording goes on."""

VERDICT_HINTS: Final = {
    Verdict.SUPERSEDED: "Another node has taken this location over. Stop this one; what only it has needs a recovery.",
    Verdict.ROLLED_BACK: "This database is older than what head office already has: it was restored from a backup, or "
    "copied. Put the newest database file back, or have the node recovered.",
    Verdict.FORKED: "This log and head office's copy of it differ. Keep the database as it is and have the node "
    "recovered; everything recorded here is kept.",
    Verdict.UPGRADE_REQUIRED: "The two sides do not understand each other. Upgrade the side that is named; head office "
    "is upgraded first.",
}


def local_verdict(answer: HelloAnswer, own_hash: bytes | None, acknowledged: Head | None) -> Verdict:
    """The verdict on this branch's log.

    `own_hash` is the branch's hash (32 bytes) at `answer.head.sequence`: zeros at 0, None past its own head.
    `acknowledged` is the last head that head office acknowledged to this node, None where it never did.
    """
    if answer.verdict not in SHIPPING:
        return answer.verdict
    if own_hash is None:
        # An OK for a head beyond the own one contradicts the protocol: stop rather than ship.
        return Verdict.ROLLED_BACK
    if own_hash.hex() != answer.head.hash:
        return Verdict.FORKED
    if acknowledged is not None and acknowledged.sequence > answer.head.sequence:
        return Verdict.REWIND
    return Verdict.OK
