"""From lines to ticks: read, check, place in time, hold until the tick closes, notice who is silent.

The way of a line: `frames` (header, body) -> `verdict` (in time, late, dead; `clock` for recordings without
stamps) -> `partition` (`openticks`, `columns`, `rhythm`) -> one TickPart for each closed tick -> `merge` (the
site's side: all partitions become one Panel; `absence` decides who is silent and when we are blind).
"""
