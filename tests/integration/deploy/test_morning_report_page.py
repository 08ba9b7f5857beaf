"""The handbook's page "the morning report": its commands, run as they stand there, print what it says, up to the mail.

Head office and the branch are real processes, and so is the server that takes the mail. The page's morning is made in
the minute after it is set: its date and time take the place of those that the page was written on.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from datetime import UTC, datetime, timedelta, timezone
from email.message import EmailMessage
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
from pypdf import PdfReader

from tests.integration.deploy.test_checkout_page import missing
from tests.support.processes import ROOT, RunningProcess, free_port, larder, run_larder
from tests.support.smtp_receiver import SmtpReceiver, receiving
from tests.support.waiting import wait_until

PAGE: Final = ROOT / "deploy" / "handbook" / "morning-report.md"
WRITTEN: Final = "2026-11-29"
NEXT: Final = "2026-11-30"
LATE: Final = "2026-11-29T06:00:00+02:00"
REPORT_TIME: Final = "06:30"
NOT_YET: Final = ("unknown-item", "purchase-order-not-found")
REFUSED: Final = "branch reserve"


def parts() -> list[tuple[str, str]]:
    """The fenced blocks in their order: kind and content; what is printed has no kind."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    return [(kind, content) for kind, content in fenced]


def masked(printed: str) -> str:
    """Without moments and dates, which are others each time, and without the width of a year's column."""
    dated = re.sub(r"\b20\d\d-\d\d-\d\d\b", "DATE", printed)
    return re.sub(
        r"\b\d\d-\d\d \d\d:\d\d\b|\b\d\d:\d\d(:\d\d)?\b", "TIME", re.sub(r"\b20\d\d\b", "YEAR", dated)
    ).strip()


class PurchasingOffice:
    """Somebody who types the page's commands: what runs by now, the keys that were printed, the day that it is."""

    def __init__(self, folder: Path, mail_port: int) -> None:
        self._folder = folder
        self._ports = {port: str(free_port()) for port in ("8000", "8101")} | {"2525": str(mail_port)}
        self._known: dict[str, str] = {}
        self._morning: datetime | None = None
        self.running: list[RunningProcess] = []

    def words(self, line: str) -> str:
        """A line of the page with the ports, keys and dates of this run."""
        if f"--report-time {REPORT_TIME}" in line and self._morning is None:
            now = datetime.now(ZoneInfo("Asia/Beirut"))
            self._morning = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
        if self._morning is not None:
            late = (self._morning - timedelta(minutes=1)).astimezone(timezone(timedelta(hours=2)))
            line = line.replace(LATE, late.isoformat()).replace(REPORT_TIME, self._morning.strftime("%H:%M"))
            line = line.replace(NEXT, (self._morning.date() + timedelta(days=1)).isoformat())
            line = line.replace(WRITTEN, self._morning.date().isoformat())
        for port, other in self._ports.items():
            line = re.sub(rf"(:|--port ){port}\b", rf"\g<1>{other}", line)
        for name, value in self._known.items():
            line = line.replace(f"${name}", value)
        assert "$" not in line, line
        return line

    def run(self, block: str) -> str:
        """Every command of a block; what they print."""
        return "".join(self._run(line) for line in block.splitlines())

    def settled(self, block: str, expected: str) -> str:
        """The same, of commands that only look: again until it is what the page says, as what is recorded travels."""
        seen: list[str] = []

        def so() -> bool:
            seen[:] = [self.run(block)]
            if expected.startswith("{"):
                return missing(json.loads(expected), json.loads(seen[0])) == []
            return masked(seen[0]) == masked(expected)

        try:
            wait_until(so, 120, what=block)
        except AssertionError:
            assert masked(seen[0]) == masked(expected)
            raise
        return seen[0]

    def _run(self, line: str) -> str:
        words = shlex.split(self.words(line), comments=True)
        if words[0].endswith("=lk_…"):
            assert words[0].partition("=")[0] in self._known, line
            return ""
        if words[0] == "curl":
            done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 0, (line, done.stderr)
            return done.stdout
        assert words[0] == "larder", line
        if words[-1] == "&":
            self.running.append(larder(*words[1:-1], output=self._folder / f"served-{len(self.running)}.log"))
            self.running[-1].wait_for("ready on http", timeout=60)
            return ""
        made = words[2] in {"locations", "keys"} and words[3] == "add"
        printed = self._done(*words[1:], *(["--json"] if made else []))
        if made:
            name = words[4].replace("-", "_") if words[2] == "locations" else words[words.index("--role") + 1].upper()
            self._known[f"KEY_{name}"] = json.loads(printed)["key"]
        return printed

    @staticmethod
    def _done(*words: str) -> str:
        """What a command prints. An item or an order of head office takes a moment to its branch."""
        found: list[str] = []

        def tried() -> bool:
            result = run_larder(*words)
            if result.returncode and any(code in result.stdout + result.stderr for code in NOT_YET):
                return False
            if " ".join(words).startswith(REFUSED):
                assert "inventory-unavailable" in result.stderr, result.stderr
            else:
                assert result.returncode == 0, (words, result.stdout, result.stderr)
            found.append(result.stdout)
            return True

        wait_until(tried, 60, what=" ".join(words))
        return found[-1]


