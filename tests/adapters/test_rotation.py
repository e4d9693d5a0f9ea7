"""Files of records in parts: read in order, the oldest deleted, what a snapshot does not know of undone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.adapters.rotation import parts, put_aside, take_back

if TYPE_CHECKING:
    from pathlib import Path


def contents(path: Path) -> list[str]:
    return [part.read_text() for part in parts(path)]


def filled(path: Path, count: int, keep_bytes: int = 1 << 20) -> None:
    for number in range(1, count + 1):
        path.write_text(f"{number:04}\n")
        put_aside(path, number, keep_bytes)
    path.write_text("last\n")


def test_parts_are_read_in_order_and_the_oldest_go_first(tmp_path: Path) -> None:
    """As many whole parts are kept as fit; other files are left alone."""
    path = tmp_path / "dead.ndjson"
    others = [
        tmp_path / name for name in ("dead.ndjson.1", "xdead.ndjson.0000000001", "dead.ndjson.00000000010")
    ]
    for other in others:
        other.write_text("other")
    filled(path, 12, keep_bytes=17)
    assert contents(path) == ["0010\n", "0011\n", "0012\n", "last\n"]
    filled(path, 13, keep_bytes=1)
    assert contents(path) == ["0013\n", "last\n"]
    assert all(other.exists() for other in others)


def test_what_a_snapshot_does_not_know_of_is_undone(tmp_path: Path) -> None:
    """The first later part is the file again; with none there is nothing to do."""
    path = tmp_path / "dead.ndjson"
    filled(path, 5)
    take_back(path, 5)
    assert contents(path) == ["0001\n", "0002\n", "0003\n", "0004\n", "0005\n", "last\n"]
    take_back(path, 3)
    assert contents(path) == ["0001\n", "0002\n", "0003\n", "0004\n"]
    take_back(path, 0)
    assert contents(path) == ["0001\n"]
