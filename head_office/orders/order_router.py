"""The router of orders: it settles those whose answers have come, and asks elsewhere for what was refused.

Each page of orders is one transaction that holds them, so that two processes, or a route beside it, never ask twice.
"""

from __future__ import annotations

import threading
from typing import Final

from sqlalchemy import Connection, Engine, text

from head_office.database.schema import now
from head_office.orders.order_advance import WHOLE_ANSWER, advance
from head_office.orders.routed_order_rows import lock_orders, store_orders
from head_office.orders.routed_orders import OrderName
from head_office.problem_translation import translated
from shared.runtime.clock import SECOND
from shared.runtime.problems import Problem
from shared.runtime.telemetry import get_logger

log = get_logger("larder.router")

PAGE: Final = 50
"""How many orders are settled in one transaction; that bounds its memory."""
EVERY_SECONDS: Final = 5.0
"""How often it looks although nothing arrived here: another process may have received the answer."""
ROUTER_CONNECTIONS: Final = 1
LINGER_SECONDS: Final = 0.01
STOP_SECONDS: Final = 5.0
_LOCK_WAIT: Final = "20s"

_ANSWERED: Final = text(
    f"""
    SELECT DISTINCT asked.source, asked.order_id
    FROM order_instruction AS asked JOIN order_answer USING (location_id, command_key) JOIN head USING (location_id)
    WHERE asked.answer IS NULL AND (asked.source, asked.order_id) > (:source, :order_id) AND {WHOLE_ANSWER}
    ORDER BY asked.source, asked.order_id LIMIT {PAGE}
    """
)


def answered_orders(connection: Connection, after: OrderName) -> list[OrderName]:
    """Orders behind a name whose locations have answered, up to PAGE, in their order."""
    return [OrderName(row.source, row.order_id) for row in connection.execute(_ANSWERED, after._asdict())]


class OrderRouter:
    """Settles orders in a thread of its own from `start` to `stop`.

    `heard_within`: how many seconds ago a branch that is asked next was heard of at most.
    """

    def __init__(self, engine: Engine, heard_within: int) -> None:
        self._engine = engine
        self._heard_within = heard_within * SECOND
        self._condition = threading.Condition()
        self._woken = False
        self._stopping = False
        self._failure: str | None = None
        self._thread = threading.Thread(target=self._run, name="larder-router", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a page that is being settled is finished. Idempotent."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def wake(self) -> None:
        """Events of a log have arrived."""
        with self._condition:
            self._woken = True
            self._condition.notify()

    def problem(self) -> str | None:
        """Why the thread ended without `stop`, or None."""
        return None if self._stopping else self._failure

    def step(self) -> int:
        """Settle every order whose answer has come; how many there were. Raises Problem where the database is away."""
        after, settled = OrderName("", ""), 0
        while True:
            with translated(), self._engine.begin() as connection:
                names = answered_orders(connection, after)
                if names:
                    settled += self._settle(connection, names)
            if len(names) < PAGE:
                return settled
            after = names[-1]

    def _settle(self, connection: Connection, names: list[OrderName]) -> int:
        connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_WAIT}'"))
        orders = lock_orders(connection, names)
        moment = now(connection)
        changed = advance(connection, orders, now=moment, heard_within=self._heard_within)
        store_orders(connection, changed, moment)
        return len(changed)

    def _run(self) -> None:
        try:
            self._loop()
        except BaseException as error:
            self._failure = f"the router of orders ended: {type(error).__name__}: {error}"
            log.exception("the router of orders ends")
            raise

    def _loop(self) -> None:
        while not self._stopping:
            with self._condition:
                self._woken = False
            try:
                self.step()
            except Problem as problem:
                log.warning("the router of orders waits for the database", why=str(problem))
            with self._condition:
                self._condition.wait_for(lambda: self._woken or self._stopping, EVERY_SECONDS)
                if self._woken:
                    # More batches follow one than a step is worth.
                    self._condition.wait_for(lambda: self._stopping, LINGER_SECONDS)
