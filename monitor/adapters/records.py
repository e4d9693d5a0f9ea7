"""Records of earlier runs, read from their NDJSON files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from monitor.adapters.lines import LineFile
from monitor.adapters.rotation import parts
from monitor.correlate.observe import Decision
from monitor.errors import UsageError
from monitor.types import DeadLetter, Incident

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Record = TypeVar("Record", bound=msgspec.Struct)


def read_records(path: Path, of: type[Record], *, torn: bool = False) -> Iterator[Record]:
    """Yield the records of an NDJSON file, those put aside first. Raises UsageError where a line is none.

    torn: the file is being written, so a last line may be half there.
    """
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(of)
    for part in parts(path):
        for _, number, line in LineFile(part).read():
            if line.isspace() or (torn and not line.endswith(b"\n")):
                continue
            try:
                yield decoder.decode(line)
            except msgspec.MsgspecError as error:
                what = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", of.__name__).lower()
                raise UsageError(f"{part}, line {number}: no {what} record ({error})") from error


def transitions(path: Path) -> Iterator[Incident]:
    """Yield every line of an incidents file, in order."""
    return read_records(path, Incident)


def standing(transitions_: Iterable[Incident]) -> list[Incident]:
    """Return each (id, episode) as it stands at the end, in order of detection."""
    last = {(incident.id, incident.episode): incident for incident in transitions_}
    return sorted(last.values(), key=lambda incident: (incident.detected_at, incident.id, incident.episode))


def dead_letters(path: Path, *, torn: bool = False) -> Iterator[DeadLetter]:
    """Yield the dead letters of a file, which may be being written (`torn`)."""
    return read_records(path, DeadLetter, torn=torn)


def decisions(path: Path, *, torn: bool = False) -> list[Decision]:
    """Return why things paged or did not, in the order in which it was decided."""
    if not path.exists():
        raise UsageError(f"{path}: no decisions there; name the replay's state directory with --state")
    return list(read_records(path, Decision, torn=torn))
