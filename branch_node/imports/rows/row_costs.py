"""What a row says that it cost."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from branch_node.imports.cells.cell_readers import Cells, RowRejected, amount_text, in_column
from branch_node.imports.cells.memo import Memo
from branch_node.imports.cells.number_reader import NumberReader
from branch_node.imports.mapping.import_map import Sign
from branch_node.imports.rows.row_columns import Text
from shared.events import Cost

_Given = tuple[str, int | Decimal, Sign, str | None]


class CostReader:
    """Reads the cost of a whole line, or of one unit, which is multiplied. The currency stands beside it or apart."""

    def __init__(
        self,
        column: str,
        place: int,
        numbers: NumberReader,
        currency: Text | None,
        nothing: frozenset[str],
        *,
        of_unit: bool,
    ) -> None:
        self._column = column
        self._place = place
        self._numbers = numbers
        self._currency = currency
        self._nothing = nothing
        self._of_unit = of_unit
        self._costs: Memo[_Given, Cost | None] = Memo(self._compute)

    def read(self, cells: Cells, sign: Sign, quantity: int | Decimal) -> Cost | None:
        """The cost of `quantity` thousandths of the row's unit, None where the cell is empty. Raises RowRejected."""
        if self._currency is not None and cells[self._place].strip() in self._nothing:
            return None  # whatever its currency says
        currency = None if self._currency is None else self._currency(cells)
        try:
            return self._costs[cells[self._place], quantity, sign, currency]
        except RowRejected as error:
            raise RowRejected(in_column(self._column, str(error))) from error

    def _compute(self, given: _Given) -> Cost | None:
        cell, quantity, sign, currency = given
        text = cell.strip()
        if text in self._nothing:
            return None
        amount, beside = self._numbers.money(text)
        if beside is not None and currency is not None and beside != currency:
            raise RowRejected(f"the cost {text[:40]!r} is in {beside}, the row says {currency}")
        currency = currency or beside
        if currency is None:
            raise RowRejected("the cost has no currency")
        if self._of_unit:
            amount *= Decimal(quantity).copy_abs() / 1_000
        elif sign != "as-written":
            amount = abs(amount) if sign == "absolute" else -amount
        if amount < 0:
            raise RowRejected(f"the cost {text[:40]} is below zero")
        return Cost(amount=amount_text(abs(amount)), currency=currency)


CostOf = Callable[[Cells, Sign, int | Decimal], Cost | None]