def test_what_the_page_links_to_is_there() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", PAGE.read_text("utf-8")):
        assert (PAGE.parent / target).exists(), target
    assert "deploy/handbook/morning-report.md" in (ROOT / "README.md").read_text("utf-8")


def test_from_nothing_to_the_report_in_the_mail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    files = iter(("suppliers.csv", "levels.csv"))
    everything = parts()
    receiver = SmtpReceiver()
    compared = 0
    with receiving(receiver) as port:
        office = PurchasingOffice(tmp_path, port)
        try:
            for number, (kind, content) in enumerate(everything):
                following = everything[number + 1] if number + 1 < len(everything) else ("", "")
                if kind == "toml":
                    with (tmp_path / "office" / "settings.toml").open("a", encoding="utf-8") as settings:
                        settings.write(office.words(content))
                elif kind == "csv":
                    (tmp_path / next(files)).write_text(content, encoding="utf-8")
                elif kind == "sh" and following[0] in {"", "json"} and number + 1 < len(everything):
                    lines = content.splitlines(keepends=True)
                    looking = [each for each in lines if not re.search(r" (create|receive|count) ", each)]
                    office.run("".join(each for each in lines if each not in looking))
                    office.settled("".join(looking), _expected(content, office, following[1]))
                    compared += 1
                elif kind == "sh":
                    office.run(content)
        finally:
            for process in reversed(office.running):
                process.stop()
    assert compared == 6
    assert next(files, None) is None
    for name in ("order.pdf", "morning.pdf"):
        assert PdfReader(BytesIO((tmp_path / name).read_bytes())).pages
    _check_mails(receiver.received)


def _expected(content: str, office: PurchasingOffice, said: str) -> str:
    return office.words(said) if content.startswith("curl") else said


def _check_mails(mails: list[EmailMessage]) -> None:
    """One for both locations, or one each where they were not made in one round; each with its two files."""
    assert 1 <= len(mails) <= 2
    texts = []
    for mail in mails:
        assert (mail["From"], mail["To"]) == ("larder@group.example", "purchasing@group.example")
        names: Any = sorted((each.get_filename() or "").rpartition(".")[2] for each in mail.iter_attachments())
        assert names == ["pdf", "xlsx"]
        body = mail.get_body(("plain",))
        assert body is not None
        texts.append(str(body.get_content()))
    assert "BLIND" in "".join(texts)
    assert datetime.now(UTC).strftime("%Y") in "".join(str(mail["Subject"]) for mail in mails)
