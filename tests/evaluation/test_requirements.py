"""Bounds on figures."""

import pytest

from binsight.errors import DatasetError
from binsight.evaluation.measures import ALIASES, MEASURES, known_names, measure_of
from binsight.evaluation.requirements import check_requirements, parse_requirement
from binsight.probability.intervals import Interval

CLASSES = ("red", "green")


def _value(value):
    return Interval(value, value, value)


@pytest.mark.parametrize(
    ("text", "name", "is_minimum", "bound"),
    [
        ("accuracy=0.9", "accuracy", True, 0.9),
        ("ece=0.02", "calibration_error", False, 0.02),
        ("ECE<=0.02", "calibration_error", False, 0.02),
        (" recall.red >= .95 ", "recall.red", True, 0.95),
        ("accuracy<=0.5", "accuracy", False, 0.5),
        ("engine_ms=20", "engine_ms", False, 20),
        ("f1=0.9", "macro_f1", True, 0.9),
        ("f1.green=0.9", "f1.green", True, 0.9),
    ],
)
def test_the_figure_says_which_way_is_better(text, name, is_minimum, bound):
    """`=` means at least for what should be high and at most for what should be low; a sign is taken as written."""
    found = parse_requirement(text, CLASSES)
    assert (found.name, found.is_minimum, found.bound) == (name, is_minimum, bound)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("acuracy=0.9", "no figure 'acuracy'; did you mean accuracy"),
        ("recall.rot=0.9", "did you mean recall.red"),
        ("zzz=1", "there are accuracy, balanced_accuracy"),
        ("accuracy", "expected a requirement such as accuracy=0.9"),
        ("accuracy=high", "expected a number after the sign, got 'high'"),
        ("accuracy=nan", "expected a number"),
        ("accuracy=inf", "expected a number"),
        ("=1", "expected a requirement such as"),
    ],
)
def test_slips_are_refused_with_a_hint(text, expected):
    """What cannot be understood is wrong use, not a missed requirement."""
    with pytest.raises(DatasetError) as raised:
        parse_requirement(text, CLASSES)
    assert expected in str(raised.value)


def test_bounds_are_kept_inclusively():
    """A value at the bound meets it."""
    values = {"accuracy": _value(0.9), "calibration_error": _value(0.02)}
    required = [parse_requirement(text, CLASSES) for text in ("accuracy=0.9", "ece=0.02", "accuracy=0.91", "ece=0.01")]
    assert [v.met for v in check_requirements(required, values)] == [True, True, False, False]


def test_what_was_not_measured_is_missed():
    """A requirement on unknown photos cannot be met without any."""
    (found,) = check_requirements([parse_requirement("unknown_auroc=0.9", CLASSES)], {})
    assert (found.met, found.value) == (False, None)
    assert str(found) == "unknown_auroc not measured, required >= 0.9"


def test_a_missed_one_is_described_with_value_and_bound():
    """One line says it all."""
    (found,) = check_requirements([parse_requirement("accuracy=0.9", CLASSES)], {"accuracy": _value(0.85)})
    assert str(found) == "accuracy is 0.85, required >= 0.9"


def test_every_name_has_a_measure():
    """Names, other names and those of classes all lead to one."""
    assert set(ALIASES.values()) <= set(MEASURES)
    for name in known_names(CLASSES):
        assert measure_of(name).name == name
