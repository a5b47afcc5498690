"""How good a model is, and how far it can be trusted: metrics with intervals, calibration, review thresholds.

`evaluate_bundle` measures a bundle on a `LabelledSet`; `write_report` makes one HTML file of what it found.
"""

from binsight.evaluation.evaluate import EvaluationSettings, evaluate_bundle
from binsight.evaluation.labelled import LabelledSet
from binsight.evaluation.report import render_report, write_report
from binsight.evaluation.results import Evaluation

__all__ = ["Evaluation", "EvaluationSettings", "LabelledSet", "evaluate_bundle", "render_report", "write_report"]
