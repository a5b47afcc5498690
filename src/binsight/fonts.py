"""Fonts for pictures with names in any script: those that are installed and have the letters."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from binsight.extras import needs_extra
from binsight.notes import Note

__all__ = ["find_fonts", "legible"]

_WORDS_SHOWN = 3


@contextmanager
def legible(texts: Iterable[str], *, tell: bool = True) -> Iterator[None]:
    """Within this, matplotlib draws with fonts that have the letters of `texts`.

    Args:
        texts: whatever is written into pictures and is not our own.
        tell: warn of letters that no font has.

    Raises:
        MissingExtraError: matplotlib is not installed.

    Warns:
        Note: no installed font has some of them; these are drawn as boxes.
    """
    with needs_extra("drawing plots", "data"):
        from matplotlib import rc_context, rcParams  # noqa: PLC0415 - matplotlib is an extra

    texts = list(texts)
    families, missing = find_fonts({letter for text in texts for letter in text})
    if missing and tell:
        words = list(dict.fromkeys(text for text in texts if missing & set(text)))
        more = f" and {len(words) - _WORDS_SHOWN} more" if len(words) > _WORDS_SHOWN else ""
        warnings.warn(
            f"no installed font has all letters of {', '.join(words[:_WORDS_SHOWN])}{more}: pictures show boxes "
            "instead; install one, such as Noto Sans for that script",
            Note,
            stacklevel=3,
        )
    with rc_context({"font.family": [*rcParams["font.family"], *families]}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from")  # said above, once
        yield


def find_fonts(letters: Iterable[str]) -> tuple[list[str], set[str]]:
    """The families that together have the letters that matplotlib's own font lacks, and the letters that none has.

    Fonts that were installed after matplotlib last looked for them are found too.
    """
    from matplotlib import font_manager  # noqa: PLC0415
    from matplotlib.ft2font import FT2Font  # noqa: PLC0415

    own = FT2Font(font_manager.findfont(font_manager.FontProperties())).get_charmap()
    missing = {c for c in letters if c.isprintable() and ord(c) not in own}
    if not missing:
        return [], missing
    fonts = list(_installed_fonts())
    families: list[str] = []
    while missing and fonts:
        # Of equals a plain sans-serif; a font for a script has its vowel signs too, which another may lack.
        path, family, has = max(fonts, key=lambda font: (len(missing & font[2]), "Sans" in font[1], font[0]))
        if not missing & has:
            break
        if path not in {entry.fname for entry in font_manager.fontManager.ttflist}:
            font_manager.fontManager.addfont(path)
        families.append(family)
        missing -= has
    return families, missing


def _installed_fonts() -> Iterator[tuple[str, str, set[str]]]:
    """Path, family and letters of every upright font of ordinary weight that can be drawn with."""
    from matplotlib import font_manager  # noqa: PLC0415
    from matplotlib.ft2font import FT2Font  # noqa: PLC0415

    for path in font_manager.findSystemFonts():
        try:
            font = FT2Font(path)
        except (OSError, RuntimeError):  # a damaged file, or a format that is not understood
            continue
        if font.scalable and font.style_name in {"Regular", "Book", "Normal", "Roman", "Medium"}:
            yield path, font.family_name, set(map(chr, font.get_charmap()))
