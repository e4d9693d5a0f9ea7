"""Find, read and check the rules files: the operator's own, and the shipped ones for what those lack."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from monitor.catalog import Catalog
from monitor.config.reading import as_mapping, joined, read_mapping
from monitor.config.settings import Settings
from monitor.correlate.faults import FaultBook, runbook_at
from monitor.errors import ConfigError, UsageError
from monitor.ingest.exposition.labelmap import LabelMap, parse_labelmap

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.resources.abc import Traversable

P = ParamSpec("P")
T = TypeVar("T")

RULES_FILES = ("faults.yaml", "metrics.yaml", "settings.yaml", "xid.yaml")
LABELMAPS = "labelmaps"


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one run. `digest` is the SHA-256 over the names and texts of the files, in hex.

    Label maps are not in it: they make frames, and what becomes of frames does not depend on them.
    """

    catalog: Catalog
    settings: Settings
    faults: FaultBook
    digest: str
    labelmaps: tuple[LabelMap, ...] = ()


def load_rules(directory: Path | None = None) -> Rules:
    """Read the rules of `directory`, and of the shipped ones each file that it does not hold.

    Raises ConfigError with every problem of every file, UsageError where there is no such directory.
    """
    texts = read_rules(directory)
    errors: list[ConfigError] = []
    rules = _parse(texts, errors, read_labelmaps(directory))
    if rules is None:
        raise joined(errors, "the shipped rules" if directory is None else str(directory))
    return rules


def check_rules(directory: Path | None = None) -> list[str]:
    """Return every problem of the rules, as `file: place: what`.

    Beside what `load_rules` refuses: runbooks that are missing or empty.
    """
    errors: list[ConfigError] = []
    texts, maps = _try(errors, read_rules, directory), _try(errors, read_labelmaps, directory)
    if texts is not None:
        _parse(texts, errors, maps or {})
        _try(errors, _check_runbooks, texts["faults.yaml"])
    return [f"{error.where}: {problem}" for error in errors for problem in error.problems]


def read_rules(directory: Path | None = None) -> dict[str, str]:
    """Return the text of each rules file by its name."""
    own = {} if directory is None else _own_texts(directory)
    return {name: own[name] if name in own else _text(shipped_rules() / name) for name in RULES_FILES}


def read_labelmaps(directory: Path | None = None) -> dict[str, str]:
    """Return the text of each label map by its file name: the shipped ones, and the operator's over them."""
    shipped = shipped_rules() / LABELMAPS
    found = {path.name: path for path in (shipped.iterdir() if shipped.is_dir() else ())}
    own = None if directory is None else directory / LABELMAPS
    if own is not None and own.is_dir():
        strangers = sorted(path.name for path in own.iterdir() if path.suffix != ".yaml")
        if strangers:
            problems = [f"{name}: no label map; they end in `.yaml`" for name in strangers]
            raise ConfigError(str(own), problems)
        found |= {path.name: path for path in own.iterdir()}
    return {name: _text(found[name]) for name in sorted(found)}


def shipped_rules() -> Traversable:
    """Return the directory of the shipped rules: in the wheel, or beside the package in a checkout."""
    packed = resources.files("monitor") / "_rules"
    return packed if packed.is_dir() else _checkout() / "rules"


def digest(texts: dict[str, str]) -> str:
    """Return what identifies rules: the SHA-256 over names and texts, in hex."""
    sha = hashlib.sha256()
    for name in sorted(texts):
        sha.update(f"{name}\0{texts[name]}\0".encode())
    return sha.hexdigest()


def _parse(texts: dict[str, str], errors: list[ConfigError], maps: dict[str, str]) -> Rules | None:
    metrics = _try(errors, Catalog.parse, texts["metrics.yaml"], "metrics.yaml")
    codes = _try(errors, Catalog.parse, "", "metrics.yaml", texts["xid.yaml"], "xid.yaml")
    faults = _try(errors, FaultBook.parse, texts["faults.yaml"], "faults.yaml")
    settings = _try(errors, Settings.parse, texts["settings.yaml"], "settings.yaml")
    labelmaps = [_try(errors, parse_labelmap, file, text, metrics) for file, text in sorted(maps.items())]
    good = tuple(labelmap for labelmap in labelmaps if labelmap is not None)
    if not metrics or not codes or not faults or not settings or len(good) < len(labelmaps):
        return None
    return Rules(replace(metrics, xid=codes.xid), settings, faults, digest(texts), good)


def _try(errors: list[ConfigError], read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
    try:
        return read(*args, **kwargs)
    except ConfigError as error:
        errors.append(error)
        return None


def _own_texts(directory: Path) -> dict[str, str]:
    known = ", ".join(f"`{name}`" for name in RULES_FILES)
    if not directory.is_dir():
        raise UsageError(f"{directory}: no such directory; rules are a directory with some of {known}")
    files = sorted(path for path in directory.iterdir() if path.suffix in {".yaml", ".yml"})
    strangers = [path.name for path in files if path.name not in RULES_FILES]
    if strangers:
        raise ConfigError(str(directory), [f"{name}: no rules file; they are {known}" for name in strangers])
    if not files and not (directory / LABELMAPS).is_dir():
        raise UsageError(f"{directory}: no rules file in it; they are {known}")
    return {path.name: _text(path) for path in files}


def _text(path: Traversable) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(path.name, [f"byte {error.start}: not UTF-8"]) from error
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error


def _check_runbooks(faults_text: str) -> None:
    """Raise ConfigError with the runbooks that on-call would miss; what else is wrong is said elsewhere."""
    faults = as_mapping(read_mapping(faults_text, []).get("faults"), "faults", [])
    problems = [
        f"faults.{name}.runbook: {problem}"
        for name, fault in faults.items()
        if isinstance(fault, dict)
        and (problem := _runbook_problem(runbook_at(str(fault.get("runbook", "")))))
    ]
    if problems:
        raise ConfigError("faults.yaml", problems)


def _runbook_problem(runbook: str) -> str:
    """Say what is wrong with a runbook. Files are looked for where the documentation is: in a checkout."""
    path = _checkout() / runbook
    if not runbook or "://" in runbook or not (_checkout() / "docs").is_dir():
        return ""
    if not path.is_file():
        return f"no file {runbook}; write it, or name another"
    return "" if path.read_text(encoding="utf-8").strip() else f"{runbook} is empty; write it"


def _checkout() -> Path:
    return Path(str(resources.files("monitor"))).parent
