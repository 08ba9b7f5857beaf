"""What a history ends with when a rule does not hold."""

from __future__ import annotations


class RuleBroken(AssertionError):
    """A rule does not hold. `rule` is its number in DESIGN section 6, or its name in `tests/simulation/subscribers`."""

    def __init__(self, rule: int | str, what: str) -> None:
        super().__init__(f"rule {rule}: {what}")
        self.rule = rule
