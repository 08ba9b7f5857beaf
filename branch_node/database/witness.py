"""The witness: a small file outside the database's folder that holds the head of the log after the last commit.

It detects a database restored from a backup before anything is recorded. It is written after each commit group, when
the database is durable (`synchronous=FULL`), so after a crash or power cut the witness is never ahead of the log and
gives no false alarm. For the same reason it needs no fsync per group: a lost write leaves it behind, which is normal.

Two slots are written in turn, each with a checksum, so a torn write loses the newest record at most. This is as safe as
replacing the file and costs microseconds instead of a rename per group.
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
    """The head of a location's log after a commit group."""

    location_id: Id
    epoch: int
    sequence: int
    hash: HexHash


class _Slot(msgspec.Struct, frozen=True):
    record: WitnessRecord
    check: str


class WitnessVerdict(StrEnum):
    """The result of comparing the witness with the database at start."""

    FIRST = "FIRST"
    NORMAL = "NORMAL"
    ROLLED_BACK = "ROLLED_BACK"
    OTHER_LOCATION = "OTHER_LOCATION"


class WitnessUnusable(Exception):
    """The witness file cannot be opened, read or written; the text gives the cause and what to do."""


def compare(record: WitnessRecord | None, location_id: str, head: Head, hash_there: bytes | None) -> WitnessVerdict:
    """Compare a database with its witness. `hash_there` is the database's hash at the record's sequence, None past its
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
    """The open witness file. `write` is called by the writer's thread alone, after each commit group."""

    def __init__(self, path: Path, location_id: str) -> None:
        """Open the file, or create it; its records are kept. Raises WitnessUnusable."""
        self.path = path
        self._location_id = location_id
        self._next_slot = 0
        self._write_problem: str | None = None
        self._file_problem: str | None = None
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise WitnessUnusable(_unusable(path, error)) from error
        newest = read(path)
        # The slot to be written first must not be the one that holds the newest record.
        if newest is not None and _decode(os.read(self._descriptor, SLOT)) == newest:
            self._next_slot = 1

    @property
    def problem(self) -> str | None:
        """Why the witness cannot be written, and what to do; None while it can."""
        return self._write_problem or self._file_problem

    def write(self, head: Head) -> None:
        """Write a head. A failure does not undo the commit; it is reported by `problem`."""
        record = WitnessRecord(self._location_id, head.epoch, head.sequence, head.hash.hex())
        slot = msgspec.json.encode(_Slot(record, _check(record)))
        try:
            os.lseek(self._descriptor, self._next_slot * SLOT, os.SEEK_SET)
            os.write(self._descriptor, slot.ljust(SLOT - 1) + b"\n")
        except OSError as error:
            if self._write_problem is None:
                log.error("the witness cannot be written", path=str(self.path), reason=error.strerror)
            self._write_problem = _unusable(self.path, error)
            return
        self._write_problem = None
        self._next_slot = (self._next_slot + 1) % SLOTS

    def keep(self) -> None:
        """Sync the file to disk, and detect that it was removed or replaced. For a timer."""
        try:
            os.fsync(self._descriptor)
            same = os.path.samestat(os.fstat(self._descriptor), self.path.stat())
        except FileNotFoundError:
            same = False
        except OSError as error:
            self._file_problem = _unusable(self.path, error)
            return
        gone = f"the witness file {self.path} was removed or replaced while the node runs: restart the node"
        self._file_problem = None if same else gone

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
