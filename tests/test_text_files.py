"""Text as people's programs write it."""

from __future__ import annotations

import os

import pytest

from binsight.errors import InputError
from binsight.text_files import read_text

TEXT = "name = 'कील, Métal'\r\n# second line\r\n"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"], ids=["plain", "with a mark", "UTF-16", "UTF-32"]
)
def test_encodings(tmp_path, encoding):
    """What Windows and PowerShell write is read like any other text, without its mark and with its line ends."""
    (tmp_path / "a.txt").write_bytes(TEXT.encode(encoding))
    assert read_text(tmp_path / "a.txt") == TEXT


def test_big_endian(tmp_path):
    """UTF-16 in the other byte order too."""
    (tmp_path / "a.txt").write_bytes(b"\xfe\xff" + TEXT.encode("utf-16-be"))
    assert read_text(tmp_path / "a.txt") == TEXT


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("a\nVerre: é".encode("cp1252"), r"on line 2 \(Windows-1252, also called cp1252"),
        (TEXT.encode("utf-16-le"), "expected UTF-8 text"),
        ("a = 1".encode("utf-16-le"), "UTF-16 without its mark"),
        (TEXT.encode("utf-16")[:-1], "begins as UTF-16 but is damaged"),
    ],
)
def test_other_encodings(tmp_path, data, message):
    """Text in another encoding is refused in one line that names it and says what to do."""
    (tmp_path / "a.txt").write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        read_text(tmp_path / "a.txt")
    assert "save it as UTF-8" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="other systems have no such files")
def test_pipe(tmp_path):
    """A pipe that nobody writes to does not hold the program up; one that the shell opened is read."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="expected a file"):
        read_text(tmp_path / "pipe")
    reading, writing = os.pipe()
    os.write(writing, b"hello")
    os.close(writing)
    assert read_text(f"/dev/fd/{reading}") == "hello"
    os.close(reading)


@pytest.mark.parametrize("name", ["none", ".", "a\0b"])
def test_missing(tmp_path, name):
    """What is no file is an input error with its name."""
    with pytest.raises(InputError, match="cannot read"):
        read_text(tmp_path / name)
