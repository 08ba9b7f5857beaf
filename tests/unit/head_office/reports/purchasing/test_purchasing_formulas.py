"""The formulas of the purchasing report beside the same in decimals, with the definitions read literally."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, localcontext

from hypothesis import given
from hypothesis import strategies as st

from head_office.reports.purchasing.purchasing_formulas import Consumption, dates_used, row_figures
from shared.levels.reorder_levels import ReorderLevel

MANY_DIGITS = Context(prec=60)
# Dates of which a figure for a day has finitely many decimals.
DAYS = st.sampled_from([0, 1, 2, 4, 5, 8, 10, 16, 20, 25, 32, 40, 50, 64, 80, 100, 125, 128, 160, 200, 250, 256, 320])
QUANTITIES = st.integers(-(10**9), 10**9)


@given(QUANTITIES, QUANTITIES, DAYS, st.none() | st.integers(0, 366), st.none() | st.integers(1, 50_000))
def test_a_row_is_what_decimals_make_of_it(
    available: int, used: int, days: int, lead_days: int | None, pack_size: int | None
) -> None:
    level = ReorderLevel(reorder_point=10**9, order_up_to=2 * 10**9, pack_size=pack_size)
    found = row_figures(
        level,
        available=available,
        in_transit=1_000,
        on_order=250,
        consumption=Consumption(used, days),
        lead_days=lead_days,
    )
    assert found.projected == available + 1_250
    with localcontext(MANY_DIGITS):
        daily = None if days == 0 else Decimal(used) / 1_000 / days
        if daily is None:
            assert found.daily_usage is None
        else:
            half_up = (daily + Decimal("0.0005")).quantize(Decimal("0.001"), ROUND_FLOOR)
            assert Decimal(found.daily_usage or 0) / 1_000 == half_up
        if daily is None or daily <= 0:
            assert found.days_left is None
        else:
            lasts = (max(Decimal(available), Decimal(0)) / 1_000 / daily).quantize(Decimal("0.1"), ROUND_FLOOR)
            assert Decimal(found.days_left or 0) / 10 == lasts
        if daily is None or lead_days is None:
            assert found.suggested_reorder_point is None
        else:
            whole = (daily * (lead_days + 2)).quantize(Decimal(1), ROUND_CEILING)
            assert Decimal(found.suggested_reorder_point or 0) / 1_000 == max(whole, 0)
    if pack_size is None:
        assert found.packs is None
    else:
        assert found.packs is not None
        assert found.to_order == found.packs * pack_size


@given(st.dates(date(2001, 1, 1), date(2100, 1, 1)), st.integers(1, 366), st.none() | st.integers(-400, 400))
def test_dates_are_those_of_the_window_from_the_first_event_on(day: date, window_days: int, ago: int | None) -> None:
    first = None if ago is None else day - timedelta(days=ago)
    window = [day - timedelta(days=back) for back in range(1, window_days + 1)]
    assert dates_used(day, window_days, first) == sum(first is not None and each >= first for each in window)
