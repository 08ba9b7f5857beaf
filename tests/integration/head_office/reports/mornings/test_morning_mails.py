"""The mail about a morning: at least once, not twice in the ordinary case, whatever its server does."""

from __future__ import annotations

from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import update

from head_office.database.office_schema import REORDER_LEVEL
from head_office.reports.mornings.morning_list import list_mornings
from head_office.reports.mornings.morning_mail import MOST_ATTACHED, Envelope, morning_mail
from head_office.reports.mornings.report_mailer import ReportMailer
from head_office.reports.purchasing.files.rendered_report import FileFormat, RenderedFile, render
from head_office.reports.purchasing.purchasing_records import LocationState
from shared.runtime.database.engine import postgres_engine
from shared.runtime.mail.mail_addresses import read_smtp_url
from shared.runtime.mail.smtp_sender import SmtpSender
from tests.support.forked import start_program
from tests.support.morning_rig import ZONES, MorningRig, utc
from tests.support.smtp_receiver import SmtpReceiver, receiving
from tests.support.waiting import wait_until

ENVELOPE = Envelope("larder@shop.example", ("buyer@shop.example", "nobody@shop.example"))
MADE = "2087-03-20T11:00"


@pytest.fixture
def receiver() -> SmtpReceiver:
    return SmtpReceiver()


@pytest.fixture
def port(receiver: SmtpReceiver) -> Iterator[int]:
    with receiving(receiver) as port:
        yield port


@pytest.fixture
def outcomes() -> list[str]:
    return []


@pytest.fixture
def mailer(rig: MorningRig, port: int, outcomes: list[str]) -> ReportMailer:
    sender = SmtpSender(read_smtp_url(f"smtp://127.0.0.1:{port}"), step_seconds=0.5, most_seconds=2)
    rig.clock(MADE)
    assert rig.make(mailed=True) == 3
    return ReportMailer(rig.engine, sender, ENVELOPE, counted=outcomes.append)


def attached(mail: EmailMessage) -> dict[str | None, tuple[str, bytes]]:
    return {each.get_filename(): (each.get_content_type(), each.get_content()) for each in mail.iter_attachments()}


def text_of(mail: EmailMessage) -> list[str]:
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content()).splitlines()


def test_the_mail_as_it_arrives(rig: MorningRig, mailer: ReportMailer, receiver: SmtpReceiver) -> None:
    assert mailer.step() == 1
    (mail,) = receiver.received
    assert receiver.recipients == [list(ENVELOPE.recipients)]
    assert (mail["From"], mail["To"]) == (ENVELOPE.sender, "buyer@shop.example, nobody@shop.example")
    assert mail["Subject"] == "Purchasing 2087-03-20: 6 items to order at 3 locations, 3 locations to look at"
    assert mail["Date"] == "Thu, 20 Mar 2087 11:00:00 +0000"
    assert mail["Auto-Submitted"] == "auto-generated"
    lines = text_of(mail)
    # No branch has ever called here.
    assert [line for line in lines if "BLIND" in line] == [
        f"  {place}, Place {place}: BLIND: its branch had not called for 24 hours" for place in sorted(ZONES)
    ]
    assert "To order: 6 items at 3 locations" in lines
    assert [line for line in lines if line.startswith("  farm")] == ["  farm: 3 items (BEY-01 1, BEY-02 1, NYC-01 1)"]
    assert "  without a supplier: 3 items (BEY-01 1, BEY-02 1, NYC-01 1)" in lines
    report = rig.report("2087-03-20")
    files = [render(report, each) for each in (FileFormat.XLSX, FileFormat.PDF)]
    assert attached(mail) == {file.name: (file.media_type, b"".join(file.content)) for file in files}
    assert mailer.step() == 0
    (kept,) = rig.mails()
    assert (kept.state, kept.attempts, kept.sent_at, kept.error) == ("SENT", 1, utc(MADE), None)
    assert mail["Message-ID"] == f"<{kept.mail_id}@shop.example>"


