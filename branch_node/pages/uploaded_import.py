"""One uploaded file on its way through the page: the dry run, then the import, each in a thread of its own."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any, Final

from branch_node.api.dependencies import ApiNode, actor_of
from branch_node.imports.import_summary import ImportSummary
from branch_node.imports.importer import CHECKING, ImportRun
from branch_node.imports.mapping.import_map import ImportMap
from branch_node.imports.recorders.import_recorder import ImportRecorder
from branch_node.imports.recorders.local_recorders import DryRunRecorder, LocalImportRecorder
from branch_node.imports.reject_files import Conflicts, Rejects, conflicts_path, rejects_path
from branch_node.imports.rows.line_set import LineSet
from branch_node.imports.rows.row_reader import HeaderError
from branch_node.imports.source_file import FileLayout, FileRefused, SourceFile
from branch_node.model import Command
from branch_node.pages.file_upload import FILE, MAP, MAP_FILE
from branch_node.pages.page_forms import FormFault
from branch_node.pages.session_recorder import SessionRecorder
from branch_node.problems import BUSY
from shared.runtime.database.engine import translate_driver_errors
from shared.runtime.http.auth import Principal
from shared.runtime.problems import Problem
from shared.runtime.telemetry import get_logger

log = get_logger("larder.page_import")

BUSY_SECONDS: Final = 60.0
"""How long a chunk is offered to a writer that has too much waiting."""
_RETRY_SECONDS: Final = 0.2
_COPYING_SHARE: Final = 10
"""Of a hundred: how much of the progress is the copy of the file; its rows are the rest."""


class UploadPhase(StrEnum):
    """What is done with an uploaded file: its dry run goes on, it waits to be imported, its import goes on, the end."""

    CHECKING = "checking"
    CHECKED = "checked"
    IMPORTING = "importing"
    IMPORTED = "imported"
    REFUSED = "refused"
    STOPPED = "stopped"


RUNNING: Final = frozenset({UploadPhase.CHECKING, UploadPhase.IMPORTING})
WAITING: Final = RUNNING | {UploadPhase.CHECKED}


class _Stopped(Exception):
    """Somebody stopped it, or the node is stopping."""


@dataclass(frozen=True)
class UploadedFileAndMap:
    """What was uploaded. `map_text` is the text of a new map, None of a kept one; `accepted` are lines in conflict."""

    upload_id: str
    folder: Path
    file: Path
    import_map: ImportMap
    map_name: str
    map_text: bytes | None
    accepted: LineSet | None


@dataclass(frozen=True)
class UploadState:
    """Where an upload is. `percent` is of the phase. `fault` is of the field `field`; of none where that is empty."""

    phase: UploadPhase
    percent: int = 0
    dry_run: bool = True
    summary: ImportSummary | None = None
    field: str = ""
    fault: FormFault | None = None


class UploadedImport:
    """An upload and its state, which any thread may read; `check` and `run` each begin a thread.

    `done` is called on the thread of an import that recorded everything, before the state says so.
    """

    def __init__(
        self, given: UploadedFileAndMap, node: ApiNode, principal: Principal, done: Callable[[UploadedImport], None]
    ) -> None:
        self.given = given
        self.principal = principal
        self.began = time.monotonic()
        self._node = node
        self._done = done
        self._stop = Event()
        self._lock = Lock()
        self._thread: Thread | None = None
        self._state = UploadState(UploadPhase.CHECKING)
        self._run_now: ImportRun | None = None
        self._least_free = 0
        self.now = node.clock.now()

    @property
    def state(self) -> UploadState:
        return self._state

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.given.file.name

    @property
    def import_id(self) -> str | None:
        """The id of the import that was begun; None before."""
        summary = self._so_far()
        return None if summary is None else summary.import_id

    def rejects(self, *, dry_run: bool) -> Path:
        """Where the rejects of a run are written, if there are any."""
        return rejects_path(self._results(dry_run) / self.name, None)

    def conflicts(self, *, dry_run: bool) -> Path:
        """Where the conflicts of a run are written, if there are any."""
        return conflicts_path(self.rejects(dry_run=dry_run))

    def _results(self, dry_run: bool) -> Path:
        return self.given.folder / ("dry" if dry_run else "real")

    # Running

    def check(self) -> None:
        """Begin the dry run."""
        self._begin(UploadPhase.CHECKING)

    def run(self, principal: Principal) -> bool:
        """Begin the import for this principal; False, and nothing is begun, where it does not wait for that."""
        with self._lock:
            if self._state.phase is not UploadPhase.CHECKED:
                return False
            self.principal = principal
            self._state = UploadState(UploadPhase.IMPORTING, dry_run=False)
        self._begin(UploadPhase.IMPORTING)
        return True

    def wait(self, seconds: float) -> None:
        """Wait until the thread that runs has ended, at most so long."""
        if self._thread is not None:
            self._thread.join(seconds)

    def stop(self, seconds: float) -> None:
        """Stop what runs, and wait for it at most so long. What is recorded stays."""
        self._stop.set()
        self.wait(seconds)

    def _begin(self, phase: UploadPhase) -> None:
        dry_run = phase is UploadPhase.CHECKING
        self._thread = Thread(target=self._run, args=(dry_run,), name=f"larder-{phase}", daemon=True)
        self._thread.start()

    def _run(self, dry_run: bool) -> None:
        self._run_now = None
        try:
            with translate_driver_errors():
                summary = self._import(dry_run)
                if dry_run:
                    self._state = UploadState(UploadPhase.CHECKED, summary=summary)
                    return
                self._state = UploadState(UploadPhase.IMPORTING, 100, dry_run=False, summary=summary)
                self._done(self)
                self._state = UploadState(UploadPhase.IMPORTED, dry_run=False, summary=summary)
        except _Stopped:
            self._state = UploadState(UploadPhase.STOPPED, dry_run=dry_run, summary=self._so_far())
        except HeaderError as error:
            self._refuse(dry_run, MAP if self.given.map_text is None else MAP_FILE, str(error))
        except FileRefused as error:
            self._refuse(dry_run, FILE, str(error))
        except Problem as problem:
            told = f"{problem.title}: {problem.detail}" if problem.detail else problem.title
            self._refuse(dry_run, "", told, problem.hint)
        except Exception as error:
            log.exception("an import of the page failed", file=self.name, error=type(error).__name__)
            self._refuse(dry_run, "", "Something went wrong on our side", "The node's log says what.")

    def _refuse(self, dry_run: bool, field: str, told: str, hint: str = "") -> None:
        # The folder of the upload is nobody's concern.
        told = told.replace(f"{self.given.file.parent}/", "").replace(f"{self.given.folder}/", "")
        summary = None if dry_run else self._so_far()
        self._state = UploadState(UploadPhase.REFUSED, 0, dry_run, summary, field, FormFault(_sentence(told), hint))

    def _import(self, dry_run: bool) -> ImportSummary:
        given, found = self.given, self.given.import_map
        results = self._results(dry_run)
        shutil.rmtree(results, ignore_errors=True)
        results.mkdir(mode=0o700)
        delimiter = found.delimiter or ","
        path = self.rejects(dry_run=dry_run)
        with (
            SourceFile(given.file, found.delimiter, FileLayout.of(found), folder=given.folder) as file,
            Rejects(path, delimiter) as rejects,
            Conflicts(conflicts_path(path), delimiter) as conflicts,
        ):
            size = max(file.bytes_on_disk, 1)
            self._least_free = shutil.disk_usage(given.folder).free // 2

            def import_with(recorder: ImportRecorder) -> ImportSummary:
                run = ImportRun(
                    file,
                    found,
                    SessionRecorder(recorder, self.principal),
                    rejects,
                    conflicts,
                    now=self.now,
                    dry_run=dry_run,
                    accepted=given.accepted,
                )
                self._run_now = run
                return run.run(lambda phase, place: self._report(phase, place / size, dry_run))

            if dry_run:
                with DryRunRecorder(self._node.store, self.now) as recorder:
                    return import_with(recorder)
            actor = actor_of(self.principal, None)
            return import_with(LocalImportRecorder(self._node.writer, self._node.store, actor, self._submit))

    def _so_far(self) -> ImportSummary | None:
        return None if self._run_now is None else self._run_now.so_far()

    def _report(self, phase: str, share: float, dry_run: bool) -> None:
        self._check_stopped()
        if phase == CHECKING and shutil.disk_usage(self.given.folder).free < self._least_free:
            # A small packed file unpacks to any size, and the log needs the disk, too.
            raise FileRefused(f"{self.name} takes more than half of the free disk unpacked: split it, or make room")
        whole = min(max(share, 0.0), 1.0)
        done = _COPYING_SHARE * whole if phase == CHECKING else _COPYING_SHARE + (100 - _COPYING_SHARE) * whole
        state = self._state
        if int(done) > state.percent:
            self._state = UploadState(state.phase, int(done), dry_run)

    def _check_stopped(self) -> None:
        if self._stop.is_set():
            raise _Stopped

    def _submit(self, commands: Sequence[Command]) -> Callable[[], list[Any]]:
        """Submit to the node's writer, again while it has too much waiting: tills come first."""
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            self._check_stopped()
            try:
                return self._node.writer.submit_all(commands).result
            except Problem as problem:
                if problem.code != BUSY.code or time.monotonic() > deadline:
                    raise
            self._stop.wait(_RETRY_SECONDS)


def _sentence(text: str) -> str:
    text = text.removesuffix(".")
    return f"{text}."
