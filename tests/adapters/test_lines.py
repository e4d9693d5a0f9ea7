"""Recordings on disk: what is read of whole, joined and torn files, and outputs that cannot be written."""

from __future__ import annotations

import gzip
import random
import resource
import struct

import pytest
import zstandard

from monitor.adapters.lines import LineFile, LinesOut
from monitor.errors import UsageError, WorkError

NUMBERS = random.Random(1)
LINES = [b"%d\n" % NUMBERS.getrandbits(256) for _ in range(20_000)]
CONTENT = b"".join(LINES)
PACK = {".gz": gzip.compress, ".zst": zstandard.compress}


def lines_of(path, offset=0):
    return [line for _, _, line in LineFile(path).read(offset)]


@pytest.mark.parametrize("suffix", list(PACK))
def test_files_may_hold_several_parts(tmp_path, suffix):
    """As those that were appended to, and those of parallel packers, whose frames are announced by others."""
    announced = struct.pack("<II4x", 0x184D2A50, 4) if suffix == ".zst" else b""
    path = tmp_path / f"frames.ndjson{suffix}"
    path.write_bytes(announced + PACK[suffix](CONTENT) + announced + PACK[suffix](CONTENT))
    assert lines_of(path) == LINES * 2
    assert lines_of(path, len(CONTENT)) == LINES


@pytest.mark.parametrize("suffix", list(PACK))
@pytest.mark.parametrize("share", [0.0005, 0.5, 0.9999])
def test_a_file_that_was_cut_off_is_read_as_far_as_it_goes_and_fails(tmp_path, suffix, share):
    """Nobody takes half a recording for a whole one."""
    path = tmp_path / f"frames.ndjson{suffix}"
    packed = PACK[suffix](CONTENT)
    path.write_bytes(packed[: int(len(packed) * share)])
    found: list[bytes] = []
    with pytest.raises(WorkError, match=r"after line \d+: Compressed file ended before the end-of-") as told:
        found.extend(line for _, _, line in LineFile(path).read())
    assert f"after line {len(found)}:" in str(told.value)
    assert found == LINES[: len(found)]
    assert len(found) >= len(LINES) * (share - 0.1)


def test_what_is_no_archive_fails(tmp_path):
    """A text under a wrong name."""
    path = tmp_path / "frames.ndjson.zst"
    path.write_bytes(CONTENT)
    with pytest.raises(WorkError, match="cannot be read after line 0"):
        lines_of(path)


def test_outputs_are_regular_files(tmp_path):
    """A device cannot be cut to a length when a run goes on."""
    with pytest.raises(UsageError, match="/dev/null: is no regular file"):
        LinesOut(type(tmp_path)("/dev/null"))


def test_an_output_that_cannot_grow_is_named(tmp_path):
    """The error says which file it was, whichever call finds out."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    out = LinesOut(tmp_path / "out.ndjson")
    out.write(["x" * 100])
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limit[1]))
    try:
        with pytest.raises(OSError, match="too large") as told:
            out.sync()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert told.value.filename == str(tmp_path / "out.ndjson")
    out.close()
