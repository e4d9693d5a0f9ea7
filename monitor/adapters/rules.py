"""Find and read the rules files: the operator's own directory, else the shipped ones."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.catalog import Catalog
from monitor.config.reading import joined
from monitor.config.settings import Settings
from monitor.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

RULES_FILES = ("faults.yaml", "metrics.yaml", "settings.yaml", "xid.yaml")


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one run. `digest` is the SHA-256 over the names and bytes of the files, in hex."""

    catalog: Catalog
    settings: Settings
    faults_text: str
    digest: str


def load_rules(directory: Path | None = None) -> Rules:
    """Read the rules of `directory`, and of the shipped ones each file that it does not hold.

    Raises ConfigError with every problem of every file, UsageError where there is no such directory.
    """
    texts = read_rules(directory)
    errors = []
    catalog = settings = None
    try:
        catalog = Catalog.parse(texts["metrics.yaml"], "metrics.yaml", texts["xid.yaml"], "xid.yaml")
    except ConfigError as error:
        errors.append(error)
    try:
        settings = Settings.parse(texts["settings.yaml"], "settings.yaml")
    except ConfigError as error:
        errors.append(error)
    if catalog is None or settings is None:
        raise joined(errors, str(directory or "the shipped rules"))
    return Rules(catalog, settings, texts["faults.yaml"], digest(texts))


def read_rules(directory: Path | None = None) -> dict[str, str]:
    """Return the text of each rules file by its name."""
    own = {} if directory is None else _own_texts(directory)
    return {name: own[name] if name in own else _shipped_text(name) for name in RULES_FILES}


def shipped_rules() -> Traversable:
    """Return the directory of the shipped rules: in the wheel, or beside the package in a checkout."""
    package = resources.files("monitor")
    packed = package / "_rules"
    return packed if packed.is_dir() else Path(str(package)).parent / "rules"


def digest(texts: dict[str, str]) -> str:
    """Return what identifies rules: the SHA-256 over names and texts, in hex."""
    sha = hashlib.sha256()
    for name in sorted(texts):
        sha.update(f"{name}\0{texts[name]}\0".encode())
    return sha.hexdigest()


def _own_texts(directory: Path) -> dict[str, str]:
    if not directory.is_dir():
        raise UsageError(f"{directory}: no such directory; --rules wants one with {', '.join(RULES_FILES)}")
    files = sorted(path for path in directory.iterdir() if path.suffix in {".yaml", ".yml"})
    strangers = [path.name for path in files if path.name not in RULES_FILES]
    if strangers:
        known = ", ".join(RULES_FILES)
        raise ConfigError(
            str(directory), [f"{name}: not a rules file; known are {known}" for name in strangers]
        )
    if not files:
        raise UsageError(f"{directory}: holds no rules file; known are {', '.join(RULES_FILES)}")
    return {path.name: _text(path) for path in files}


def _shipped_text(name: str) -> str:
    return _text(shipped_rules() / name)


def _text(path: Traversable) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(path.name, [f"byte {error.start}: not UTF-8"]) from error
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
