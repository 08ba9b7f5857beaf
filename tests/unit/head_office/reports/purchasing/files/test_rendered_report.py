"""A report is the same file whenever, wherever and by whichever process it is written; each format has bounds."""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import sys
import zipfile
import zlib

import msgspec
import pytest

from head_office.reports.purchasing.files.rendered_report import FileFormat, render
from head_office.reports.purchasing.purchasing_records import PurchasingReport
from shared.runtime.problems import Problem
from tests.support.processes import ROOT, clean_environment
from tests.unit.head_office.reports.purchasing.files.sample_reports import changed, large, report, row

SAMPLES = "tests.unit.head_office.reports.purchasing.files.sample_reports"
# The clock of the process is five years ahead before anything of the product or its libraries is imported.
LATER = f"""
import datetime, runpy, sys, time
class Later(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2031, 5, 6, 7, 8, 9, tzinfo=tz)
    @classmethod
    def utcnow(cls):
        return cls(2031, 5, 6, 7, 8, 9)
datetime.datetime = Later
time.time = lambda: 1_935_815_289.0
runpy.run_module({SAMPLES!r}, run_name="__main__")
"""


def written(made: PurchasingReport, file_format: FileFormat) -> bytes:
    return b"".join(render(made, file_format).content)


def run(program: list[str], *arguments: str, **environment: str) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, *program, *arguments],
        cwd=ROOT, env=clean_environment(environment), capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(line.split() for line in done.stdout.splitlines())


def test_the_bytes_are_the_same_at_another_time_and_place() -> None:
    here = {str(each): hashlib.sha256(written(large(100), each)).hexdigest() for each in FileFormat}
    again = {str(each): hashlib.sha256(written(large(100), each)).hexdigest() for each in FileFormat}
    there = run(["-m", SAMPLES], "100", *FileFormat, TZ="Asia/Tokyo", LC_ALL="C", PYTHONHASHSEED="1")
    later = run(["-c", LATER], "100", *FileFormat, TZ="America/St_Johns", LC_ALL="C.utf8", PYTHONHASHSEED="2")
    assert again == here
    assert there.items() >= here.items()
    assert later.items() >= here.items()


def test_the_content_is_what_it_was() -> None:
    """Kept reports are made again by later versions, too: whoever changes one of these changes every file of the past.

    Compression is left out, as the libraries that do it differ between computers.
    """
    made = changed(large(40))
    digests = {each: hashlib.sha256(_contents(written(made, each), each)).hexdigest() for each in FileFormat}
    assert digests == {
        FileFormat.CSV: "a72f9ecc6dddcc073a04101dbb587fb1ce616c767f656ca6f695cfc8213ac429",
        FileFormat.XLSX: "866f452ab0011bdf68a8fc2b70575c9b0dc39a990d50261713d9eb94e1410df3",
        FileFormat.PDF: "50328630e98c9626cb7fa48623c79913c96086bc177ed9868ce14ad4200928d1",
    }


def _contents(file: bytes, file_format: FileFormat) -> bytes:
    if file_format is FileFormat.XLSX:
        with zipfile.ZipFile(io.BytesIO(file)) as parts:
            return b"".join(each.filename.encode() + parts.read(each) for each in parts.infolist())
    if file_format is FileFormat.PDF:
        streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", file, re.DOTALL)
        return b"".join(zlib.decompress(each) if each[:1] == b"\x78" else each for each in streams)
    return file


@pytest.mark.parametrize(
    ("file_format", "name", "media_type"),
    [
        ("csv", "purchasing-20261129T050000Z.csv", "text/csv; charset=utf-8"),
        (
            "xlsx",
            "purchasing-20261129T050000Z.xlsx",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        ),
        ("pdf", "purchasing-20261129T050000Z.pdf", "application/pdf"),
    ],
)
def test_a_file_has_a_name_and_a_type(file_format: str, name: str, media_type: str) -> None:
    file = render(report([row()]), FileFormat(file_format))
    assert (file.name, file.media_type) == (name, media_type)
    morning = render(changed(report([row()])), FileFormat(file_format))
    assert morning.name == f"purchasing-2026-11-29.{file_format}"


@pytest.mark.parametrize(("file_format", "most"), [(FileFormat.PDF, 20_000), (FileFormat.XLSX, 1_048_575)])
def test_more_rows_than_a_format_holds_are_refused(file_format: FileFormat, most: int) -> None:
    with pytest.raises(Problem) as refused:
        render(report([row()] * (most + 1)), file_format)
    assert (refused.value.status, refused.value.code) == (422, "report-too-large")
    assert "CSV" in refused.value.hint
    assert "one location" in refused.value.hint


def test_changes_count_as_rows_of_a_pdf() -> None:
    made = changed(report([row()] * 19_999))
    with pytest.raises(Problem):
        render(made, FileFormat.PDF)
    assert made.changes is not None
    fewer = msgspec.structs.replace(made, changes=None)
    assert next(iter(render(fewer, FileFormat.CSV).content))


@pytest.mark.slow
def test_a_long_report_needs_little_memory() -> None:
    """Of a process that holds the report of 80,000 rows itself."""
    made = run(["-m", SAMPLES], "80000", "csv", "xlsx")
    assert int(made["megabytes"]) < 200


def test_a_pdf_leaves_nothing_in_the_log_of_a_service() -> None:
    program = (
        "import runpy; from shared.runtime.telemetry import configure_logging; configure_logging(); "
        f"runpy.run_module({SAMPLES!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "10", "pdf"],
        cwd=ROOT, env=clean_environment({}), capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
