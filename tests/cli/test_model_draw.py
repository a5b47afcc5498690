"""`binsight model draw`: a picture of a network in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import RunBinsight


def test_model_in_the_package(binsight: RunBinsight, tmp_path: Path) -> None:
    """The shipped model is drawn, and the name of the picture printed."""
    out = tmp_path / "new" / "network.svg"
    run = binsight("model", "draw", "waste8", "--out", out)
    assert (run.code, run.out, run.err) == (0, f"{out}\n", "")
    assert b"metal cans" in out.read_bytes()
    assert [path.name for path in out.parent.iterdir()] == ["network.svg"]


def test_model_of_the_environment(binsight: RunBinsight, tmp_path: Path) -> None:
    """Without options, the model that the other commands use is drawn; the picture may replace another."""
    out = tmp_path / "network.PNG"
    out.write_bytes(b"old")
    assert binsight("model", "draw", "--out", out).code == 0
    assert out.read_bytes().startswith(b"\x89PNG")


def test_backbone(binsight: RunBinsight, tmp_path: Path) -> None:
    """A backbone is drawn without its weights."""
    out = tmp_path / "lite1.svg"
    run = binsight("model", "draw", "--backbone", "efficientnet_lite1", "--out", out)
    assert (run.code, run.out) == (0, f"{out}\n")
    assert b"240" in out.read_bytes()


@pytest.mark.parametrize("name", ["network.pdf", "network"])
def test_other_formats_are_refused(binsight: RunBinsight, tmp_path: Path, name: str) -> None:
    """Another ending than .png or .svg is refused before anything is read."""
    run = binsight("model", "draw", "--model", "none", "--out", tmp_path / name)
    assert run.code == 2
    assert "expected a name that ends in .png or .svg" in run.err


def test_unknown_backbone(binsight: RunBinsight, tmp_path: Path) -> None:
    """A misspelt name is refused in one line."""
    run = binsight("model", "draw", "--backbone", "xcepton", "--out", tmp_path / "x.png")
    assert (run.code, run.out) == (2, "")
    assert run.err == "binsight: no backbone 'xcepton'; did you mean xception?\n"
