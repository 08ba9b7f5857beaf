"""`larder head-office report`: a command for each report, each in a module of its own."""

from __future__ import annotations

from typing import Final

from head_office.cli.reports.morning_listing import mornings_report
from head_office.cli.reports.purchasing_listing import purchasing_report_listing
from head_office.cli.reports.unmet_demand_listing import unmet_demand_report
from head_office.cli.reports.usage_listing import usage_report
from head_office.cli.reports.variance_listing import variance_report
from shared.runtime.cli.service_app import command_group

report_app: Final = command_group("Reports: purchasing, mornings, variance, usage, unmet-demand.")


def reports() -> None:
    """Reports: purchasing."""
    # With it a single command keeps its name.


report_app.command("purchasing")(purchasing_report_listing)
report_app.command("mornings")(mornings_report)
report_app.command("variance")(variance_report)
report_app.command("usage")(usage_report)
report_app.command("unmet-demand")(unmet_demand_report)
