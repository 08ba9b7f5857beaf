"""The table of DESIGN section 10: each row, its yardstick, its goal; and what the yardsticks usually do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tests.benchmarks.harness import Outcome

Sense = Literal["at least", "at most"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row. `ours` and `yardstick` are (contender, figure) in `group`; without a yardstick the figure itself is
    held against the goal; without a goal the row is for information. `per` is what the figures count."""

    name: str
    title: str
    group: str
    ours: tuple[str, str]
    against: str
    yardstick: tuple[str, str] | None = None
    goal: float | None
    sense: Sense = "at least"
    per: str = "events/s"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A row as measured; figures are medians. `low` and `high` are the ratio's worst and best round."""

    row: Row
    ours: float | None = None
    yardstick: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    rounds: int = 0
    failure: str | None = None

    @property
    def met(self) -> bool | None:
        """None where there is no goal."""
        if self.row.goal is None:
            return None
        if self.ratio is None:
            return False
        return self.ratio >= self.row.goal if self.row.sense == "at least" else self.ratio <= self.row.goal


def read(row: Row, outcome: Outcome) -> Reading:
    """What the group's outcome says of a row."""
    sides = [row.ours] if row.yardstick is None else [row.ours, row.yardstick]
    for contender, _ in sides:
        if contender not in outcome.measured:
            return Reading(row=row, failure=outcome.failed.get(contender, f"{contender} was not measured"))
    ours = outcome.measured[row.ours[0]]
    mine = [each[row.ours[1]] for each in ours.rounds]
    value = ours.median(row.ours[1])
    if row.yardstick is None:
        return Reading(row=row, ours=value, ratio=value, low=min(mine), high=max(mine), rounds=len(mine))
    theirs = outcome.measured[row.yardstick[0]]
    other = theirs.median(row.yardstick[1])
    ratios = [a / b[row.yardstick[1]] for a, b in zip(mine, theirs.rounds, strict=False)]
    return Reading(
        row=row,
        ours=value,
        yardstick=other,
        ratio=value / other,
        low=min(ratios),
        high=max(ratios),
        rounds=len(ratios),
    )


TRIVIAL, COMMIT_EACH = "a route that only validates", "one commit a request"
PLAIN = "plain sqlite3, no hash"
HOT = "UPDATE of that row, PostgreSQL, 32 clients"
REPLICATION = "logical replication, projecting row trigger"
COPY = "binary COPY, same indexes, projected once"
LOOP = "bare loop, 16 callers"

