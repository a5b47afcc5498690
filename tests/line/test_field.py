"""The field: pixels and millimetres."""

import pytest

from binsight.errors import SettingsError
from binsight.line.field import DIRECTIONS, Field
from binsight.line.records import Box


@pytest.mark.parametrize(
    ("direction", "along", "across"),
    [
        ("right", (40.0, 80.0), (20.0, 60.0)),
        ("left", (120.0, 160.0), (20.0, 60.0)),
        ("down", (20.0, 60.0), (40.0, 80.0)),
        ("up", (40.0, 80.0), (40.0, 80.0)),
    ],
)
def test_millimetres_count_from_where_pieces_come_in(direction, along, across):
    """By hand: 100 x 50 pixels, 2 mm each."""
    length = 200.0 if direction in {"right", "left"} else 100.0
    field = Field.of((50, 100), direction=direction, field_mm=length)
    box = Box(20, 10, 40, 30)
    assert field.mm_per_pixel == 2.0
    assert field.along(box) == along
    assert field.across(box) == across


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_box_comes_back_from_millimetres(direction):
    """A box comes back from millimetres."""
    field = Field.of((480, 640), region=(0.1, 0.2, 0.9, 0.7), direction=direction, field_mm=512)
    box = Box(100, 120, 180, 200)
    back = field.box(field.along(box), field.across(box))
    assert (back.left, back.top, back.right, back.bottom) == pytest.approx((100, 120, 180, 200))


def test_the_region_is_a_share_of_the_picture():
    """The region is a share of the picture."""
    field = Field.of((100, 200), region=(0.0, 0.1, 1.0, 0.9), field_mm=600)
    assert (field.left, field.top, field.right, field.bottom) == (0, 10, 200, 90)
    assert field.length_mm == 600
    assert field.width_mm == 240


@pytest.mark.parametrize(
    "settings",
    [
        {"region": (0.5, 0, 0.4, 1)},
        {"region": (0, 0, 1.1, 1)},
        {"region": (0, 0, 0.01, 1)},
        {"direction": "north"},
        {"field_mm": 0},
        {"field_mm": float("nan")},
    ],
)
def test_settings_out_of_range_are_refused(settings):
    """Settings out of range are refused."""
    with pytest.raises(SettingsError, match="expected"):
        Field.of((100, 100), **settings)
