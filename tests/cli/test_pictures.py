"""Pictures are written whole or not at all."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from binsight.cli.pictures import write_picture
from binsight.errors import OutputError

if TYPE_CHECKING:
    from pathlib import Path

PICTURE = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)


@pytest.mark.parametrize("name", ["x.png", "new/deep/x.png", "x" * 251 + ".png"])
def test_pixels_come_back(tmp_path: Path, name: str) -> None:
    """The written PNG has the pixels that were given; missing folders are made; the longest names are fine."""
    write_picture(tmp_path / name, PICTURE)
    with Image.open(tmp_path / name) as picture:
        np.testing.assert_array_equal(np.asarray(picture), PICTURE)


def test_existing_file_is_replaced(tmp_path: Path) -> None:
    """A second run's picture takes the place of the first's, and no temporary file stays."""
    for shade in (1, 2):
        write_picture(tmp_path / "x.png", np.full((2, 2, 3), shade, np.uint8))
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.getpixel((0, 0)) == (2, 2, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


@pytest.mark.parametrize("name", ["file/x.png", "file/deep/x.png", "folder.png", "x" * 300 + ".png"])
def test_place_that_cannot_be_is_an_output_error(tmp_path: Path, name: str) -> None:
    """A path below a file, of a folder, or too long gives an error that names it, and leaves no temporary file."""
    (tmp_path / "file").touch()
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(OutputError, match="cannot write "):
        write_picture(tmp_path / name, PICTURE)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder.png"]


def test_full_disk_leaves_the_old_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full midway, the old picture is as it was and no temporary file stays."""
    write_picture(tmp_path / "x.png", PICTURE)
    before = (tmp_path / "x.png").read_bytes()

    def sync(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", sync)
    with pytest.raises(OutputError, match=r"cannot write .*x\.png: no space left on its disk"):
        write_picture(tmp_path / "x.png", PICTURE[::-1])
    assert (tmp_path / "x.png").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1
