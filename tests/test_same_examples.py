"""Hypothesis tries the same examples whatever else was loaded before."""

import importlib
import sys

from hypothesis import given
from hypothesis import strategies as st


def draw():
    """What a test of its own is given, example by example."""
    given_so_far = []

    @given(st.integers(), st.floats(), st.text(), st.binary())
    def collect(number, fraction, words, octets):
        given_so_far.append(repr((number, fraction, words, octets)))

    collect()
    return given_so_far


def test_a_module_that_is_loaded_changes_no_example(tmp_path, monkeypatch):
    """Its constants would be drawn, if Hypothesis had read them."""
    before = draw()
    numbers = ", ".join(str(7_654_321 + n) for n in range(200))
    (tmp_path / "peculiar_numbers.py").write_text(f"NUMBERS = [{numbers}]\nTEXT, FLOAT = 'peculiar words', 12345.678\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("peculiar_numbers")
    after = draw()
    del sys.modules["peculiar_numbers"]
    assert after == before
