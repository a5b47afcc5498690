"""Stages of a network, and numbers as people write them."""

from __future__ import annotations

import pytest

from binsight.training.architecture.layers import (
    Architecture,
    LayerSummary,
    Stage,
    group_stages,
    join_rows,
    reduction,
    shorten,
)


def test_stages_by_hand() -> None:
    """Layers are grouped by the size of what comes out, even where a shortcut is computed early; gates stay inside."""
    layers = [
        LayerSummary("stem", "convolution", (8, 8, 4), 10, 10, 100),
        LayerSummary("norm", "other", (8, 8, 4), 1, 1),
        LayerSummary("shortcut", "pointwise", (4, 4, 16), 20, 0, 200),
        LayerSummary("late", "depthwise", (8, 8, 6), 30, 30, 300),
        LayerSummary("gate", "gate", (1, 1, 99), 40, 40, 4),
        LayerSummary("pool", "pooling", (4, 4, 6)),
        LayerSummary("sum", "addition", (4, 4, 16)),
    ]
    assert group_stages(layers, 16) == [
        Stage(2, (8, 8, 6), layers=3, additions=0, parameters=81, trainable=81, macs=404),
        Stage(4, (4, 4, 16), layers=2, additions=1, parameters=20, trainable=0, macs=200),
    ]
    whole = Architecture("tiny", (16, 16), tuple(layers))
    assert (whole.parameters, whole.macs) == (101, 604)


@pytest.mark.parametrize(
    ("height", "place", "expected"),
    [(299, 149, 2), (299, 147, 2), (299, 19, 16), (299, 10, 32), (224, 7, 32), (8, 8, 1)],
)
def test_reduction_is_the_nearest_power_of_two(height: int, place: int, expected: int) -> None:
    """Convolutions without padding lose edges, which do not make another stage."""
    assert reduction(height, LayerSummary("any", "convolution", (place, place, 1))) == expected


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (42, "42"),
        (999, "999"),
        (1000, "1.00 k"),
        (999_499, "999 k"),
        (999_501, "1.00 M"),
        (3_371_008, "3.37 M"),
        (384e6, "384 M"),
        (8.36e9, "8.36 G"),
    ],
)
def test_numbers_have_three_digits(number: float, text: str) -> None:
    """Counts are shortened to three digits and a unit."""
    assert shorten(number) == text


def test_rows_are_aligned() -> None:
    """The first column is flush left, the others flush right, and no line ends in spaces."""
    assert join_rows([("", "a"), ("long", ""), ("x", "12345")]) == "          a\nlong\nx     12345"
