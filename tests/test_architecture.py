"""docs/architecture.md against the code: floors, bans, sizes, paths (design: Floors)."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/architecture.md").read_text()
SOURCES = sorted((ROOT / "monitor").rglob("*.py"))
STAGES = ("ingest", "detect", "aggregate", "correlate", "evaluate", "notify", "store")

CLOCKS_AND_IO = {
    "time", "random", "secrets", "os", "socket", "subprocess", "threading", "asyncio", "tempfile", "shutil",
    "urllib", "http", "logging", "uuid", "multiprocessing", "pathlib", "io", "gzip", "zstandard", "click", "rich",
}  # fmt: skip
BANNED_CALLS = {"open", "print", "input", "now", "utcnow", "today", "default_rng", "getenv"}


def floors() -> dict[str, int]:
    """Room -> floor, read off the page's table."""
    found = {}
    for line in PAGE.splitlines():
        if match := re.match(r"\| (\d) \| (.*?) \|", line):
            for room in re.findall(r"`monitor/([\w./]+)`", match[2]):
                found[room.removesuffix(".py")] = int(match[1])
    return found


FLOORS = floors()


def room_of(path: Path) -> str:
    return path.relative_to(ROOT / "monitor").parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def rooms_imported(tree: ast.AST) -> set[str]:
    return {name.split(".")[1] for name in imports(tree) if name.startswith("monitor.")} & FLOORS.keys()


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down_only_and_stages_do_not_know_each_other(path: Path) -> None:
    """Each module imports from its own room or from lower floors; siblings on floor 1 never."""
    room = room_of(path)
    if room in {"__init__", "__main__"}:
        return
    assert room in FLOORS, f"docs/architecture.md gives no floor to monitor/{room}"
    for other in rooms_imported(ast.parse(path.read_text())) - {room}:
        assert FLOORS[other] <= FLOORS[room], (
            f"{room} (floor {FLOORS[room]}) imports {other} (floor {FLOORS[other]})"
        )
        assert not (room in STAGES and other in STAGES), f"stage {room} imports stage {other}"


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if FLOORS.get(room_of(p), 9) <= 2], ids=lambda p: str(p.relative_to(ROOT))
)
def test_floors_0_to_2_know_no_clock_no_chance_and_no_io(path: Path) -> None:
    """Time, seeds and text are arguments on floors 0 to 2."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            roots = {name.split(".")[0] for name in imports(node)}
            assert not roots & CLOCKS_AND_IO, f"line {node.lineno}: {roots & CLOCKS_AND_IO}"
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            assert name not in BANNED_CALLS, f"line {node.lineno}: calls {name}()"


def test_loadgen_speaks_only_the_contract() -> None:
    """The simulator never imports the product."""
    for path in (ROOT / "loadgen").rglob("*.py"):
        assert not any(name.split(".")[0] == "monitor" for name in imports(ast.parse(path.read_text()))), path


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_stay_small(path: Path) -> None:
    """A file has at most 400 lines, a function at most 60."""
    text = path.read_text()
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, f"{node.name} is long"


def test_every_path_on_the_page_exists() -> None:
    """Paths that the page names are there."""
    named = set(re.findall(r"`((?:monitor|rules|docs|tests|loadgen)/[\w./]*)`", PAGE))
    assert len(named) > 20
    missing = sorted(path for path in named if not (ROOT / path).exists())
    assert not missing
