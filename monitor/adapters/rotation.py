"""Files of records that do not grow for ever: what is full is put aside, and the oldest of that deleted.

Of `incidents.ndjson` the parts put aside are `incidents.ndjson.0000000001`, `incidents.ndjson.0000000002` and
so on; the file itself holds the latest records.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from monitor.adapters.lines import sync_directory

if TYPE_CHECKING:
    from pathlib import Path


def parts(path: Path) -> list[Path]:
    """Return where the records of a file are, the oldest first."""
    return [*_aside(path).values(), path]


def put_aside(path: Path, number: int, keep_bytes: int) -> None:
    """Put a closed file aside as its part `number`; delete the oldest of the others beyond `keep_bytes`.

    This part itself stays, since it may have to be taken back.
    """
    path.rename(path.with_name(f"{path.name}.{number:010d}"))
    sync_directory(path.parent)
    newest, *others = reversed(_aside(path).values())
    kept = newest.stat().st_size
    for part in others:
        kept += part.stat().st_size
        if kept > keep_bytes:
            part.unlink()


def take_back(path: Path, number: int) -> None:
    """Undo what was put aside since part `number` was: a snapshot knows of no later one."""
    later = [part for other, part in _aside(path).items() if other > number]
    if later:
        later[0].replace(path)
        for part in later[1:]:
            part.unlink()
        sync_directory(path.parent)


def _aside(path: Path) -> dict[int, Path]:
    pattern = re.compile(re.escape(path.name) + r"\.(\d{10})")
    found = ((pattern.fullmatch(file.name), file) for file in path.parent.iterdir())
    return dict(sorted((int(name[1]), file) for name, file in found if name))
