"""Pictures of networks: they are pictures, the same each time, with the words that they should have."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree as ET

import pytest
from PIL import Image
from tests.tiny_bundle import tiny_model

from binsight.training.architecture.drawing import draw_architecture
from binsight.training.architecture.graph import describe_graph
from binsight.training.architecture.layers import Architecture, LayerSummary

NETWORK = Architecture(
    "tiny",
    (64, 64),
    (
        LayerSummary("stem", "convolution", (32, 32, 16), 448, 0, 442_368),
        LayerSummary("wide", "depthwise", (16, 16, 16), 160, 0, 36_864),
        LayerSummary("narrow", "pointwise", (16, 16, 24), 408, 0, 98_304),
        LayerSummary("sum", "addition", (16, 16, 24)),
        LayerSummary("mean", "pooling", (1, 1, 24)),
        LayerSummary("hidden", "dense", (1, 1, 10), 250, 0, 240),
        LayerSummary("logits", "dense", (1, 1, 3), 33, 0, 30),
    ),
    (("logits", (3,)), ("attention", (16, 16, 3)), ("unfamiliarity", (1,))),
)


def words(svg: bytes) -> str:
    """Return the text of a picture; matplotlib keeps it in comments beside the outlines of its letters."""
    return "\n".join(re.findall(r"<!-- (.*?) -->", svg.decode()))


def test_png_is_a_picture() -> None:
    """A PNG of 15 inches at 150 dots, which is not empty."""
    with Image.open(io.BytesIO(draw_architecture(NETWORK, title="Tiny"))) as picture:
        assert picture.format == "PNG"
        assert picture.width == 2250
        assert len(picture.convert("RGB").getcolors(1 << 22)) > 50


def test_svg_says_what_is_there() -> None:
    """An SVG is well-formed and has title, totals, stages, kinds of layers, inner layer, heads and classes."""
    svg = draw_architecture(NETWORK, title="Tiny 1.0", classes=("red", "green_ish", "blue"), file_format="svg")
    assert ET.fromstring(svg).tag.endswith("svg")  # noqa: S314 - our own
    for text in (
        *("Tiny 1.0", "1.30 k parameters", "578 k multiplications", "1/2", "1/4", "up to 24 channels", "1 shortcut"),
        *("2 layers", "depthwise convolution", "24 features", "10 units", "3 logits", "red, green ish", "heat map"),
    ):
        assert text in words(svg)
    assert "biodegradable?" not in words(svg)


def test_many_classes_are_cut() -> None:
    """Of many classes some are named and the others counted."""
    svg = draw_architecture(NETWORK, title="", classes=[f"class{i}" for i in range(12)], file_format="svg")
    assert "class8, and 3 more" in words(svg)


@pytest.mark.parametrize("file_format", ["png", "svg"])
def test_pictures_are_the_same_each_time(file_format: str) -> None:
    """The same network gives the same bytes."""
    first, second = (draw_architecture(NETWORK, title="Tiny", file_format=file_format) for _ in range(2))
    assert first == second


def test_network_without_stages() -> None:
    """A network without convolutions is drawn without stages."""
    svg = draw_architecture(describe_graph(tiny_model(), "tiny"), title="tiny", file_format="svg")
    assert "over the places" in words(svg)
    assert "1/2" not in words(svg)
