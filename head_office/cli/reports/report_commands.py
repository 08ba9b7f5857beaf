"""`larder head-office report`: a command for each report, each in a module of its own."""

from __future__ import annotations

from typing import Final

from head_office.cli.reports.morning_listing import mornings_report
from shared.runtime.cli.service_app import command_group

report_app: Final = command_group("Reports: mornings.")

report_app.command("mornings")(mornings_report)
report_app.callback()(lambda: None)
