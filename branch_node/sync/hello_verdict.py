"""What a branch concludes from hello: pure.

Head office compares where it has more than the branch; where it has no more, only the branch can, as it holds both
hashes. Source: DESIGN section 4.1; the table of cases is spelled out in the tests.
"""

from __future__ import annotations

from typing import Final

from shared.chain import Head
from shared.messages import HelloAnswer, Verdict

SHIPPING: Final = frozenset({Verdict.OK, Verdict.REWIND})
"""With these the branch ships on; with any other it stops and says so, while facts go on being recorded."""

WHAT_TO_DO: Final = {
    Verdict.SUPERSEDED: "Another node has taken this location over. Stop this one; what only it has needs a recovery.",
    Verdict.ROLLED_BACK: "This database is older than what head office already has: it was restored from a backup, or "
    "copied. Put the newest database file back, or have the node recovered.",
    Verdict.FORKED: "This log and head office's copy of it differ. Keep the database as it is and have the node "
    "recovered; everything recorded here is kept.",
    Verdict.UPGRADE_REQUIRED: "The two sides do not understand each other. Upgrade the side that is named; head office "
    "is upgraded first.",
}


def judge(answer: HelloAnswer, own_hash: bytes | None, acknowledged: Head | None) -> Verdict:
    """The verdict on this branch's log.

    `own_hash` is the branch's hash (32 bytes) at `answer.head.sequence`: zeros at 0, None past its own head.
    `acknowledged` is the last head that head office acknowledged to this node, None where it never did.
    """
    if answer.verdict not in SHIPPING:
        return answer.verdict
    if own_hash is None:
        # Head office let a head beyond ours pass, which no honest answer does: stop rather than ship into it.
        return Verdict.ROLLED_BACK
    if own_hash.hex() != answer.head.hash:
        return Verdict.FORKED
    if acknowledged is not None and acknowledged.sequence > answer.head.sequence:
        return Verdict.REWIND
    return Verdict.OK
