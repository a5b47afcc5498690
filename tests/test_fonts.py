"""Names in any script in pictures: fonts that are installed are found, what none has is told once."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("matplotlib")

import numpy as np
from matplotlib import font_manager, rcParams
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font

from binsight.fonts import find_fonts, legible
from binsight.notes import Note

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _draw(text: str) -> NDArray[np.uint8]:
    figure, stream = Figure(figsize=(2, 1)), io.BytesIO()
    figure.text(0.1, 0.5, text)
    figure.savefig(stream, format="raw")
    return np.frombuffer(stream.getvalue(), np.uint8)


def test_own_font_suffices() -> None:
    """For letters that matplotlib's own font has, no other is looked for."""
    assert find_fonts("Bottle, Straße, Бутылка, Μπουκάλι") == ([], set())


def test_installed_font_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A font that has the letters is taken by its family, though matplotlib has not seen it yet."""
    own = Path(font_manager.findfont("STIXGeneral"))  # comes with matplotlib
    (tmp_path / "other.ttf").write_bytes(own.read_bytes())
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    letter = min(set(map(chr, FT2Font(own).get_charmap())) - _letters_of_default() - {"\xad"}, key=_is_strange)
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(p) for p in sorted(tmp_path.iterdir())])
    assert find_fonts(f"a{letter}\U0010fffd") == (["STIXGeneral"], set())
    plain = _with_boxes(letter)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with legible([letter]):
            assert not np.array_equal(_draw(letter), plain)


def _letters_of_default() -> set[str]:
    return set(map(chr, FT2Font(font_manager.findfont(font_manager.FontProperties())).get_charmap()))


def _is_strange(letter: str) -> tuple[bool, str]:
    return not letter.isprintable(), letter


def _with_boxes(text: str) -> NDArray[np.uint8]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _draw(text)


def test_letters_that_no_font_has_are_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One warning names the words; drawing adds none of matplotlib's."""
    monkeypatch.setattr(font_manager, "findSystemFonts", list)
    names = ["can", "พลาสติก", "玻璃"]
    told_of = "no installed font has all letters of พลาสติก, 玻璃: "
    with pytest.warns(Note, match=told_of) as told, legible(names):
        _draw(" ".join(names))
    assert len(told) == 1


def test_fonts_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the block matplotlib draws as before."""
    monkeypatch.setattr(font_manager, "findSystemFonts", list)
    before = rcParams["font.family"]
    with legible(["玻璃"], tell=False):
        pass
    assert rcParams["font.family"] == before
