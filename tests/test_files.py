"""Files are written whole or not at all, and an error names the file that was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from binsight.errors import OutputError
from binsight.files import write_whole

if TYPE_CHECKING:
    from pathlib import Path


def test_text_and_bytes(tmp_path: Path) -> None:
    """Missing folders are made; a name in a text that is no UTF-8 is written with escapes."""
    write_whole(tmp_path / "new" / "a", b"\xff")
    write_whole(tmp_path / "new" / "b", "a\udcff")
    assert [path.read_bytes() for path in sorted((tmp_path / "new").iterdir())] == [b"\xff", b"a\\udcff"]


@pytest.mark.parametrize("name", ["file/x", "file/deep/x"])
def test_place_below_a_file(tmp_path: Path, name: str) -> None:
    """The message has the path that was asked for, not that of a draft, and says what is wrong."""
    (tmp_path / "file").touch()
    with pytest.raises(OutputError) as raised:
        write_whole(tmp_path / name, b"")
    assert str(raised.value).startswith(f"cannot write {tmp_path / name}: ")
    assert "expected a folder" in str(raised.value)


def test_existing_file(tmp_path: Path) -> None:
    """Replaced, unless that is not wanted."""
    write_whole(tmp_path / "x", b"1")
    with pytest.raises(OutputError, match="exists; pass --overwrite"):
        write_whole(tmp_path / "x", b"2", overwrite=False)
    write_whole(tmp_path / "x", b"3")
    assert (tmp_path / "x").read_bytes() == b"3"
