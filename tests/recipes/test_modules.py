"""Recipes are run once in months: what they import has to be there all the same."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

RECIPES = sorted((Path(__file__).parents[2] / "recipes").rglob("*.py"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_finds_what_it_imports(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what it takes from this package."""
    siblings = {other.stem for other in path.parent.glob("*.py")}
    monkeypatch.syspath_prepend(path.parent)
    try:
        importlib.import_module(path.stem)
    finally:
        for name in siblings:
            sys.modules.pop(name, None)
