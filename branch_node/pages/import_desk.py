"""The files that are uploaded to a node and what is left of them: one import at a time, rejects to download."""

from __future__ import annotations

import re
import secrets
import shutil
import time
from pathlib import Path
from threading import Lock
from typing import Final, Protocol

from branch_node.api.dependencies import ApiNode
from branch_node.node import NodePart
from branch_node.pages.file_upload import FILE
from branch_node.pages.kept_maps import KeptMaps
from branch_node.pages.uploaded_import import (
    RUNNING,
    WAITING,
    UploadedFileAndMap,
    UploadedImport,
    UploadPhase,
)
from branch_node.settings import BranchSettings
from shared.runtime.http.auth import Principal
from shared.runtime.telemetry import get_logger

log = get_logger("larder.import_desk")

UPLOADS: Final = "uploads"
RESULTS: Final = "imports"
REJECTS: Final = "rejects.csv"
CONFLICTS: Final = "conflicts.csv"
KEEP_SECONDS: Final = 86_400.0
"""How long an upload is kept that nobody imports."""
SWEEP_SECONDS: Final = 600.0
MOST_RESULTS: Final = 200
"""Imports whose rejects and conflicts are kept, the newest."""
STOP_SECONDS: Final = 15.0
_IMPORT_ID: Final = re.compile(r"\d{4}-\d{2}-\d{2}-\d{1,9}", re.ASCII)


class PageNode(ApiNode, Protocol):
    """The parts of a node that its pages use."""

    settings: BranchSettings

    def add_part(self, part: NodePart, name: str, *, sweep_seconds: float) -> None:
        """Start, sweep and stop a part with the node."""


class ImportDesk:
    """Takes one upload at a time. Its folders are `uploads`, `imports` (rejects and conflicts) and `maps`.

    Nothing in `uploads` outlives the process: the import that it was for is then `INCOMPLETE` in the register, and the
    same file can be given again.
    """

    def __init__(self, node: PageNode) -> None:
        self._node = node
        directory = node.settings.dir.absolute()
        self.max_bytes = node.settings.upload_mib << 20
        self.maps = KeptMaps(directory)
        self._uploads = directory / UPLOADS
        self._results = directory / RESULTS
        self._lock = Lock()
        self._receiving: Path | None = None
        self._current: UploadedImport | None = None

    # With the node

    def start(self) -> None:
        """Remove what a process before has left."""
        shutil.rmtree(self._uploads, ignore_errors=True)

    def stop(self) -> None:
        """Stop what runs; what it recorded stays."""
        current = self._current
        if current is not None:
            current.stop(STOP_SECONDS)

    def sweep(self) -> None:
        """Remove an upload that nobody imported for a day."""
        current = self._current
        if (
            current is not None
            and current.state.phase not in RUNNING
            and time.monotonic() - current.began > KEEP_SECONDS
        ):
            self._remove(current)

    # Taking an upload

    @property
    def current(self) -> UploadedImport | None:
        """The upload that is here, whatever became of it."""
        return self._current

    @property
    def receiving(self) -> bool:
        """Whether a file is being received."""
        return self._receiving is not None

    def claim(self) -> tuple[str, Path] | None:
        """The id and the folder of a new upload; None where another one is received, runs or waits to be imported.

        Raises OSError. `begin` or `give_up` ends the claim.
        """
        with self._lock:
            current = self._current
            if self._receiving is not None or (current is not None and current.state.phase in WAITING):
                return None
            upload_id = secrets.token_hex(8)
            folder = self._uploads / upload_id
            self._receiving = folder
        try:
            if current is not None:
                self._remove(current)
            self._uploads.mkdir(mode=0o700, exist_ok=True)
            folder.mkdir(mode=0o700)
            (folder / FILE).mkdir(mode=0o700)
        except BaseException:
            self._receiving = None
            raise
        return upload_id, folder

    def begin(self, given: UploadedFileAndMap, principal: Principal) -> UploadedImport:
        """Begin the dry run of what was received."""
        found = UploadedImport(given, self._node, principal, self._finish)
        with self._lock:
            self._current, self._receiving = found, None
        found.check()
        return found

    def give_up(self, folder: Path) -> None:
        """Nothing becomes of what was received; does nothing once it has begun."""
        if self._receiving == folder:
            shutil.rmtree(folder, ignore_errors=True)
            self._receiving = None

    def discard(self, upload: UploadedImport) -> None:
        """Stop an upload if it runs, and remove it unless there is a result to show."""
        running = upload.state.phase
        upload.stop(STOP_SECONDS)
        if running is not UploadPhase.IMPORTING:
            self._remove(upload)

    def _remove(self, upload: UploadedImport) -> None:
        with self._lock:
            if self._current is upload:
                self._current = None
        shutil.rmtree(upload.given.folder, ignore_errors=True)

    # What is left of an import

    def _finish(self, upload: UploadedImport) -> None:
        """Keep the map and what could not be recorded, and remove the rest."""
        given, summary = upload.given, upload.state.summary
        if summary is not None and summary.already_imported is None and summary.import_id is not None:
            self._keep_results(upload, summary.import_id)
        if given.map_text is not None:
            self.maps.keep(given.import_map, given.map_text)
        shutil.rmtree(given.folder, ignore_errors=True)

    def _keep_results(self, upload: UploadedImport, import_id: str) -> None:
        # What this run rejected holds all that is still rejected of the file: it replaces the run before.
        self._results.mkdir(mode=0o700, exist_ok=True)
        folder = self._results / import_id
        shutil.rmtree(folder, ignore_errors=True)
        written = (
            (upload.rejects(dry_run=False), REJECTS),
            (upload.conflicts(dry_run=False), CONFLICTS),
        )
        for path, name in written:
            if path.exists():
                folder.mkdir(mode=0o700, exist_ok=True)
                path.replace(folder / name)
        kept = sorted(self._results.iterdir(), key=lambda each: each.stat().st_mtime, reverse=True)
        for old in kept[MOST_RESULTS:]:
            shutil.rmtree(old, ignore_errors=True)

    def result(self, import_id: str, name: str) -> Path | None:
        """The rejects or the conflicts of an import; None where there are none, or no longer."""
        path = self._results / import_id / name
        return path if _IMPORT_ID.fullmatch(import_id) and path.is_file() else None
