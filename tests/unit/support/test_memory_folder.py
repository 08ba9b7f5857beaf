"""Where the tests' temporary files go."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.support.memory_folder import memory_folder, use_memory_for_temporary_files


def test_a_folder_without_room_is_not_used(tmp_path: Path) -> None:
    assert memory_folder(tmp_path, room=2**80) is None


def test_a_missing_folder_is_not_used(tmp_path: Path) -> None:
    assert memory_folder(tmp_path / "missing", room=0) is None


def test_a_folder_with_room_is_used(tmp_path: Path) -> None:
    assert memory_folder(tmp_path, room=0) == tmp_path


def test_a_given_folder_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    use_memory_for_temporary_files()
    assert tempfile.gettempdir() == str(tmp_path)
