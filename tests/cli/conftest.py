"""The command line run inside the test's process, as `main` runs it, and a folder of photos for it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from PIL import Image

from binsight.cli import main

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path


@dataclass(frozen=True)
class Run:
    """How one command ended, and what it wrote."""

    code: int
    out: str
    err: str

    def lines(self) -> list[str]:
        """The lines of standard output."""
        return self.out.splitlines()

    def objects(self) -> list[dict[str, Any]]:
        """The JSON objects of standard output, one a line."""
        return [json.loads(line) for line in self.lines()]


class RunBinsight(Protocol):
    """Runs `binsight` with arguments."""

    def __call__(self, *args: str | Path, stdin: bytes = b"", terminals: Collection[str] = ()) -> Run:
        """Run it to its end; `terminals` says which of "out" and "err" a person looks at."""


class FakeTerminal(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def binsight(monkeypatch: pytest.MonkeyPatch, shared_bundle: Path) -> RunBinsight:
    """Return what runs the command line in this process, by default with the tiny bundle."""
    monkeypatch.setenv("BINSIGHT_MODEL", str(shared_bundle))
    monkeypatch.setenv("TERM", "xterm")
    for name in ("COLUMNS", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)

    def run(*args: str | Path, stdin: bytes = b"", terminals: Collection[str] = ()) -> Run:
        kinds = [FakeTerminal if name in terminals else io.TextIOWrapper for name in ("out", "err")]
        files = [io.BytesIO(), io.BytesIO()]
        out, err = (kind(file, "utf-8", write_through=True) for kind, file in zip(kinds, files, strict=True))
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["binsight", *map(str, args)])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            with pytest.raises(SystemExit) as ended:
                main()
        written = [file.getvalue().decode() for file in files]
        return Run(int(ended.value.code or 0), *written)

    return run


def run_process(*args: str | bytes | Path, closing: str = "", **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `binsight` in a process of its own; `closing` is what a shell closes before, as in `<&-`."""
    command = [sys.executable, "-m", "binsight", *args]
    if closing:
        command = ["sh", "-c", f'exec "$@" {closing}', "sh", *command]
    return subprocess.run(command, capture_output=True, check=False, text=True, timeout=60, **options)


def run_on_terminal(*args: str, **options: Any) -> bytes:
    """Run `binsight` with a terminal as its output, and return what is seen there."""
    ours, its = os.openpty()
    command = [sys.executable, "-m", "binsight", *args]
    with subprocess.Popen(command, stdin=its, stdout=its, stderr=its, **options) as process:
        os.close(its)
        seen = b""
        with contextlib.suppress(OSError):  # how Linux tells that the other end is closed
            while chunk := os.read(ours, 4096):
                seen += chunk
        process.wait(timeout=60)
    os.close(ours)
    return seen


def save_photo(path: Path, colour: tuple[int, int, int]) -> Path:
    """Write a photo of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), colour).save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder with a red, a green and, deeper, a blue photo, and files that are no photos or are hidden."""
    folder = tmp_path / "photos"
    save_photo(folder / "a_red.png", (255, 0, 0))
    save_photo(folder / "b_green.BMP", (0, 255, 0))
    save_photo(folder / "sub" / "deep" / "c_blue.webp", (0, 0, 255))
    save_photo(folder / ".hidden" / "x.png", (1, 2, 3))
    save_photo(folder / ".x.png", (1, 2, 3))
    (folder / "notes.txt").write_text("not a photo")
    return folder


@pytest.fixture
def broken(photos: Path) -> Path:
    """Return a photo between the others of the folder, cut in the middle."""
    path = photos / "b_cut.png"
    path.write_bytes((photos / "a_red.png").read_bytes()[:60])
    return path
