"""The witness: a small file outside the database's folder that remembers how far the log had come.

A database restored from a backup cannot know by itself that it is old; the witness can tell, before anything is
recorded. It is written after each commit group, never before: the database is durable by then (`synchronous=FULL`), so
whatever a crash or a power cut does to the two, the witness is never ahead of the true log, and no false alarm can
come from the order. For the same reason it needs no fsync of its own: a lost write leaves it behind, which is normal.

Two slots are written in turn, each with a checksum, so that a torn write costs the newest record at most. That is as
good as replacing the file and costs the writer microseconds instead of a rename per group.
"""

from __future__ import annotations

import os
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from shared.chain import GENESIS, Head
from shared.events import HexHash, Id
from shared.runtime.telemetry import get_logger

log = get_logger("larder.witness")

SLOT: Final = 512
SLOTS: Final = 2


class WitnessRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the witness saw: the head of a location's log after a commit group."""

    location_id: Id
    epoch: int
    sequence: int
    hash: HexHash


class _Slot(msgspec.Struct, frozen=True):
    record: WitnessRecord
    check: str


class WitnessVerdict(StrEnum):
    """What comparing the witness with the database at start says."""

    FIRST = "FIRST"
    NORMAL = "NORMAL"
    ROLLED_BACK = "ROLLED_BACK"
    OTHER_LOCATION = "OTHER_LOCATION"


class WitnessUnusable(Exception):
    """The witness file cannot be opened, read or written; the text says why and what to do."""


def compare(record: WitnessRecord | None, location_id: str, head: Head, hash_there: bytes | None) -> WitnessVerdict:
    """Judge a database by its witness. `hash_there` is the database's hash at the witness's sequence, None past its
    head. Pure."""
    if record is None:
        return WitnessVerdict.FIRST
    if record.location_id != location_id:
        return WitnessVerdict.OTHER_LOCATION
    if record.sequence > head.sequence or hash_there is None or hash_there.hex() != record.hash:
        return WitnessVerdict.ROLLED_BACK
    return WitnessVerdict.NORMAL


def read(path: Path) -> WitnessRecord | None:
    """The newest record in the file; None where there is no file or nothing in it verifies. Raises WitnessUnusable."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WitnessUnusable(_unusable(path, error)) from error
    found = [
        record for start in range(0, SLOT * SLOTS, SLOT) if (record := _decode(raw[start : start + SLOT])) is not None
    ]
    return max(found, key=lambda each: (each.epoch, each.sequence), default=None)


class Witness:
    """The open file. `write` is called by the writer's thread alone, after each commit group."""

    def __init__(self, path: Path, location_id: str) -> None:
        """Open the file, making it where it is missing; what it holds is kept. Raises WitnessUnusable."""
        self.path = path
        self._location_id = location_id
        self._turn = 0
        self._write_problem: str | None = None
        self._place_problem: str | None = None
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise WitnessUnusable(_unusable(path, error)) from error
        newest = read(path)
        # The slot to be written first must not be the one that holds the newest record.
        if newest is not None and _decode(os.read(self._descriptor, SLOT)) == newest:
            self._turn = 1

    @property
    def problem(self) -> str | None:
        """Why the witness cannot do its work, with what to do; None while it can."""
        return self._write_problem or self._place_problem

    def write(self, head: Head) -> None:
        """Remember a head. A file that cannot be written does not undo what was committed: `problem` says so."""
        record = WitnessRecord(self._location_id, head.epoch, head.sequence, head.hash.hex())
        slot = msgspec.json.encode(_Slot(record, _check(record)))
        try:
            os.lseek(self._descriptor, self._turn * SLOT, os.SEEK_SET)
            os.write(self._descriptor, slot.ljust(SLOT - 1) + b"\n")
        except OSError as error:
            if self._write_problem is None:
                log.error("the witness cannot be written", path=str(self.path), reason=error.strerror)
            self._write_problem = _unusable(self.path, error)
            return
        self._write_problem = None
        self._turn = (self._turn + 1) % SLOTS

    def keep(self) -> None:
        """Put the file on disk, and notice when somebody removed or replaced it. For a timer."""
        try:
            os.fsync(self._descriptor)
            same = os.path.samestat(os.fstat(self._descriptor), self.path.stat())
        except FileNotFoundError:
            same = False
        except OSError as error:
            self._place_problem = _unusable(self.path, error)
            return
        gone = f"the witness file {self.path} was removed or replaced while the node runs: restart the node"
        self._place_problem = None if same else gone

    def close(self) -> None:
        os.close(self._descriptor)


def _check(record: WitnessRecord) -> str:
    return sha256(GENESIS + msgspec.json.encode(record)).hexdigest()[:16]


def _decode(slot: bytes) -> WitnessRecord | None:
    try:
        found = msgspec.json.decode(slot, type=_Slot)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return found.record if found.check == _check(found.record) else None


def _unusable(path: Path, error: OSError) -> str:
    return (
        f"the witness file {path} cannot be used ({error.strerror}): give --witness (LARDER_WITNESS) a place that this "
        "node may write, outside the folder of its database"
    )
