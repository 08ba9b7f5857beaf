"""The mornings that head office made the report of, and what it answered about each the first time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx

from shared.runtime.clock import SECOND
from tests.simulation.office import LOCATIONS
from tests.simulation.rule_broken import RuleBroken

REPORT: Final = "/v1/reports/purchasing"
FORMS: Final = ("json", "csv")
MORNING: Final = timedelta(hours=6)
"""When a location's report is made if nothing else was said; all of them are in UTC."""


@dataclass
class KeptMornings:
    """`kept`: the bytes of the report, by date, location and form. `begin`: when the history began, in micros."""

    http: httpx.Client
    begin: int = 0
    kept: dict[tuple[str, str, str], bytes] = field(default_factory=dict)

    def keep(self) -> None:
        """Ask for the reports that were made since."""
        for date, location_id in self._listed():
            for form in FORMS:
                key = date, location_id, form
                if key not in self.kept:
                    self.kept[key] = self._ask(*key)

    def check(self, now: int) -> None:
        """P4, at a moment at which everything due was made."""
        made = Counter(self._listed())
        expected = Counter((date, name) for date in self._came(now) for name in LOCATIONS)
        if made != expected:
            raise RuleBroken("P4", f"made were {made - expected} too often, {expected - made} too seldom")
        for key, before in self.kept.items():
            after = self._ask(*key)
            if after != before:
                raise RuleBroken("P4", f"the report of {key} was {before!r}, and is {after!r}")

    def _came(self, now: int) -> list[str]:
        first, last = (datetime.fromtimestamp(moment / SECOND, UTC) for moment in (self.begin, now))
        midnight = first.replace(hour=0, minute=0, second=0, microsecond=0)
        days = [midnight + timedelta(days=number) for number in range((last - midnight).days + 1)]
        return [f"{day:%Y-%m-%d}" for day in days if first <= day + MORNING <= last]

    def _listed(self) -> list[tuple[str, str]]:
        answer = self.http.get(f"{REPORT}/mornings", params={"limit": 1_000})
        assert answer.is_success, answer.text
        return [(each["date"], each["location_id"]) for each in answer.json()["items"]]

    def _ask(self, date: str, location_id: str, form: str) -> bytes:
        answer = self.http.get(REPORT, params={"date": date, "location_id": location_id, "format": form})
        assert answer.is_success, answer.text
        return answer.content
