"""The mail about a morning: what to worry about on top, what to order by supplier, the report attached. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final, NamedTuple

from head_office.reports.purchasing.files.rendered_report import RenderedFile
from head_office.reports.purchasing.purchasing_records import LocationState, PurchasingLocation, PurchasingReport
from shared.event_record import moment_text
from shared.runtime.clock import SECOND
from shared.runtime.text.printable import printable_line

MOST_LINES: Final = 100
"""How many suppliers, and locations to worry about, the text names."""
MOST_ATTACHED: Final = 15 * 1024 * 1024
"""How many bytes are attached at most: servers take little more, and a mail is a third longer than its files."""

_WHY: Final = {
    LocationState.BLIND: "BLIND: its branch had not called for 24 hours",
    LocationState.INCOMPLETE: "INCOMPLETE: not everything it recorded is in the figures",
}


class Envelope(NamedTuple):
    """From whom a mail is and to whom; addresses as settings check them."""

    sender: str
    recipients: tuple[str, ...]


def morning_mail(
    report: PurchasingReport, files: Sequence[RenderedFile], envelope: Envelope, *, mail_id: str, now: int
) -> EmailMessage:
    """Write the mail about a morning's report. `now` is its date; `mail_id` makes it the same mail when sent again.

    Files that are too large together are left out, which the text says. Raises ValueError for a header that cannot be.
    """
    message = EmailMessage(policy=SMTP)
    message["From"] = envelope.sender
    message["To"] = ", ".join(envelope.recipients)
    message["Subject"] = _subject(report)
    message["Date"] = format_datetime(datetime.fromtimestamp(now // SECOND, UTC))
    message["Message-ID"] = f"<{mail_id}@{envelope.sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # so that no automatic answer comes back
    bodies = _fitting(files)
    message.set_content("\r\n".join(_text(report, [name for name, _, _ in bodies], bool(files))) + "\r\n")
    for name, media_type, body in bodies:
        main, _, sub = media_type.partition("/")
        message.add_attachment(body, maintype=main, subtype=sub.partition(";")[0], filename=name)
    return message


def _subject(report: PurchasingReport) -> str:
    places = len({row.location_id for row in report.rows})
    subject = f"Purchasing {report.date}: {_count(len(report.rows), 'item')} to order"
    if places:
        subject += f" at {_count(places, 'location')}"
    worries = sum(each.state is not LocationState.FRESH for each in report.locations)
    return subject + (f", {_count(worries, 'location')} to look at" if worries else "")


def _text(report: PurchasingReport, attached: Sequence[str], any_files: bool) -> list[str]:
    lines: list[str] = []
    worries = [each for each in report.locations if each.state is not LocationState.FRESH]
    if worries:
        lines += ["To look at first: the figures of these may be wrong", ""]
        lines += _most([f"  {_location(each)}: {_WHY[each.state]}" for each in worries])
        lines.append("")
    lines += [f"To order: {_count(len(report.rows), 'item')} at {_count(len(report.locations), 'location')}", ""]
    lines += _most(list(_suppliers(report)))
    lines += ["", "Made as of:"]
    lines += _most([f"  {_location(each)}: {moment_text(each.as_of)}" for each in report.locations])
    lines.append("")
    if attached:
        lines.append(f"Attached: {', '.join(attached)}")
    elif any_files:
        lines.append("Its files are too large for a mail.")
    lines.append(f"The same figures at any time: larder head-office report purchasing --date {report.date}")
    return lines


def _suppliers(report: PurchasingReport) -> list[str]:
    names: dict[str | None, str | None] = {}
    places: dict[str | None, Counter[str]] = {}
    for row in report.rows:
        names.setdefault(row.supplier_id, row.supplier_name)
        places.setdefault(row.supplier_id, Counter())[row.location_id] += 1
    lines = []
    for supplier_id, counts in places.items():
        name = names[supplier_id]
        who = "without a supplier" if supplier_id is None else supplier_id + (f", {name}" if name else "")
        where = ", ".join(f"{place} {count}" for place, count in counts.most_common(MOST_LINES))
        lines.append(printable_line(f"  {who}: {_count(counts.total(), 'item')} ({where})"))
    return lines


def _location(found: PurchasingLocation) -> str:
    return printable_line(found.location_id + (f", {found.name}" if found.name else ""))


def _most(lines: list[str]) -> list[str]:
    more = len(lines) - MOST_LINES
    return lines if more <= 0 else [*lines[:MOST_LINES], f"  and {more} more"]


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _fitting(files: Sequence[RenderedFile]) -> list[tuple[str, str, bytes]]:
    """The files, in order, as far as all of them fit; a file is not read beyond that."""
    found: list[tuple[str, str, bytes]] = []
    left = MOST_ATTACHED
    for name, media_type, content in files:
        body = bytearray()
        for part in content:
            body += part
            if len(body) > left:
                break
        else:
            found.append((name, media_type, bytes(body)))
            left -= len(body)
    return found