@pytest.mark.parametrize("mode", ["refuse", "later", "break", "hang"])
def test_a_server_that_fails_is_tried_again(
    rig: MorningRig, mailer: ReportMailer, receiver: SmtpReceiver, outcomes: list[str], mode: str
) -> None:
    """The making goes on all the while, and the list says why the mail did not go."""
    receiver.mode = mode
    now = utc(MADE)
    waits = []
    for _ in range(4):
        assert mailer.step() == 0
        (kept,) = rig.mails()
        waits.append((kept.next_try_at - now) // 1_000_000)
        assert kept.error
        rig.clock(kept.next_try_at - 1)
        assert mailer.step() == 0
        assert rig.mails()[0].attempts == kept.attempts
        now = kept.next_try_at
        rig.clock(now)
    assert waits == [60, 120, 240, 480]
    with rig.engine.connect() as connection:
        shown = {each.mail.error if each.mail else None for each in list_mornings(connection)}
    assert shown == {kept.error}
    receiver.mode = "accept"
    assert mailer.step() == 1
    assert len(receiver.received) == 1
    assert outcomes == ["failed"] * 4 + ["sent"]
    rig.clock("2087-03-21T11:00")
    assert rig.make(mailed=True) == 3


def test_a_mail_that_was_taken_without_an_answer_comes_again_as_the_same(
    rig: MorningRig, mailer: ReportMailer, receiver: SmtpReceiver
) -> None:
    receiver.mode = "forget"
    assert mailer.step() == 0
    receiver.mode = "accept"
    rig.clock(rig.mails()[0].next_try_at)
    assert mailer.step() == 1
    first, second = receiver.received
    for header in ("Message-ID", "Date", "Subject"):
        assert first[header] == second[header]
    assert text_of(first) == text_of(second)


def test_who_does_not_get_it_is_said(rig: MorningRig, mailer: ReportMailer, receiver: SmtpReceiver) -> None:
    receiver.mode = "half"
    assert mailer.step() == 1
    (kept,) = rig.mails()
    assert (kept.state, kept.error) == ("SENT", "not to nobody@shop.example: 550 there is nobody here")


def test_it_is_given_up_after_a_day(rig: MorningRig, mailer: ReportMailer, receiver: SmtpReceiver) -> None:
    receiver.mode = "later"
    assert mailer.step() == 0
    rig.clock(utc(MADE) + 86_400_000_000)
    receiver.mode = "accept"
    assert mailer.step() == 0
    assert [each.state for each in rig.mails()] == ["GIVEN_UP"]
    assert receiver.received == []


def mail_once(url: str, port: int, folder: Path) -> None:
    """A process that sends what waits, once it is told to, and says how many mails that were."""
    engine = postgres_engine(url)
    sender = SmtpSender(read_smtp_url(f"smtp://127.0.0.1:{port}"))
    mailer = ReportMailer(engine, sender, ENVELOPE, counted=lambda _: None)
    print("ready")
    wait_until((folder / "go").exists, 60, interval=0.001)
    print(f"sent {mailer.step()} in all")
    engine.dispose()


def test_four_processes_send_one(
    rig: MorningRig, mailer: ReportMailer, receiver: SmtpReceiver, rig_url: str, port: int, tmp_path: Path
) -> None:
    del mailer
    programs = [
        start_program(mail_once, rig_url, port, tmp_path, output=tmp_path / f"output-{number}") for number in range(4)
    ]
    try:
        for each in programs:
            each.wait_for("ready")
        (tmp_path / "go").touch()
        sent = sorted(int(each.wait_for(r"sent (\d+) in all")[1]) for each in programs)
    finally:
        for each in programs:
            each.kill()
    assert sent == [0, 0, 0, 1]
    assert len(receiver.received) == 1
    assert [each.attempts for each in rig.mails()] == [1]


def test_one_that_died_while_it_sent_is_taken_over(
    rig: MorningRig, mailer: ReportMailer, receiver: SmtpReceiver, rig_url: str, port: int, tmp_path: Path
) -> None:
    receiver.mode = "hang"
    program = start_program(mail_once, rig_url, port, tmp_path, output=tmp_path / "output")
    (tmp_path / "go").touch()
    assert receiver.reached.wait(60)
    assert mailer.step() == 0  # it is being sent
    program.kill()
    receiver.mode = "accept"
    assert mailer.step() == 0
    rig.clock(utc(MADE) + 300_000_000)
    assert mailer.step() == 1
    assert [(each.state, each.attempts) for each in rig.mails()] == [("SENT", 2)]


def test_nothing_in_names_makes_a_header_or_a_line(rig: MorningRig, mailer: ReportMailer) -> None:
    del mailer
    evil = "Hamra\r\nBcc: thief@evil.example\r\n\r\n"
    report = rig.report("2087-03-20")
    report = replace(
        report,
        locations=[replace(each, name=evil, state=LocationState.BLIND) for each in report.locations],
        rows=[replace(each, supplier_name=evil) for each in report.rows],
    )
    mail = morning_mail(report, [], ENVELOPE, mail_id="m-1", now=utc(MADE))
    assert mail["Bcc"] is None
    lines = text_of(mail)
    assert not [line for line in lines if line.startswith("Bcc")]
    assert lines[0] == "To look at first: the figures of these may be wrong"
    assert sum("BLIND: its branch had not called for 24 hours" in line for line in lines) == 3
    assert mail["Subject"].endswith("6 items to order at 3 locations, 3 locations to look at")
    with pytest.raises(ValueError, match="linefeed"):
        morning_mail(replace(report, date="2087\r\nBcc: x@y"), [], ENVELOPE, mail_id="m-1", now=utc(MADE))


def test_files_that_are_too_large_are_left_out(rig: MorningRig, mailer: ReportMailer) -> None:
    del mailer
    report = rig.report("2087-03-20")
    read = []

    def parts(name: str) -> Iterator[bytes]:
        for _ in range(100):
            read.append(name)
            yield bytes(MOST_ATTACHED // 10)

    files = [
        RenderedFile("huge.xlsx", "application/b", parts("huge")),
        RenderedFile("small.pdf", "application/c", [b"x"]),
    ]
    mail = morning_mail(report, files, ENVELOPE, mail_id="m-1", now=utc(MADE))
    assert attached(mail) == {"small.pdf": ("application/c", b"x")}
    assert len(read) < 15
    assert "Its files are too large for a mail." in text_of(
        morning_mail(report, files[:1], ENVELOPE, mail_id="m-1", now=utc(MADE))
    )


def test_a_mail_that_cannot_be_written_is_noted_and_raised(
    rig: MorningRig, mailer: ReportMailer, receiver: SmtpReceiver
) -> None:
    """What is broken here is shown by the timers; what is broken there is not."""
    with rig.engine.begin() as connection:
        connection.execute(update(REORDER_LEVEL).values(supplier_id="x"))
        connection.exec_driver_sql("ALTER TABLE reorder_level RENAME TO elsewhere")
    with pytest.raises(Exception, match="reorder_level"):
        mailer.step()
    (kept,) = rig.mails()
    assert (kept.state, kept.attempts) == ("WAITING", 1)
    assert "reorder_level" in kept.error
    assert receiver.received == []