ROWS: tuple[Row, ...] = (
    Row(
        name="append-http",
        title="append over HTTP, one event a request, 32 callers",
        group="http",
        ours=("events", "rate"),
        against=TRIVIAL,
        yardstick=("trivial", "rate"),
        goal=0.65,
    ),
    Row(
        name="append-http-p99",
        title="the same: p99 against its own p50, in ms",
        group="http",
        ours=("events", "p99"),
        against="its own p50",
        yardstick=("events", "p50"),
        goal=3.0,
        sense="at most",
        per="s",
    ),
    Row(
        name="append-http-commit",
        title="the same",
        group="http",
        ours=("events", "rate"),
        against=COMMIT_EACH,
        yardstick=("commit-each", "rate"),
        goal=2.0,
    ),
    Row(
        name="orders-http",
        title="orders of 12 lines over HTTP, 32 callers",
        group="http",
        ours=("orders", "rate"),
        against="single events over HTTP",
        yardstick=("events", "rate"),
        goal=3.0,
    ),
    Row(
        name="reserve-http",
        title="reserve + confirm over HTTP, 32 callers, 100 items",
        group="http",
        ours=("reservations", "rate"),
        against="single events over HTTP",
        yardstick=("events", "rate"),
        goal=0.6,
        per="requests/s",
    ),
    Row(
        name="append-followed",
        title="append over HTTP, two subscribers connected",
        group="messages",
        ours=("followed", "rate"),
        against="the same without any",
        yardstick=("quiet", "rate"),
        goal=0.9,
    ),
    Row(
        name="webhooks",
        title="messages of one location by webhook, one at a time",
        group="messages",
        ours=("webhooks", "rate"),
        against="a bare httpx client, the same receiver",
        yardstick=("posts", "rate"),
        goal=0.5,
        per="messages/s",
    ),
    *(
        Row(
            name=f"append-{size}",
            title=f"append as a library call, {size:,} events a transaction",
            group="library",
            ours=(f"append-{size}", "rate"),
            against=PLAIN,
            yardstick=(f"plain-{size}", "rate"),
            goal=0.7,
        )
        for size in (1, 100, 1_000)
    ),
    *(
        Row(
            name=f"record-{size}",
            title="the same with command, digest, decision, id and answer",
            group="library",
            ours=(f"record-{size}", "rate"),
            against=PLAIN,
            yardstick=(f"plain-{size}", "rate"),
            goal=None,
        )
        for size in (1, 100, 1_000)
    ),
    Row(
        name="append-eventsourcing",
        title="append as a library call, 100 events a transaction",
        group="library",
        ours=("append-100", "rate"),
        against="eventsourcing, Application.save, SQLite",
        yardstick=("eventsourcing", "rate"),
        goal=1.5,
    ),
    Row(
        name="import",
        title="import of a CSV",
        group="library",
        ours=("import", "rate"),
        against=f"{PLAIN}, 1,000 a transaction",
        yardstick=("plain-1000", "rate"),
        goal=0.4,
    ),
    Row(
        name="import-direct",
        title="import of a million rows by the command",
        group="imports",
        ours=("direct", "rate"),
        against=f"{PLAIN}, 1,000 a transaction",
        yardstick=("plain", "rate"),
        goal=0.4,
    ),
    Row(
        name="import-served",
        title="import of a million rows into a serving node",
        group="imports",
        ours=("served", "rate"),
        against=f"{PLAIN}, 1,000 a transaction",
        yardstick=("plain", "rate"),
        goal=0.25,
    ),
    Row(
        name="import-again",
        title="a million rows imported again under another name",
        group="imports",
        ours=("direct", "again"),
        against="the first import",
        yardstick=("direct", "rate"),
        goal=2.0,
    ),
    Row(
        name="import-memory",
        title="memory of the import of a million rows, MB",
        group="imports",
        ours=("direct", "megabytes"),
        against="",
        goal=200.0,
        sense="at most",
        per="MB",
    ),
    Row(
        name="hot-process",
        title="10,000 concurrent deductions of one item, in process",
        group="hot",
        ours=("process", "rate"),
        against=HOT,
        yardstick=("update", "rate"),
        goal=5.0,
    ),
    Row(
        name="hot-http",
        title="10,000 concurrent deductions of one item, over HTTP",
        group="hot",
        ours=("http", "rate"),
        against=HOT,
        yardstick=("update", "rate"),
        goal=1.3,
    ),
    Row(
        name="ship-replication",
        title="ship a backlog of 250,000 over HTTP, verified, projected",
        group="ship",
        ours=("ship", "rate"),
        against=REPLICATION,
        yardstick=("replication", "rate"),
        goal=1.5,
    ),
    Row(
        name="ship-copy",
        title="the same",
        group="ship",
        ours=("ship", "rate"),
        against=COPY,
        yardstick=("copy", "rate"),
        goal=0.6,
    ),
    Row(
        name="ship-two",
        title="two branches at once",
        group="ship",
        ours=("two", "rate"),
        against="one branch",
        yardstick=("ship", "rate"),
        goal=1.0,  # 1.4 where there are more than two cores: see `goal_here`
    ),
    Row(
        name="batch-known",
        title="a batch of 5,000 that head office already has: its cost",
        group="batches",
        ours=("known", "seconds"),
        against="a new batch",
        yardstick=("new", "seconds"),
        goal=0.1,
        sense="at most",
        per="s",
    ),
    Row(
        name="batch-overlap",
        title="a batch that overlaps by half: new events a second",
        group="batches",
        ours=("overlap", "rate"),
        against="a new batch",
        yardstick=("new", "rate"),
        goal=0.7,
    ),
    Row(
        name="transfers-16",
        title="transfers, immediate, through head office's log, 16 callers",
        group="transfers",
        ours=("callers-16", "rate"),
        against=LOOP,
        yardstick=("loop", "rate"),
        goal=0.2,
        per="transfers/s",
    ),
    Row(
        name="transfers-64",
        title="the same, 64 callers",
        group="transfers",
        ours=("callers-64", "rate"),
        against=LOOP,
        yardstick=("loop", "rate"),
        goal=0.4,
        per="transfers/s",
    ),
    Row(
        name="transfers-serial",
        title="the same, 16 callers",
        group="transfers",
        ours=("callers-16", "rate"),
        against="one caller",
        yardstick=("serial", "rate"),
        goal=3.0,
        per="transfers/s",
    ),
    Row(
        name="transfers-idle",
        title="an idle one, from request to COMPLETED, ms",
        group="transfers",
        ours=("idle", "milliseconds"),
        against="",
        goal=25.0,
        sense="at most",
        per="ms",
    ),
    Row(
        name="purchasing-report",
        title="purchasing report, 20 locations × 2,000 items, to JSON: its cost",
        group="purchasing",
        ours=("report", "report"),
        against="the SELECT of the projection",
        yardstick=("report", "select"),
        goal=10.0,
        sense="at most",
        per="s",
    ),
    *(
        Row(
            name=f"purchasing-memory-{form}",
            title=f"memory of making all 200 × 2,000 rows of it as {form.upper()}, MB",
            group="purchasing",
            ours=(f"memory-{form}", "megabytes"),
            against="",
            goal=200.0,
            sense="at most",
            per="MB",
        )
        for form in ("json", "csv", "xlsx")
    ),
    Row(
        name="disk-branch",
        title="bytes an event on disk, all indexes, branch",
        group="ship",
        ours=("ship", "branch_bytes"),
        against="the canonical bytes",
        yardstick=("ship", "canonical_bytes"),
        goal=1.8,
        sense="at most",
        per="bytes",
    ),
    Row(
        name="disk-head-office",
        title="bytes an event on disk, all indexes, head office, after a backlog",
        group="ship",
        ours=("ship", "head_office_bytes"),
        against="the canonical bytes",
        yardstick=("ship", "canonical_bytes"),
        goal=1.0,
        sense="at most",
        per="bytes",
    ),
)

