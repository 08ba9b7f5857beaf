"""`larder head-office report`: a command for each report, each in a module of its own."""

from __future__ import annotations

from typing import Final

from head_office.cli.reports.purchasing_listing import purchasing_report_listing
from shared.runtime.cli.service_app import command_group

report_app: Final = command_group("Reports: purchasing.")


@report_app.callback()
def reports() -> None:
    """Reports: purchasing."""
    # With it a single command keeps its name.


report_app.command("purchasing")(purchasing_report_listing)
