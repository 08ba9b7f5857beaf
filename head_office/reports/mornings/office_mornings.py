"""The part of head office that makes the report of each morning and mails it, put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pydantic import SecretStr
from sqlalchemy import Engine

from head_office.reports.mornings.morning_mail import Envelope
from head_office.reports.mornings.morning_maker import MAKER_CONNECTIONS, MorningMaker
from head_office.reports.mornings.report_mailer import MAILER_CONNECTIONS, ReportMailer
from shared.runtime.mail.mail_addresses import read_mail_addresses, read_smtp_url
from shared.runtime.mail.smtp_sender import SmtpSender
from shared.runtime.telemetry import Telemetry
from shared.runtime.timers import Timers

MORNING_CONNECTIONS: Final = MAKER_CONNECTIONS + MAILER_CONNECTIONS
MAKE_SECONDS: Final = 20.0
"""How often it is looked for what is due. A morning that is made later is the same: it is made as of its own moment."""
MAIL_SECONDS: Final = 10.0


class OfficeMornings:
    """Makes mornings, and mails them where a server is given, by the timers of the service.

    Where one cannot be made, head office goes on with everything else: the metrics of the timers and the log tell.
    Other processes of head office may do the same in the same database.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        smtp_url: SecretStr | None,
        mail_from: str | None,
        mail_to: str,
        new_id: Callable[[int], str],
        telemetry: Telemetry,
        timers: Timers,
    ) -> None:
        made = telemetry.counter("mornings_made", "Reports of a location's morning that were made", [])
        self.mailer: ReportMailer | None = None
        if smtp_url is not None and mail_from is not None:
            attempts = telemetry.counter(
                "mail_attempts", "Attempts to mail a morning's report, by outcome", ["outcome"]
            )
            self.mailer = ReportMailer(
                engine,
                SmtpSender(read_smtp_url(smtp_url.get_secret_value())),
                Envelope(mail_from, read_mail_addresses(mail_to)),
                counted=lambda outcome: attempts.labels(outcome).inc(),
            )
            timers.every(MAIL_SECONDS, "mails", self.mailer.step, at_once=True, vital=False)
        self.maker = MorningMaker(engine, mailed=self.mailer is not None, new_id=new_id, counted=made.inc)
        timers.every(MAKE_SECONDS, "mornings", self.maker.step, at_once=True, vital=False)

    def stop(self) -> None:
        """End what is being mailed, and begin nothing any more; what was not done others do, or the next start."""
        self.maker.stop()
        if self.mailer is not None:
            self.mailer.stop()
