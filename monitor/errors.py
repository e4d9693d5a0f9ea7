"""Errors, branched by what the caller will do about them.

    MonitorError              the operator is told; the exit code says which kind
    |-- UsageError            exit 2: a bad option, file or configuration; nothing was done
    |   |-- ConfigError       a rules or configuration file; `problems` lists every one with its place
    |   |-- TopologyError     the topology file; likewise
    |   `-- StoreRefusedError  a store that holds something else, or has another schema
    `-- WorkError             exit 1: the work itself failed part way; what was durable stays so
        |-- StateError        a state directory that does not belong to this input
        |-- BusyError         another process has it; stop that one, or ask it
        |-- JournalError      the journal cannot be written; nothing of what was given is accepted
        `-- StoreError        a store that cannot be opened, written or read
            `-- StoreBusyError  another process has it open; later it may work

Bad telemetry is no exception: a frame that cannot be read is a dead letter (monitor/ingest/frames.py).
"""

from __future__ import annotations

import errno


class MonitorError(Exception):
    """Anything the operator is told in one line."""

    exit_code = 1


class UsageError(MonitorError):
    """A bad option, file or configuration; nothing was done."""

    exit_code = 2


SHOWN = 20


class ConfigError(UsageError):
    """A configuration or rules file that cannot be used, with every problem and its place.

    As a text it names the first 20.

    >>> print(ConfigError("rules/metrics.yaml", ["`gpu_temp`: unknown unit `k`"]))
    rules/metrics.yaml: 1 problem
      `gpu_temp`: unknown unit `k`
    """

    def __init__(self, where: str, problems: list[str]) -> None:
        self.where = where
        self.problems = problems
        count = f"{len(problems):,} problem" + ("s" if len(problems) != 1 else "")
        more = [f"and {len(problems) - SHOWN:,} more"] if len(problems) > SHOWN else []
        super().__init__("\n  ".join([f"{where}: {count}", *problems[:SHOWN], *more]))


class TopologyError(ConfigError):
    """A topology that cannot be used; each problem names its line."""


class WorkError(MonitorError):
    """The work failed part way; what was durable stays so."""


class StateError(WorkError):
    """A state directory that does not belong to this input."""


class BusyError(WorkError):
    """Another process has the state directory."""


class JournalError(WorkError):
    """The journal cannot be written; `number` is the system's error number."""

    def __init__(self, text: str, number: int) -> None:
        super().__init__(text)
        self.number = number

    @property
    def full(self) -> bool:
        """Whether there is no room."""
        return self.number in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class StoreRefusedError(UsageError):
    """A store that holds something else than what it was named for, or has another schema."""


class StoreError(WorkError):
    """A store that cannot be opened, written or read; what was durable stays so."""


class StoreBusyError(StoreError):
    """Another process has the store open."""
