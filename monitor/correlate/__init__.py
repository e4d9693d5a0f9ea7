"""Correlation is explanation: many signals, few causes (docs/architecture.md).

    signals -> cells -> evidence -> hypotheses -> search -> explanations -> incidents -> transitions

observe     what a tick brings                   search        the cheapest set of causes
faults      rules/faults.yaml as records         explain       belief among causes, and words
relations   who is beneath, beside, above whom   decide        why it pages, or does not
cells       signals by entity, family and sign   cases         one incident and its life
evidence    hot, quiet, silent, unknown          matching      which explanation continues which incident
hypotheses  scored causes and what they cover    stage         the step, in order, and its state
"""

from monitor.correlate.faults import FaultBook
from monitor.correlate.observe import CorrelateResult, Observation
from monitor.correlate.stage import CorrelateStage

__all__ = ["CorrelateResult", "CorrelateStage", "FaultBook", "Observation"]
