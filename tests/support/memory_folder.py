"""Temporary folders in memory: the tests commit to thousands of databases, and none of them crashes the machine."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")
ROOM = 3 * 2**30  # bytes; two workers were seen to use a third of it


def memory_folder(folder: Path = SHARED_MEMORY, room: int = ROOM) -> Path | None:
    """The system's folder in memory; None where it is missing, short of room, or does not let programs run."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    runs_programs = not found.f_flag & os.ST_NOEXEC
    has_room = found.f_bavail * found.f_frsize >= room
    return folder if runs_programs and has_room and os.access(folder, os.W_OK | os.X_OK) else None


def use_memory_for_temporary_files() -> None:
    """Make it the folder for temporary files of this process and its children, unless TMPDIR names one."""
    folder = memory_folder()
    if folder is not None and "TMPDIR" not in os.environ:
        os.environ["TMPDIR"] = str(folder)
        tempfile.tempdir = None  # a folder found earlier is looked up again
