"""A state directory: the last snapshot of a run, and whose run it was."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from monitor import snapshot
from monitor.adapters.lines import replace_file
from monitor.errors import WorkError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SNAPSHOT = "snapshot.bin"
FORMAT = 7


class StateDir:
    """Keeps one snapshot, replaced whole. What it holds of another run is ignored and overwritten."""

    def __init__(self, path: Path, identity: str) -> None:
        self.path = path
        self._identity = identity

    def load(self) -> dict[str, Any] | None:
        """Return the snapshot of an unfinished run of this identity, if there is one."""
        file = self.path / SNAPSHOT
        if not file.exists():
            return None
        try:
            kept = snapshot.decode(file.read_bytes())
            head = (kept["format"], kept["identity"], kept["finished"])
        except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
            raise WorkError(f"{file}: is no snapshot ({error}); delete it to begin anew") from error
        return dict(kept["state"]) if head == (FORMAT, self._identity, False) else None

    def save(self, state: dict[str, Any], *, finished: bool = False) -> None:
        """Keep a snapshot; a finished run keeps only that it finished."""
        self.path.mkdir(parents=True, exist_ok=True)
        kept = {"format": FORMAT, "identity": self._identity, "finished": finished, "state": state}
        replace_file(self.path / SNAPSHOT, snapshot.encode(kept))


def identity(files: Sequence[Path], texts: Sequence[str]) -> str:
    """Return what identifies a run: the content of its input files, and its rules and topology.

    The number of partitions and the size of batches change no result and are no part of it.
    """
    digest = hashlib.blake2b(digest_size=16)
    for file in files:
        with file.open("rb") as stream:
            digest.update(f"{file.name}\0".encode() + hashlib.file_digest(stream, "blake2b").digest())
    for text in texts:
        digest.update(hashlib.blake2b(text.encode()).digest())
    return digest.hexdigest()
