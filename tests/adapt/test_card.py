"""The card of a model that was taught a camera."""

from __future__ import annotations

import pytest

from binsight.adapt.card import _without_front_matter


@pytest.mark.parametrize(
    ("card", "kept"),
    [
        ("---\nlicense: other\n---\n\n# Model card\n\n---\nrest", "# Model card\n\n---\nrest"),
        ("# Model card\n\n---\n\nrest", "# Model card\n\n---\n\nrest"),
        ("---\nno end", "---\nno end"),
    ],
)
def test_figures_that_hubs_read_are_not_carried_over(card, kept):
    """They are those of the model before; a line of hyphens in the card itself stays."""
    assert _without_front_matter(card) == kept
