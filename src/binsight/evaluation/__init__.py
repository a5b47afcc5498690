"""How good a model is, and how far it can be trusted: metrics with intervals, calibration, review thresholds."""
