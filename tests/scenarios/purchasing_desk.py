"""The desk of a purchasing office: the addresses, keys and folders that it was told, HTTP, and the command line."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import openpyxl
from pypdf import PdfReader

PATIENCE = 30.0
COLUMNS_OF_THE_PAGE = ("on_hand", "available", "in_transit", "on_order", "to_order")


def tell(kind: str, **fields: Any) -> None:
    print(json.dumps({"kind": kind, **fields}), flush=True)


def say(text: str) -> None:
    tell("said", text=text)


def check(what: str, ok: bool) -> None:
    tell("check", what=what, ok=ok)


def ask(what: str, place: str) -> None:
    """Have the engineer stop or serve a branch's node; back when it was done."""
    tell("ask", what=what, place=place)
    if sys.stdin.readline().strip() != "done":
        raise RuntimeError(f"could not {what} {place}")


def until(look: Callable[[], Any], what: str) -> Any:
    """The first true value."""
    deadline = time.monotonic() + PATIENCE
    while not (found := look()):
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited in vain for {what}")
        time.sleep(0.05)
    return found


class Service:
    """Head office or a branch, as its key may use it; commands run in its folder."""

    def __init__(self, name: str, *, url: str, key: str, folder: str) -> None:
        self.name = name
        self._folder = folder
        self._keys = 0
        self._http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30, trust_env=False)

    def ask(self, path: str, **params: Any) -> httpx.Response:
        return self._http.get(path, params=params)

    def get(self, path: str, **params: Any) -> Any:
        return _good(self.ask(path, **params)).json()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Under a key of its own, sent again while there is no answer."""
        self._keys += 1
        headers = {"Idempotency-Key": f"purchasing-week:{self._keys}"}
        for _ in range(3):
            try:
                return _good(self._http.post(path, json=body, headers=headers)).json()
            except httpx.TransportError:
                continue
        return _good(self._http.post(path, json=body, headers=headers)).json()

    def refused(self, path: str, body: dict[str, Any]) -> tuple[int, str]:
        """The status and code of the problem that a request is answered with."""
        answer = self._http.post(path, json=body)
        return answer.status_code, answer.json().get("code", "")

    def larder(self, *words: str) -> Any:
        """What a command prints for machines."""
        command = [sys.executable, "-m", "deploy.cli", self.name, *words, "--dir", self._folder, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(f"larder {self.name} {' '.join(words)}: {done.stderr or done.stdout}")
        return json.loads(done.stdout)


def _good(answer: httpx.Response) -> httpx.Response:
    if not answer.is_success:
        raise RuntimeError(f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text}")
    return answer


def write_csv(path: Path, header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    """A file for an import; its path."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)


def csv_says(content: bytes, rows: list[dict[str, Any]]) -> bool:
    """Whether the CSV has the rows of the JSON, cell by cell."""
    found = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    return len(found) == len(rows) and all(
        set(cells) == set(row) and all(_alike(cells[name], row[name]) for name in row)
        for cells, row in zip(found, rows, strict=True)
    )


def _alike(cell: str, value: Any) -> bool:
    if value is None:
        return cell == ""
    if isinstance(value, list):
        return cell == " ".join(value)
    return float(cell) == value if isinstance(value, int | float) else cell == value


def xlsx_says(content: bytes, rows: list[dict[str, Any]], places: list[str]) -> bool:
    """Whether the workbook has the rows of the JSON, and its locations; what differs is said."""
    book = openpyxl.load_workbook(io.BytesIO(content))
    found = [list(map(_value, cells)) for cells in book["Purchasing"].iter_rows(values_only=True)]
    wanted = [list(rows[0])] + [
        [" ".join(each) if isinstance(each, list) else each for each in row.values()] for row in rows
    ]
    located = [cells[0] for cells in book["Locations"].iter_rows(min_row=2, values_only=True)]
    for has, want in zip([*found, located], [*wanted, places], strict=False):
        if has != want:
            say(f"XLSX: {has} for {want}")
    return (found, located) == (wanted, places)


def _value(cell: Any) -> Any:
    return cell.date().isoformat() if isinstance(cell, datetime) else cell


def pdf_says(content: bytes, rows: list[dict[str, Any]]) -> bool:
    """Whether the pages have a line of each row's names and figures."""
    lines = [line for page in PdfReader(io.BytesIO(content)).pages for line in page.extract_text().splitlines()]
    return all(
        any(
            line.startswith(f"{row['name']} {row['item_id']} {row['location_id']} ")
            and " ".join(f"{row[name]:g}" for name in COLUMNS_OF_THE_PAGE) in line
            for line in lines
        )
        for row in rows
    )