BODIES_GOAL = 150.0
_BODIES = {
    "batch-200": "200 batches of 4 MiB without a key",
    "batch-600": "600 batches of 4 MiB without a key",
    "orders": "600 orders of 1 MiB without a key",
    "items": "600 items of 1 MiB without a key",
    "instructions": "600 times instructions of 4 MiB without a key",
    "batch-key": "120 batches of 4 MiB with a key",
    "instructions-key": "120 times instructions of 4 MiB with a key",
}
BODIES_ROWS: tuple[Row, ...] = tuple(
    Row(
        name=f"bodies-{name}",
        title=f"{title}: memory above idle, MB",
        group="bodies",
        ours=(name, "megabytes"),
        against="",
        goal=BODIES_GOAL,
        sense="at most",
        per="MB",
    )
    for name, title in _BODIES.items()
)

MEMORY_GOAL = 200.0
MEMORY_SERVICES = ("branch", "head-office", "coordinator")
MEMORY_ROWS: tuple[Row, ...] = tuple(
    Row(
        name=f"memory-{service}",
        title=f"memory of the {service.replace('-', ' ')} under all that was run, MB",
        group="memory",
        ours=(service, "megabytes"),
        against="",
        goal=MEMORY_GOAL,
        sense="at most",
        per="MB",
    )
    for service in MEMORY_SERVICES
)


@dataclass(frozen=True)
class Usual:
    """What a yardstick does on DESIGN's machine (a second), and how many syncs it waits for, one after another, in
    one unit of its work: on a slower disk it is expected to be slower by just those."""

    contender: tuple[str, str]
    rate: float
    syncs: float


USUAL_SYNC = 0.000_1
USUAL: dict[str, Usual] = {
    "trivial route": Usual(("http", "trivial"), 9_700, 0),
    "one commit a request": Usual(("http", "commit-each"), 2_900, 1),
    "plain sqlite3, 1": Usual(("library", "plain-1"), 6_000, 1),
    "plain sqlite3, 100": Usual(("library", "plain-100"), 60_000, 1 / 100),
    "plain sqlite3, 1,000": Usual(("library", "plain-1000"), 100_000, 1 / 1_000),
    "eventsourcing": Usual(("library", "eventsourcing"), 28_000, 1 / 100),
    "UPDATE of a hot row": Usual(("hot", "update"), 3_400, 1),
    "logical replication": Usual(("ship", "replication"), 68_000, 0),
    "binary COPY": Usual(("ship", "copy"), 156_000, 0),
    "bare transfer loop": Usual(("transfers", "loop"), 1_200, 0.4),
}
SLOWEST = 0.5


def slow_yardsticks(outcomes: dict[str, Outcome], sync_seconds: float) -> dict[str, tuple[float, float]]:
    """Each yardstick measured: its rate, and its share of what is usual, relative to the median of all of them.

    A share below SLOWEST means that this peer ran badly here, and that a win over it says nothing.
    """
    found: dict[str, tuple[float, float]] = {}
    for name, usual in USUAL.items():
        group, contender = usual.contender
        measured = outcomes[group].measured.get(contender) if group in outcomes else None
        if measured is not None:
            expected = 1 / (1 / usual.rate + usual.syncs * max(0.0, sync_seconds - USUAL_SYNC))
            rate = measured.median("rate")
            found[name] = (rate, rate / expected)
    if len(found) < 2:
        return {name: (rate, 1.0) for name, (rate, _) in found.items()}
    shares = sorted(share for _, share in found.values())
    middle = (shares[(len(shares) - 1) // 2] + shares[len(shares) // 2]) / 2
    return {name: (rate, share / middle) for name, (rate, share) in found.items()}
