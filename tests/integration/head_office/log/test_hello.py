"""Hello over the real log: the hashes it compares, and what it notes of the branch."""

from __future__ import annotations

import json
from collections.abc import Mapping

import msgspec
import pytest
from sqlalchemy import Engine

from head_office.log.hello_answer import hello
from head_office.log.refusals import UnknownLocation
from head_office.reports.freshness import freshness
from head_office.reports.known_at import take_cut
from head_office.reports.open_counts import open_counts_out
from head_office.reports.report_records import freshness_out
from shared.messages import HeadMessage, Hello, HelloAnswer, OpenArea, OpenCount, Verdict
from tests.support.consolidation import PLACE, Branch
from tests.support.events import NOON, an_event


def say(
    office: Engine,
    branch: Branch,
    sequence: int,
    acknowledged: int | None = None,
    now: int | None = None,
    counts: list[OpenCount] | None = None,
) -> HelloAnswer:
    def head(at: int) -> HeadMessage:
        return HeadMessage(1, at, branch.hashes[at].hex())

    message = Hello(
        location_id=branch.location_id,
        head=head(sequence),
        acknowledged=None if acknowledged is None else head(acknowledged),
        protocol=1,
        schema=1,
        software="larder 1",
        now=now,
        open_counts=counts or [],
    )
    with office.begin() as connection:
        return hello(connection, message, catalogue_version=7, hello_every_seconds=30)


def test_from_the_first_call_on(office: Engine) -> None:
    branch = Branch().record([an_event(seed=n) for n in range(1, 6)]).scrawl([b"?"])
    answer = say(office, branch, 6)
    assert (answer.verdict, answer.head.sequence, answer.catalogue_version) == (Verdict.OK, 0, 7)
    seen = freshness_of(office)
    assert (seen.contacted_at, seen.branch_sequence, seen.behind, seen.received_at) == (answer.time, 6, 6, None)
    branch.ship(office)
    answer = say(office, branch, 6, acknowledged=6)
    assert (answer.verdict, answer.head) == (Verdict.OK, HeadMessage(1, 6, branch.hashes[6].hex()))
    seen = freshness_of(office)
    assert (seen.behind, seen.quarantined, seen.last_contact_at, seen.verdict) == (0, 1, answer.time, "OK")
    assert say(office, branch, 4, acknowledged=4).verdict is Verdict.ROLLED_BACK
    # The last event is in quarantine: its hash counts all the same.
    other = Branch().record([an_event(seed=n) for n in range(1, 6)]).scrawl([b"!", b"?"])
    assert say(office, other, 6, acknowledged=5).verdict is Verdict.FORKED
    assert say(office, other, 7, acknowledged=6).verdict is Verdict.FORKED
    assert freshness_of(office).verdict == "FORKED"


def freshness_of(office: Engine):
    with office.connect() as connection:
        return freshness(connection)[PLACE]


@pytest.mark.parametrize(("seconds", "flags"), [(0, ()), (59, ()), (75, ("clock-skew",)), (-3_600, ("clock-skew",))])
def test_a_branchs_clock_is_compared_with_head_offices(office: Engine, seconds: int, flags: tuple[str, ...]) -> None:
    branch = Branch().record([an_event(seed=1)])
    answer = say(office, branch, 1)
    assert freshness_out(freshness_of(office)).skew_seconds is None
    say(office, branch, 1, now=answer.time + seconds * 1_000_000)
    out = freshness_out(freshness_of(office))
    assert out.skew_seconds == pytest.approx(seconds, abs=0.9)
    assert out.flags == flags


def test_counts_that_a_branch_has_not_closed_are_kept_until_they_are(office: Engine) -> None:
    branch = Branch().record([an_event(seed=1)])
    area = OpenArea(item_id="milk", area="fridge", counted=1_500, actor="k1/ann")
    waiting = OpenCount(count_id="c1", opened_at=NOON, areas=[area, OpenArea(item_id="cup", counted=3_000)])
    say(office, branch, 1, counts=[waiting])
    assert freshness_of(office).open_counts == [waiting]
    assert json.loads(msgspec.json.encode(open_counts_out(freshness_of(office)))) == [
        {
            "count_id": "c1",
            "opened_at": "2026-01-01T12:00:00Z",
            "areas": [
                {"item_id": "milk", "counted": 1.5, "area": "fridge", "actor": "k1/ann"},
                {"item_id": "cup", "counted": 3},
            ],
        }
    ]
    say(office, branch, 1)
    assert freshness_of(office).open_counts == ()


def test_a_location_that_nobody_added(office: Engine) -> None:
    with pytest.raises(UnknownLocation):
        say(office, Branch("NOWHERE"), 0)


def test_after_a_restore_it_is_known_since_when_known_at_holds(office: Engine) -> None:
    """The database is as a backup would be: it holds three of the six events that it once acknowledged."""
    branch = Branch().record([an_event(seed=n) for n in range(1, 7)])
    branch.ship(office, 1, 3)
    before = say(office, branch, 6, acknowledged=3).time
    assert holds_since(office, before) == {}
    restored = say(office, branch, 6, acknowledged=6)
    assert restored.verdict is Verdict.REWIND
    branch.ship(office)
    healed = say(office, branch, 6, acknowledged=6)
    assert healed.verdict is Verdict.OK
    assert holds_since(office, before) == {PLACE: restored.time}
    assert holds_since(office, healed.time) == {}
    assert holds_since(office, None) == {}


def holds_since(office: Engine, known_at: int | None) -> Mapping[str, int]:
    with office.begin() as connection:
        return take_cut(connection, known_at).holds_since  # type: ignore[arg-type]
