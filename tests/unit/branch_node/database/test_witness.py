"""The witness file: what it keeps through torn writes, and what it finds at start."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branch_node.database.witness import SLOT, Witness, WitnessRecord, WitnessUnusable, WitnessVerdict, compare, read
from shared.chain import Head


def head(sequence: int, epoch: int = 1, salt: str = "") -> Head:
    return Head(epoch, sequence, sha256(f"{sequence}{salt}".encode()).digest())


def record(sequence: int, location_id: str = "BEY-01") -> WitnessRecord:
    return WitnessRecord(location_id, 1, sequence, head(sequence).hash.hex())


def test_it_remembers_the_newest_head(tmp_path: Path) -> None:
    path = tmp_path / "d.witness"
    assert read(path) is None
    for run in range(3):
        witness = Witness(path, "BEY-01")
        for sequence in range(run * 5 + 1, run * 5 + 6):
            witness.write(head(sequence))
            assert read(path) == record(sequence)
        witness.close()
    assert path.stat().st_size == 2 * SLOT


@given(written=st.integers(1, 4), cut=st.integers(0, SLOT), garbage=st.binary(max_size=SLOT))
@settings(max_examples=60, deadline=None)
def test_a_torn_write_costs_the_newest_record_at_most(
    tmp_path_factory: pytest.TempPathFactory, written: int, cut: int, garbage: bytes
) -> None:
    path = tmp_path_factory.mktemp("witness") / "w"
    witness = Witness(path, "BEY-01")
    for sequence in range(1, written + 1):
        witness.write(head(sequence))
    witness.close()
    before = path.read_bytes()
    witness = Witness(path, "BEY-01")
    witness.write(head(written + 1))
    witness.close()
    after = path.read_bytes().ljust(2 * SLOT, b"\0")
    old = before.ljust(2 * SLOT, b"\0")
    changed = [start for start in (0, SLOT) if after[start : start + SLOT] != old[start : start + SLOT]]
    assert len(changed) == 1
    start = changed[0]
    torn = bytearray(after)
    torn[start + cut : start + SLOT] = (garbage + old[start + len(garbage) : start + SLOT])[: SLOT - cut]
    path.write_bytes(torn)
    found = read(path)
    assert found in {record(written), record(written + 1)}


def test_a_file_of_nonsense_is_no_witness(tmp_path: Path) -> None:
    path = tmp_path / "w"
    path.write_bytes(b"\xff" * 2000)
    assert read(path) is None
    witness = Witness(path, "BEY-01")
    witness.write(head(1))
    assert read(path) == record(1)


@pytest.mark.parametrize(
    ("seen", "at", "hash_there", "finding"),
    [
        (None, head(7), None, WitnessVerdict.FIRST),
        (record(7), head(7), head(7).hash, WitnessVerdict.NORMAL),
        (record(7), head(9), head(7).hash, WitnessVerdict.NORMAL),  # ahead: a crash between the commit and the witness
        (record(7), head(6), None, WitnessVerdict.ROLLED_BACK),
        (record(7), head(0), None, WitnessVerdict.ROLLED_BACK),  # the database was lost and made anew
        (record(7), head(7), head(7, salt="x").hash, WitnessVerdict.ROLLED_BACK),
        (
            record(7),
            head(9),
            head(7, salt="x").hash,
            WitnessVerdict.ROLLED_BACK,
        ),  # restored, and then more was recorded
        (record(7, "TRI-01"), head(9), head(7).hash, WitnessVerdict.OTHER_LOCATION),
    ],
)
def test_what_it_finds_at_start(
    seen: WitnessRecord | None, at: Head, hash_there: bytes | None, finding: WitnessVerdict
) -> None:
    assert compare(seen, "BEY-01", at, hash_there) is finding


def test_what_cannot_be_used_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(WitnessUnusable, match="--witness"):
        Witness(tmp_path / "no" / "such" / "folder" / "w", "BEY-01")
    with pytest.raises(WitnessUnusable, match="--witness"):
        read(tmp_path)


def test_it_notices_that_it_was_removed(tmp_path: Path) -> None:
    path = tmp_path / "w"
    witness = Witness(path, "BEY-01")
    witness.write(head(1))
    witness.keep()
    assert witness.problem is None
    path.unlink()
    witness.keep()
    witness.write(head(2))
    assert witness.problem is not None
    assert "removed" in witness.problem
