"""Windows as Arrow tables, in the order of the columns of their tier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.cells import SeriesNames, Windows


class ArrowWindows:
    """Makes tables; names are made into dictionaries once, as long as they stay the same."""

    def __init__(self) -> None:
        self._names: SeriesNames | None = None
        self._words: dict[str, tuple[Any, Any]] = {}

    def table(self, parts: Sequence[Windows], *, late: bool = False) -> Any:
        """Return windows as one table, with the column `late` where the tier has it."""
        import pyarrow as pa

        return pa.concat_tables([self._one(part, late=late) for part in parts]).unify_dictionaries()

    def _one(self, part: Windows, *, late: bool) -> Any:
        import pyarrow as pa

        self._know(part.names)
        metric = part.names.metric[part.row]
        columns = {
            "ts": (part.start // 1000).astype(np.uint32),
            "kind": self._named("kind", metric),
            "entity": self._named("entity", part.names.entity[part.row]),
            "metric": self._named("metric", metric),
            "count": part.count.astype(np.uint32),
            "mean": part.mean,
            "m2": part.m2,
            "min": part.min.astype(np.float32),
            "max": part.max.astype(np.float32),
            "last": part.last.astype(np.float32),
            "anomalous": part.anomalous.astype(np.uint32),
        }
        if late:
            columns["late"] = np.full(len(part.row), part.late, np.uint8)
        return pa.table(columns)

    def _named(self, column: str, numbers: Any) -> Any:
        import pyarrow as pa

        codes, words = self._words[column]
        return pa.DictionaryArray.from_arrays(pa.array(numbers if codes is None else codes[numbers]), words)

    def _know(self, names: SeriesNames) -> None:
        known = self._names
        if known is not None and known.entities is names.entities and known.metrics is names.metrics:
            return
        self._names = names
        self._words = {
            "entity": _words(names.entities),
            "kind": _words([kind for kind, _ in names.metrics]),
            "metric": _words([metric for _, metric in names.metrics]),
        }


def packed(table: Any) -> bytes:
    """Return a table as a compressed Arrow file."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_file(sink, table.schema, options=options) as writer:
        writer.write(table)
    return bytes(sink.getvalue().to_pybytes())


def _words(names: list[str]) -> tuple[Any, Any]:
    """Return the distinct names, and for each name its number among them (None: its own)."""
    import pyarrow as pa

    distinct = {name: number for number, name in enumerate(dict.fromkeys(names))}
    codes = None if len(distinct) == len(names) else np.array([distinct[name] for name in names], np.int32)
    return codes, pa.array(list(distinct), pa.string())
