"""Mailing the report of each morning: each mail at least once, by one of any number of processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlalchemy import Engine

from head_office.reports.mornings.morning_mail import Envelope, morning_mail
from head_office.reports.mornings.morning_report import morning_report
from head_office.reports.mornings.report_mails import ClaimedMail, claim, note_failed, note_sent
from head_office.reports.purchasing.files.rendered_report import FileFormat, RenderedFile, render
from head_office.reports.purchasing.purchasing_records import PurchasingReport
from shared.runtime.database.engine import snapshot, translate_driver_errors
from shared.runtime.mail.smtp_sender import NotSent, SmtpSender
from shared.runtime.problems import Problem
from shared.runtime.telemetry import get_logger

log = get_logger("larder.mails")

MAILER_CONNECTIONS: Final = 1
MOST_A_STEP: Final = 20
"""How many mails are tried in one step."""
MAX_REMARK: Final = 300


class ReportMailer:
    """Sends the mails that wait, whenever `step` is called. `counted` gets the outcome of each attempt."""

    def __init__(
        self, engine: Engine, sender: SmtpSender, envelope: Envelope, *, counted: Callable[[str], None]
    ) -> None:
        self._engine = engine
        self._sender = sender
        self._envelope = envelope
        self._counted = counted

    def step(self) -> int:
        """Try every mail that is to be tried now; how many were sent.

        A server that fails is no error: it is noted, and the mail is tried again. What keeps a mail from being written
        is raised, after that was noted, too.
        """
        sent = 0
        for _ in range(MOST_A_STEP):
            with translate_driver_errors(), self._engine.begin() as connection:
                mail = claim(connection)
            if mail is None:
                break
            sent += self._send(mail)
        return sent

    def stop(self) -> None:
        """Send nothing any more; what is being sent is tried again by whoever is there."""
        self._sender.interrupt()

    def _send(self, mail: ClaimedMail) -> bool:
        try:
            with translate_driver_errors(), snapshot(self._engine) as connection:
                report = morning_report(connection, date=mail.date, location_ids=mail.location_ids)
            # Its date is when it was gathered: the same in every attempt.
            message = morning_mail(report, _files(report), self._envelope, mail_id=mail.mail_id, now=mail.created_at)
            refused = self._sender.send(message, self._envelope.sender, self._envelope.recipients)
        except NotSent as error:
            log.warning("a mail was not sent", mail_id=mail.mail_id, attempt=mail.attempt, why=str(error))
            self._note_failed(mail, str(error))
            return False
        except Exception as error:
            self._note_failed(mail, f"{type(error).__name__}: {error}"[:MAX_REMARK])
            raise
        remark = "; ".join(f"not to {address}: {why}" for address, why in refused.items())[:MAX_REMARK]
        with translate_driver_errors(), self._engine.begin() as connection:
            note_sent(connection, mail, remark or None)
        self._counted("sent")
        return True

    def _note_failed(self, mail: ClaimedMail, why: str) -> None:
        with translate_driver_errors(), self._engine.begin() as connection:
            note_failed(connection, mail, why)
        self._counted("failed")


def _files(report: PurchasingReport) -> list[RenderedFile]:
    """The report as files; a format that it is too large for is left out."""
    files = []
    for file_format in (FileFormat.XLSX, FileFormat.PDF):
        try:
            files.append(render(report, file_format))
        except Problem as problem:
            if problem.status >= 500:
                raise
            log.info("a report is not mailed in this format", format=file_format.value, why=problem.code)
    return files
