"""A run as files: frames.ndjson (plain, .gz or .zst), topology.ndjson, truth.json."""

from __future__ import annotations

import gzip
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Literal, NamedTuple, cast

import msgspec
import zstandard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from loadgen.run import Run

Compression = Literal["zst", "gz", "none"]


class Written(NamedTuple):
    """What a run came to."""

    path: Path
    frames: int
    bytes: int


def write_run(
    run: Run,
    out: Path,
    compress: Compression = "zst",
    progress: Callable[[], object] = lambda: None,
) -> Written:
    """Write a run into the directory `out`, made where it does not exist.

    `progress` is called after each tick. The topology and the truth are written first, the frames last.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / "topology.ndjson").write_bytes(b"".join(line + b"\n" for line in run.topology_lines()))
    truth = msgspec.json.format(msgspec.json.encode(run.truth()), indent=1)
    (out / "truth.json").write_bytes(truth + b"\n")
    suffix = "" if compress == "none" else f".{compress}"
    path, frames, size = out / f"frames.ndjson{suffix}", 0, 0
    with _open(path, compress) as file:
        for lines in run.ticks():
            block = b"".join(line + b"\n" for line in lines)
            file.write(block)
            frames, size = frames + len(lines), size + len(block)
            progress()
    return Written(path, frames, size)


@contextmanager
def _open(path: Path, compress: Compression) -> Iterator[IO[bytes]]:
    with path.open("wb") as file:
        if compress == "zst":
            with zstandard.ZstdCompressor(level=3).stream_writer(file, closefd=False) as writer:
                yield cast("IO[bytes]", writer)
        elif compress == "gz":
            with gzip.GzipFile(filename="", mode="wb", compresslevel=5, fileobj=file, mtime=0) as packed:
                yield cast("IO[bytes]", packed)
        else:
            yield file
