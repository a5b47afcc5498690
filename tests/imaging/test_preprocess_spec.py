"""A preprocessing specification says what is wrong with it, and survives JSON."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from binsight.errors import SpecError
from binsight.imaging import PreprocessSpec

PROFILE = settings(derandomize=True, database=None, deadline=None, max_examples=100)

finite = st.floats(-1e6, 1e6)
specs = st.builds(
    PreprocessSpec,
    size=st.tuples(st.integers(1, 4096), st.integers(1, 4096)),
    fit=st.sampled_from(["stretch", "crop", "letterbox"]),
    crop_fraction=st.floats(0.05, 1),
    filter=st.sampled_from(["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]),
    pad_value=st.integers(0, 255),
    mean=st.tuples(finite, finite, finite),
    scale=st.tuples(finite, finite, finite),
    channel_order=st.sampled_from(["rgb", "bgr"]),
)


def test_defaults():
    """By default a picture is stretched with a bicubic filter and brought to about -1 to 1."""
    assert PreprocessSpec((224, 160)).to_dict() == {
        "size": [224, 160],
        "fit": "stretch",
        "crop_fraction": 1.0,
        "filter": "bicubic",
        "pad_value": 127,
        "mean": [127.0, 127.0, 127.0],
        "scale": [0.0078125, 0.0078125, 0.0078125],
        "channel_order": "rgb",
    }


def test_all_faults_together():
    """Every fault is reported at once, with what came."""
    with pytest.raises(SpecError) as caught:
        PreprocessSpec(
            (0, 224),
            fit="squeeze",
            crop_fraction=0,
            filter="cubic",
            pad_value=256,
            mean=(1, 2),
            scale=(1, 2, math.nan),
            channel_order="gbr",
        )
    message = str(caught.value)
    assert message.startswith("preprocess: size must be two whole numbers from 1 to 4096, got (0, 224); ")
    assert "fit must be one of stretch, crop, letterbox, got 'squeeze'" in message
    assert "crop_fraction must be in [0.05, 1], got 0" in message
    assert "filter must be one of nearest, box, bilinear, hamming, bicubic, lanczos, got 'cubic'" in message
    assert "pad_value must be a whole number from 0 to 255, got 256" in message
    assert "mean must be three finite" in message
    assert "scale must be three finite" in message
    assert "channel_order must be one of rgb, bgr, got 'gbr'" in message


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("size", [None, 224, "224", (224,), (224, 224, 3), (4097, 1), (-1, 1), (1.0, 1), (True, 1), [224, 224]]),
        ("fit", [None, "", "CROP", 1, [], ("crop",)]),
        ("crop_fraction", [None, "1", 0.049, 1.001, -1, math.nan, math.inf, True, 10**400]),
        ("filter", [None, "Bicubic", 3, {}]),
        ("pad_value", [None, -1, 256, 127.0, "127", True, (127,), 10**400]),
        ("mean", [None, 127, (1, 2), (1, 2, 3, 4), ("1", 2, 3), (1, 2, math.inf), (1, 2, None), (0, 0, 10**400)]),
        ("scale", [(1, 2, math.nan), (True, 1, 1), "abc", (1e39, 1, 1), (0, 0, -(10**400))]),
        ("channel_order", [None, "RGB", "rgba", 0]),
    ],
)
def test_wrong_values(key, values):
    """A value of a wrong type or out of its range is refused, with its key."""
    for value in values:
        with pytest.raises(SpecError, match=f"^preprocess: {key} must be [^;]*$"):
            PreprocessSpec(**{"size": (8, 8), key: value})


@given(specs)
@PROFILE
def test_round_trip(spec):
    """A specification survives JSON."""
    assert PreprocessSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_missing_unknown_and_wrong_together():
    """Missing keys, unknown keys and wrong values are reported at once."""
    data = PreprocessSpec((8, 8)).to_dict() | {"pad_value": -1, "colour": "rgb", "zoom": 1}
    del data["fit"], data["mean"]
    with pytest.raises(SpecError) as caught:
        PreprocessSpec.from_dict(data)
    message = str(caught.value)
    assert message.startswith("preprocess: missing fit; missing mean; unknown key colour; unknown key zoom; pad_value")


@given(
    st.dictionaries(
        st.sampled_from([*PreprocessSpec((8, 8)).to_dict(), "x"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
            lambda inner: st.lists(inner, max_size=3),
        ),
    )
)
@PROFILE
def test_any_json(data):
    """Plain data of any kind become a specification or a `SpecError`."""
    assert isinstance(_spec_or_error(data), (PreprocessSpec, SpecError))


def _spec_or_error(data):
    try:
        return PreprocessSpec.from_dict(data)
    except SpecError as error:
        return error
