"""Incidents scored against what is known to have been wrong (contract: Truth, `monitor evaluate`).

    report = evaluate(truth, incidents)
    judge(report, {"recall": 0.95, "false_pages": 1})  # [] when every need is met

records   truth, incidents as far as they matter here, and the report
match     which page belongs to which fault
score     the figures, pooled over runs, judged
"""

from monitor.evaluate.records import FalsePage, FaultRow, Figures, Report, Truth
from monitor.evaluate.score import evaluate, judge, pool

__all__ = ["FalsePage", "FaultRow", "Figures", "Report", "Truth", "evaluate", "judge", "pool"]
