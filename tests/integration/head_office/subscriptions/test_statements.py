"""What the deliverer and the lists of subscriptions ask of the database is the same at 203 locations as at five."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, event

from head_office.catalogue import locations
from head_office.subscriptions.office_subscriptions import OfficeSubscriptions
from head_office.subscriptions.published_messages import message_reader
from shared.catalogue_messages import CatalogueLocation
from shared.runtime.clock import IdFactory, SystemClock
from shared.runtime.telemetry import Telemetry
from shared.runtime.timers import Timers
from shared.subscriptions.subscription_access import SubscriptionAccess
from shared.subscriptions.subscription_inputs import GroupSubscriptionInput
from tests.support.branch_log import BranchLog

MANAGER = SubscriptionAccess("manager")
URL = "http://127.0.0.1:9/hooks"


@contextmanager
def statements(engine: Engine) -> Iterator[list[str]]:
    found: list[str] = []

    def noted(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        found.append(statement)

    event.listen(engine, "before_cursor_execute", noted)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", noted)


def parts(office: Engine) -> OfficeSubscriptions:
    """As a service has them, of which no thread runs."""
    telemetry = Telemetry("head-office")
    return OfficeSubscriptions(
        office, message_reader(office), clock=SystemClock(), new_id=IdFactory(), rng=random.Random(1),
        telemetry=telemetry, timers=Timers(telemetry), allow="127.0.0.1", user_agent="larder/test",
    )  # fmt: skip


def test_as_many_statements_at_203_locations_as_at_five(office: Engine) -> None:
    found = parts(office)
    log = BranchLog("BEY-01")
    log.record("PURCHASE_RECEIVED")
    log.ship_now(office)
    few = counted(office, found, range(2))
    assert few["a step"] <= 2
    assert counted(office, found, range(2, 200)) == few
    found.desk.create(MANAGER, GroupSubscriptionInput(url=URL, after="start"), None)
    records, _ = found.desk.page(MANAGER, None, 100)
    behind = {at.location_id: at.behind for at in records[-1].cursors}
    assert (behind.pop("BEY-01"), set(behind.values()), len(behind)) == (1, {0}, 202)


def counted(office: Engine, found: OfficeSubscriptions, numbers: range) -> dict[str, int]:
    """How many statements each of these takes, with two subscriptions, once there are these locations, too."""
    with office.begin() as connection:
        for number in numbers:
            place = CatalogueLocation(
                location_id=f"SHOP-{number:03d}", name=f"Shop {number}", timezone="Asia/Beirut", day_start=240
            )
            locations.add(connection, place)
    given = GroupSubscriptionInput(url=URL, after="end")
    for each in found.desk.page(MANAGER, None, 100)[0]:
        found.desk.remove(MANAGER, each.subscription_id)
    made = [found.desk.create(MANAGER, given, None) for _ in range(2)]
    found.deliverer.step()
    counts: dict[str, int] = {}
    acts: dict[str, Callable[[], object]] = {
        "a step": found.deliverer.step,
        "the list": lambda: found.desk.page(MANAGER, None, 100),
        "one": lambda: found.desk.show(MANAGER, made[0].subscription_id),
        "a new one": lambda: found.desk.create(MANAGER, given, None),
    }
    for name, act in acts.items():
        with statements(office) as noted:
            act()
        counts[name] = len(noted)
    return counts
